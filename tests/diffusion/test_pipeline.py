"""generate(): the same seed is the same picture, progress, cancel, and what is told when something goes wrong."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel

from annotators.base import Image
from cnet_app.diffusion import pipeline
from cnet_app.diffusion.pipeline import Step, generate
from cnet_app.diffusion.pixels import pad
from cnet_app.request.pictures import encode_png
from models.catalogue.catalog import Family
from models.errors import CancelledError, InputError, StudioError, is_out_of_memory
from models.loader import Base
from tests.diffusion.conftest import control_map, request_for, unit

Nets = dict[Family, tuple[ControlNetModel, ControlNetModel]]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["embedded", "sd15", "sdxl"])
@pytest.mark.parametrize("scheduler", ["default", "euler_a"])
def test_picture_i_is_what_seed_plus_i_makes_alone(
    bases: dict[Family, Base], nets: Nets, family: Family, scheduler: str
) -> None:
    base, net = bases[family], nets[family][:1]
    request = request_for(unit(), num_images=3, guidance_scale=2, scheduler=scheduler)
    pictures = generate(base, net, request)
    assert len(pictures) == 3
    for index, picture in enumerate(pictures):
        assert picture.dtype == np.uint8
        assert picture.shape == (64, 64, 3)
        np.testing.assert_array_equal(picture, generate(base, net, request.only_picture(index))[0])


@pytest.mark.slow
def test_everything_in_a_request_matters(bases: dict[Family, Base], nets: Nets) -> None:
    base, net = bases["sd15"], nets["sd15"][:1]
    request = request_for(unit(), guidance_scale=5)
    seen = {generate(base, net, request)[0].tobytes()}
    for change in (
        {"seed": 12},
        {"prompt": "a blue cone"},
        {"prompt": ""},
        {"negative_prompt": "green"},
        {"guidance_scale": 1},
        {"num_inference_steps": 5},
        {"scheduler": "euler"},
        {"guess_mode": True},
        {"units": (unit(1),)},
        {"units": (unit(conditioning_scale=0.5),)},
        {"units": (unit(control_guidance_start=0.5),)},
    ):
        seen.add(generate(base, net, dataclasses.replace(request, **change))[0].tobytes())
    assert len(seen) == 12


def test_progress_counts_every_step_and_shows_previews(bases: dict[Family, Base], nets: Nets) -> None:
    steps: list[Step] = []
    generate(
        bases["sd15"], nets["sd15"][:1], request_for(unit(), num_images=2, num_inference_steps=3), on_step=steps.append
    )
    assert [(s.image_index, s.step, s.steps) for s in steps] == [(i, n, 3) for i in range(2) for n in (1, 2, 3)]
    previews = [step.preview() for step in steps]
    assert all(preview.shape == (8, 8, 3) and preview.dtype == np.uint8 for preview in previews)
    assert (previews[0] != previews[2]).any()


def test_the_last_preview_of_the_embedded_family_is_the_picture(bases: dict[Family, Base]) -> None:
    steps: list[Step] = []
    picture = generate(bases["embedded"], [], request_for(), on_step=steps.append)[0]
    np.testing.assert_allclose(steps[-1].preview().astype(int), picture, atol=1)


def test_each_picture_is_handed_over_before_the_next_begins(bases: dict[Family, Base]) -> None:
    events: list[tuple[str, int]] = []
    handed: list[Image] = []

    def keep(index: int, picture: Image) -> None:
        events.append(("picture", index))
        handed.append(picture)

    pictures = generate(
        bases["sd15"],
        [],
        request_for(num_images=2, num_inference_steps=2),
        on_step=lambda step: events.append(("step", step.step)),
        on_picture=keep,
    )
    assert events == [("step", 1), ("step", 2), ("picture", 0), ("step", 1), ("step", 2), ("picture", 1)]
    for ours, theirs in zip(handed, pictures, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_has_no_effect_is_told(bases: dict[Family, Base]) -> None:
    notes: list[str] = []
    generate(bases["sd15"], [], request_for(prompt="red " * 30, negative_prompt="dull"), on_note=notes.append)
    assert len(notes) == 2
    assert "prompt is 30 tokens long" in notes[0]
    assert "negative_prompt has no effect" in notes[1]


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 1, 3])
def test_cancel_stops_before_the_next_step(
    bases: dict[Family, Base], nets: Nets, count_runs: Callable[..., Counter[str]], after: int
) -> None:
    base, net = bases["sd15"], nets["sd15"][:1]
    request = request_for(unit(), num_inference_steps=8, num_images=2)
    expected = generate(base, net, request)
    runs, done = count_runs(unet=base.network), list[Step]()
    with pytest.raises(CancelledError):
        generate(base, net, request, on_step=done.append, cancelled=lambda: len(done) >= after)
    assert runs["unet"] == after
    for ours, again in zip(generate(base, net, request), expected, strict=True):
        np.testing.assert_array_equal(ours, again)


def test_an_error_from_a_listener_is_passed_on(bases: dict[Family, Base]) -> None:
    def fail(step: Step) -> None:
        raise RuntimeError("the listener's own")

    with pytest.raises(RuntimeError, match="the listener's own"):
        generate(bases["sd15"], [], request_for(), on_step=fail)


def test_too_little_memory_passes_through_and_the_next_job_works(
    bases: dict[Family, Base], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "create_start", lambda *_: torch.empty(2**50))
        with pytest.raises(RuntimeError) as caught:
            generate(bases["sd15"], [], request_for())
        assert is_out_of_memory(caught.value)
    generate(bases["sd15"], [], request_for())


def test_invalid_numbers_are_told(bases: dict[Family, Base]) -> None:
    unet: Any = copy.deepcopy(bases["sd15"].network)
    unet.conv_out.bias.data[:] = float("nan")
    with pytest.raises(StudioError, match=r"no valid numbers in torch\.float32 at guidance_scale 3"):
        generate(dataclasses.replace(bases["sd15"], network=unet), [], request_for(guidance_scale=3))


def test_units_and_networks_must_agree(bases: dict[Family, Base], nets: Nets) -> None:
    with pytest.raises(InputError, match="1 control units, but 2 ControlNets"):
        generate(bases["sd15"], nets["sd15"], request_for(unit()))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sd15", "sdxl", "embedded"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_makes_nearly_the_same_picture(
    bases: dict[Family, Base], nets: Nets, family: Family, dtype: torch.dtype
) -> None:
    base, request = bases[family], request_for(unit(), guidance_scale=2)
    half = dataclasses.replace(
        base,
        network=copy.deepcopy(base.network).to(dtype),
        text_encoders=tuple(copy.deepcopy(encoder).to(dtype) for encoder in base.text_encoders),
        dtype=dtype,
    )
    net: Any = copy.deepcopy(nets[family][0])
    picture = generate(half, [net.to(dtype)], request)[0]
    assert np.abs(picture.astype(int) - generate(base, nets[family][:1], request)[0]).mean() < 3


def test_the_loaded_models_are_left_as_they_were(bases: dict[Family, Base], nets: Nets) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    before = {name: tensor.clone() for name, tensor in (*base.network.state_dict().items(), *net.state_dict().items())}
    generate(base, [net], request_for(unit(), guidance_scale=2))
    after = dict((*base.network.state_dict().items(), *net.state_dict().items()))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert base.scheduler.timesteps.shape == (1000,)  # ours are made afresh


@pytest.mark.parametrize("family", ["embedded", "sd15", "sdxl"])
@pytest.mark.parametrize(("width", "height"), [(72, 64), (75, 90), (101, 67)])
def test_a_picture_has_exactly_the_size_that_was_asked_for(
    bases: dict[Family, Base], nets: Nets, family: Family, width: int, height: int
) -> None:
    picture = encode_png(control_map(3, 128, 128)[:height, :width])
    given = unit(control_image=picture, mask=picture)
    request = request_for(given, width=width, height=height, initial_image=picture, inpaint_mask=picture, strength=0.5)
    made = generate(bases[family], nets[family][:1], request)[0]
    assert made.shape == (height, width, 3)
    assert np.isfinite(made).all()


def test_padding_repeats_the_edge_and_leaves_whole_steps_alone() -> None:
    whole = control_map(0, 64, 64)
    assert pad(whole, 8) is not None and np.array_equal(pad(whole, 8), whole)
    odd = pad(whole[:61, :50], 8)
    assert odd.shape == (64, 56, 3)
    assert (odd[61:] == odd[60]).all()
    assert (odd[:, 50:] == odd[:, 49:50]).all()
