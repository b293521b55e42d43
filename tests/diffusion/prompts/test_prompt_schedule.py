"""Prompts that change from step to step, parts joined by AND, and what is said about them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cnet_app.diffusion.backbones.base import Extras, Text
from cnet_app.diffusion.backbones.clip import encode_prompts, encode_steps, prompt_notes
from cnet_app.diffusion.backbones.unet import UNetBackbone
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.pipeline import generate
from cnet_app.diffusion.prompt_schedule import MAX_PARTS, prompts_by_step, split_parts, syntax_notes, without_and
from cnet_app.request.prompts.wildcards import Wildcards
from models.errors import InputError
from models.family_facts import Family
from models.loader import Base
from tests.diffusion.conftest import request_for, unit


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("a [cat:dog:0.5] in", ["a cat in", "a cat in", "a dog in", "a dog in"]),
        ("a [cat:dog:1] in", ["a cat in", "a dog in", "a dog in", "a dog in"]),
        ("[cat:dog:1.0]", ["cat"] * 4),
        ("[cat:dog:9]", ["cat"] * 4),
        ("[cat:dog:0]", ["dog"] * 4),
        ("[cat:dog:-1]", ["dog"] * 4),
        ("[cat: dog : .25 ]", ["cat", " dog ", " dog ", " dog "]),
        ("a [red:2]", ["a ", "a ", "a red", "a red"]),
        ("[:red:0.75]", ["", "", "", "red"]),
        ("[cat::3] x", ["cat x", "cat x", "cat x", " x"]),
        ("a [b|c|d] f", ["a b f", "a c f", "a d f", "a b f"]),
        ("a[ b|]", ["a b", "a", "a b", "a"]),
        ("[b|c:0.5]", ["b", "c:0.5", "b", "c:0.5"]),
        ("([a:b:.5]:1.2)", ["(a:1.2)", "(a:1.2)", "(b:1.2)", "(b:1.2)"]),
        ("[(a:1.2):[b]:2]", ["(a:1.2)", "(a:1.2)", "[b]", "[b]"]),
        ("[a:[b:c:0.75]:0.25]", ["a", "b", "b", "c"]),
        ("[[a|b]:c:2]", ["a", "b", "c", "c"]),
        (r"[a\:x:b\|y:1]", ["a:x", "b|y", "b|y", "b|y"]),
        (r"[a\]:b:1]", [r"a\]", "b", "b", "b"]),
        *((text, [text] * 4) for text in ("[a]", "[a:b]", "[a:b:c:1]", "[1:2:x]", "a:b|c", "(a|b)", "[a:b:1", "a|b]", "")),
    ],
)  # fmt: skip
def test_a_prompt_is_one_text_a_step(prompt: str, texts: list[str]) -> None:
    assert list(prompts_by_step(prompt, 4)) == texts


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text("ab ()[]:|.12-\\AND", max_size=40), st.integers(1, 5))
def test_any_text_is_a_prompt_at_any_step(prompt: str, steps: int) -> None:
    texts = prompts_by_step(prompt, steps)
    assert len(texts) == steps
    assert all(len(text) <= len(prompt) for text in texts)
    assert all(math.isfinite(weight) for text in texts for _, weight in split_parts(text))
    assert all(isinstance(note, str) for note in syntax_notes("prompt", prompt, steps))


@pytest.mark.parametrize(
    "prompt", ["[" * 5000 + "]" * 5000, "[" * 3000 + "a|" + "]" * 3000, "[a:b:" + "9" * 400 + ".]"]
)
def test_a_hostile_prompt_is_read_at_once(prompt: str) -> None:
    assert len(prompts_by_step(prompt, 2)) == 2


def test_wildcards_come_first() -> None:
    assert Wildcards().resolve(r"{[a\|b]|[a\|b]} {c|c}", 1) == "[a|b] c"


def test_parts_have_a_weight_each() -> None:
    assert split_parts("a cat :1.2 AND a dog AND x:-.5") == (("a cat", 1.2), ("a dog", 1.0), ("x", -0.5))
    assert split_parts("a cat:2") == (("a cat:2", 1.0),)
    assert split_parts("SAND ANDY") == (("SAND ANDY", 1.0),)
    assert split_parts("a:1000 AND b")[0] == ("a", 100.0)
    assert without_and("a AND b") == "a, b"
    with pytest.raises(InputError, match=f"has {MAX_PARTS + 1} parts joined by AND, but at most {MAX_PARTS} work"):
        split_parts(" AND ".join("a" * (MAX_PARTS + 1)))


@pytest.mark.parametrize(
    ("prompt", "note"),
    [
        ("a [cat:dog:0.5] in", 'prompt is "a cat in" up to step 2 of 4, then "a dog in".'),
        ("[red|blue] car", 'prompt changes 3 times in 4 steps, at first from "red car" to "blue car".'),
        ("[a:b:9]", 'No change that prompt names falls between its 4 steps: it is "a" throughout.'),
        ("a AND b", "prompt has 2 parts joined by AND: each is read by itself, and makes a step slower."),
        ("(blurry:-1) cat", 'prompt gives "blurry" the weight -1: below 0 a meaning is turned round only roughly; '
         "negative_prompt keeps things out more surely."),
        ("(a:1000)", 'prompt gives "a" the weight 100, the most that a weight can be.'),
    ],
)  # fmt: skip
def test_what_a_prompt_means_beyond_its_words_is_noted(prompt: str, note: str) -> None:
    assert list(syntax_notes("prompt", prompt, 4)) == [note]


def test_plain_words_have_no_note() -> None:
    assert not list(syntax_notes("prompt", "a (red:1.2) ball, [sky] BREAK box", 4))


def test_a_negative_prompt_is_one_text(bases: dict[Family, Base]) -> None:
    notes = prompt_notes(bases["sd15"], request_for(negative_prompt="red AND blue", guidance_scale=3), 4)
    assert notes == (
        "AND joins parts of prompt alone: negative_prompt is read as one text, with commas in the place of AND.",
    )


def test_each_text_is_encoded_once_and_equals_itself_alone(bases: dict[Family, Base]) -> None:
    base, cache = bases["sd15"], EncodingCache()
    request = request_for(prompt="a [red|blue] ball", negative_prompt="[green:yellow:0.5]", guidance_scale=3)
    with torch.no_grad():
        texts = encode_steps(base, request, (), cache, 4)
        for text, words, without in zip(
            texts, ("red", "blue") * 2, ("green", "green", "yellow", "yellow"), strict=True
        ):
            alone = encode_prompts(
                base, request_for(prompt=f"a {words} ball", negative_prompt=without, guidance_scale=3)
            )
            torch.testing.assert_close(text.states, alone.states)
    assert len(set(map(id, texts))) == 4
    with torch.no_grad():
        steps = encode_steps(base, request_for(prompt="a [red|blue] ball"), (), cache, 40)
    assert len(set(map(id, steps))) == 2


def test_a_change_behind_the_last_step_changes_nothing_and_one_before_it_does(bases: dict[Family, Base]) -> None:
    base = bases["sd15"]
    plain, late, early, other = (
        generate(base, [], request_for(prompt=text, guidance_scale=3))[0]
        for text in ("red ball", "[red ball:night:4]", "[red ball:night:2]", "night")
    )
    np.testing.assert_array_equal(late, plain)
    assert (early != plain).any()
    assert (early != other).any()


def test_a_change_runs_each_step_with_its_own_text(bases: dict[Family, Base], monkeypatch: pytest.MonkeyPatch) -> None:
    base = bases["sd15"]
    seen: list[Tensor] = []
    predict = UNetBackbone.predict

    def watched(self: UNetBackbone, batch: Tensor, timestep: Tensor, text: Text, *given: Any) -> Tensor:
        seen.append(text.states)
        return predict(self, batch, timestep, text, *given)

    monkeypatch.setattr(UNetBackbone, "predict", watched)
    notes: list[str] = []
    generate(base, [], request_for(prompt="[red:blue:0.75] ball"), on_note=notes.append)
    with torch.inference_mode():
        red, blue = (encode_prompts(base, request_for(prompt=f"{word} ball")).states for word in ("red", "blue"))
    for states, expected in zip(seen, (red, red, red, blue), strict=True):
        torch.testing.assert_close(states, expected)
    assert notes == ['prompt is "red ball" up to step 3 of 4, then "blue ball".']


def test_the_prompt_of_a_unit_changes_too(bases: dict[Family, Base], nets: Any) -> None:
    base, net = bases["sd15"], nets["sd15"][:1]
    red, blue, changing = (
        generate(base, net, request_for(unit(prompt=text)))[0] for text in ("red", "blue", "[red:blue:2]")
    )
    assert (changing != red).any()
    assert (changing != blue).any()
    same = generate(base, net, request_for(unit(prompt="[red:blue:4]")))[0]
    np.testing.assert_array_equal(same, red)


@pytest.mark.parametrize("family", ["embedded", "sd15", "sdxl"])
def test_and_is_composable_guidance(bases: dict[Family, Base], family: Family) -> None:
    """The prediction is that of the negative prompt, plus the weighted pulls of the parts."""
    base = bases[family]
    backbone = UNetBackbone(base)
    latents = backbone.create_noise(64, 64, torch.Generator().manual_seed(3))
    time = torch.tensor(500)

    def predicted(prompt: str, scale: float) -> Tensor:
        text = encode_prompts(base, request_for(prompt=prompt, negative_prompt="night", guidance_scale=scale or 2.0))
        return backbone.predict(backbone.pack(latents, text), time, text, scale, Extras())

    with torch.inference_mode():
        nothing = predicted("red ball", 0.0)
        red, blue = predicted("red ball", 1.5), predicted("blue box", 1.5)
        both = predicted("red ball :0.7 AND blue box :-0.4", 1.5)
        expected = nothing + 0.7 * (red - nothing) - 0.4 * (blue - nothing)
        torch.testing.assert_close(both, expected, rtol=1e-4, atol=1e-5)
        assert (red - blue).abs().max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("family", ["embedded", "sd15", "sdxl"])
@pytest.mark.parametrize("values", [{}, {"control_mode": "control"}, {"control_mode": "prompt"}, {"prompt": "sky"}])
def test_equal_halves_are_one_prompt_to_every_network(
    bases: dict[Family, Base], nets: Any, family: Family, values: dict[str, Any]
) -> None:
    base, net = bases[family], nets[family][:1]
    one, two = (
        generate(base, net, request_for(unit(**values), prompt=text, negative_prompt="night", guidance_scale=3))[0]
        for text in ("red ball", "red ball :0.5 AND red ball :0.5")
    )
    assert np.abs(one.astype(int) - two).max() <= 1


def test_a_number_of_parts_that_changes_fits_residuals_that_are_kept(bases: dict[Family, Base], nets: Any) -> None:
    request = request_for(unit(), prompt="[red:red AND blue:1] ball", guidance_scale=3, residual_interval=4)
    generate(bases["sd15"], nets["sd15"][:1], request)
