"""Faulty prompts, numbers and models: each ends in a sentence or by a rule, and the next job works."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnet_app.diffusion.backbones.clip import token_count
from cnet_app.diffusion.pipeline import generate
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.recipe import read_request, save_picture
from cnet_app.request.tasks import task_from_text, task_to_json
from cnet_app.request.units import ControlUnit
from models.errors import InputError
from models.loader import Base, load_controlnet, save_network
from models.lora.loras import use_loras
from models.tiny import tiny_base
from models.tiny.unets import tiny_controlnet

MAP = encode_png(np.eye(64, dtype=np.uint8)[..., None].repeat(3, 2) * 255)
HOSTILE = ("((((", "(a:1e9)", "(a:nan)", ":::", "BREAK", "<lora:../../x:1>", "[[a]", "a\\", "(a:1e999)")
WORLD = ("مرحبا", "你好 世界", "🦊👩‍🚀", "a\u200bb\u202ec", "{{7*7}}", "<script>alert(1)</script>", "**bold**")


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base("sd15")


def request(**values: Any) -> GenerationRequest:
    small: dict[str, Any] = {"width": 64, "height": 64, "num_inference_steps": 1, "guidance_scale": 3}
    return GenerationRequest(**small | values)


def unit(**values: Any) -> ControlUnit:
    given: dict[str, Any] = {"condition": "canny", "control_image": MAP}
    return ControlUnit(**given | values)


def works(base: Base) -> None:
    """The next job does."""
    assert generate(base, [], request(prompt="a red ball"))[0].shape == (64, 64, 3)


def test_an_empty_prompt_is_one(base: Base) -> None:
    net = tiny_controlnet(base)
    for guess in (False, True):
        assert generate(base, [net], request(units=(unit(),), guess_mode=guess))[0].any()


def test_a_long_prompt_is_read_in_parts_and_one_that_is_too_long_is_told(base: Base) -> None:
    with pytest.raises(InputError, match="prompt has 1,000,000 characters, but it must be text of at most 10,000"):
        request(prompt="a" * 1_000_000)
    notes: list[str] = []
    generate(base, [], request(prompt="red " * 2_000), on_note=notes.append)
    assert notes[0] == "prompt is 2000 tokens long and is read in 143 parts of at most 14."


@pytest.mark.parametrize("prompt", HOSTILE)
def test_signs_without_sense_are_text_and_weights_stay_numbers(base: Base, prompt: str) -> None:
    picture = generate(base, [], request(prompt=prompt))[0]
    assert picture.dtype == np.uint8
    assert token_count(base, prompt) >= 0


@pytest.mark.parametrize("prompt", WORLD)
def test_every_script_comes_back_from_the_picture(base: Base, tmp_path: Path, prompt: str) -> None:
    wanted = request(prompt=prompt)
    path = save_picture(tmp_path, generate(base, [], wanted)[0], wanted, 0)
    assert read_request(path).prompt == prompt


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "NUL in a prompt": (lambda: request(prompt="a\0"), "prompt holds a character that is no text"),
    "half a character": (lambda: request(prompt="\udc00"), "prompt holds a character that is no text"),
    "seed -1": (lambda: request(seed=-1), "seed is -1, but it must be from 0 to 4294967295"),
    "seed of 33 bits": (lambda: request(seed=2**32), "seed is 4294967296, but it must be from 0"),
    "seed of 64 bits": (lambda: request(seed=2**63), "seed is 9223372036854775808"),
    "seed in parts": (lambda: request(seed=1.5), "seed is 1.5, but it must be a whole number"),
    "seed of words": (lambda: request(seed="abc"), "seed is 'abc', but it must be a number"),
    "seed NaN": (lambda: request(seed=float("nan")), "seed is nan, but it must be"),
    "no steps": (lambda: request(num_inference_steps=0), "num_inference_steps is 0, but it must be from 1 to 150"),
    "a million steps": (lambda: request(num_inference_steps=10**6), "num_inference_steps is 1000000"),
    "guidance NaN": (lambda: request(guidance_scale=float("nan")), "guidance_scale is nan"),
    "guidance infinite": (lambda: request(guidance_scale=float("inf")), "guidance_scale is inf"),
    "guidance -1": (lambda: request(guidance_scale=-1), "guidance_scale is -1, but it must be from 1 to 30"),
    "guidance 0": (lambda: request(guidance_scale=0), "guidance_scale is 0, but it must be from 1 to 30"),
    "strength without picture": (lambda: request(strength=0.5), "there is no initial_image for it"),
    "scale of words": (
        lambda: unit(conditioning_scale="much"),
        "conditioning_scale is 'much', but it must be a number",
    ),
    "start after end": (
        lambda: unit(control_guidance_start=0.8, control_guidance_end=0.2),
        "must not be after",
    ),
    "end above 1": (lambda: unit(control_guidance_end=1.1), "control_guidance_end is 1.1, but it must be from 0 to 1"),
    "width 0": (lambda: request(width=0), "width is 0, but it must be from 64 to 2048 px"),
    "width 7": (lambda: request(width=7), "width is 7, but it must be from 64 to 2048 px"),
    "height 8193": (lambda: request(height=8193), "height is 8193, but it must be from 64 to 2048 px"),
    "a tall strip": (lambda: request(width=64, height=8192), "height is 8192, but it must be from 64 to 2048 px"),
    "a thousand pictures": (
        lambda: request(num_images=1000, width=2048, height=2048),
        "num_images is 1000, but it must be from 1 to 8",
    ),
    "nine units": (lambda: request(units=(unit(),) * 9), "units has 9 entries, but at most 8"),
}


@pytest.mark.parametrize(("cause", "sentence"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_wanted_is_told_in_one_sentence(cause: Callable[[], object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as told:
        cause()
    assert str(told.value).count(". ") == 0


def test_a_whole_number_is_a_strength_too(base: Base) -> None:
    """diffusers takes a float alone."""
    net = tiny_controlnet(base)
    whole = generate(base, [net], request(units=(unit(conditioning_scale=1),), guidance_scale=3))[0]
    np.testing.assert_array_equal(whole, generate(base, [net], request(units=(unit(conditioning_scale=1.0),)))[0])


@pytest.mark.parametrize(("width", "height"), [(65, 513), (513, 65), (64, 2048)])
def test_odd_sizes_are_met_exactly(base: Base, width: int, height: int) -> None:
    assert generate(base, [], request(width=width, height=height))[0].shape == (height, width, 3)


def test_nets_that_do_not_fit_are_told_and_the_same_one_twice_is_fine(base: Base, tmp_path: Path) -> None:
    net = tiny_controlnet(base)
    with pytest.raises(InputError, match="has 1 control units, but 2 ControlNets came"):
        generate(base, [net, net], request(units=(unit(),)))
    save_network(net, tmp_path / "net")
    with pytest.raises(InputError, match=r"was made for SD 1\.5 and cannot steer SDXL"):
        load_controlnet(str(tmp_path / "net"), "sdxl")
    assert generate(base, [net, net], request(units=(unit(), unit(conditioning_scale=0.5))))[0].any()
    works(base)


def test_an_unknown_sampler_is_answered_with_the_known_ones(base: Base) -> None:
    wanted = task_from_text(json.dumps(task_to_json(request(scheduler="eulr"))))
    assert isinstance(wanted, GenerationRequest)
    with pytest.raises(
        InputError, match="There is no scheduler 'eulr' .did you mean euler..; choose one of: default, ddim"
    ):
        generate(base, [], wanted)
    works(base)


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "nobody.safetensors"])
def test_a_lora_that_is_none_leaves_the_base_as_it_was(base: Base, name: str) -> None:
    before = generate(base, [], request(seed=3))[0]
    with pytest.raises((InputError, RuntimeError), match=r"LoRA|passwd"):
        use_loras(base, [(name, 1.0)])
    np.testing.assert_array_equal(generate(base, [], replace(request(), seed=3))[0], before)
