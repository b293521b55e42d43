"""Union ControlNets: several maps in one pass, as diffusers' own pipeline; apart where their settings differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from diffusers import ControlNetUnionModel, StableDiffusionXLControlNetUnionPipeline
from PIL import Image
from torch import Tensor

from cnet_app.diffusion.pipeline import generate
from cnet_app.diffusion.schedulers import create_scheduler
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from models.layouts.union import UnionInput
from models.loader import Base
from models.tiny import tiny_base
from models.tiny.unets import tiny_union
from tests.diffusion.backbones.test_equals_diffusers import ours
from tests.diffusion.conftest import control_map, request_for, unit

CountRuns = Callable[..., Counter[str]]


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base("sdxl")


@pytest.fixture(scope="module")
def union(base: Base) -> ControlNetUnionModel:
    return tiny_union(base)


def inputs(union: ControlNetUnionModel, *control_types: int) -> list[Any]:
    return [UnionInput(union, control_type) for control_type in control_types]


def theirs(base: Base, union: ControlNetUnionModel, control_types: Sequence[int], request: GenerationRequest) -> Tensor:
    """Latents that diffusers makes of the request, all its maps in one pass."""
    pipe: Any = StableDiffusionXLControlNetUnionPipeline(
        vae=base.vae,
        unet=base.network,
        text_encoder=base.text_encoders[0],
        text_encoder_2=base.text_encoders[1],
        tokenizer=base.tokenizers[0],
        tokenizer_2=base.tokenizers[1],
        scheduler=create_scheduler(request.scheduler, base.scheduler),
        controlnet=union,
        add_watermarker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe(
        prompt=request.prompt,
        control_image=[Image.fromarray(u.pixels) for u in request.units],
        control_mode=list(control_types),
        controlnet_conditioning_scale=[u.conditioning_scale for u in request.units],
        width=request.width,
        height=request.height,
        num_inference_steps=request.num_inference_steps,
        guidance_scale=request.guidance_scale,
        generator=torch.Generator().manual_seed(request.seed),
        output_type="latent",
    ).images


@pytest.mark.slow
@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
@pytest.mark.parametrize(
    ("control_types", "scales"), [((4,), (0.7,)), ((3, 1), (0.6, 1.3)), ((5, 0, 2), (1.0, 0.5, 0.8))], ids=str
)
def test_maps_in_one_pass_are_diffusers(
    monkeypatch: pytest.MonkeyPatch,
    base: Base,
    union: ControlNetUnionModel,
    control_types: tuple[int, ...],
    scales: tuple[float, ...],
    guidance_scale: float,
) -> None:
    units = (unit(seed, conditioning_scale=scale) for seed, scale in enumerate(scales))
    request = request_for(*units, guidance_scale=guidance_scale)
    latents, _ = ours(monkeypatch, base, inputs(union, *control_types), request)
    expected = theirs(base, union, control_types, request)
    largest = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(latents, expected, rtol=0, atol=1e-5 * largest)
    free, _ = ours(monkeypatch, base, [], request_for(guidance_scale=guidance_scale))
    assert (latents - free).abs().max() > 0.1


HALF = encode_png(control_map(9))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other", "runs"),
    [
        ({}, {"conditioning_scale": 0.5}, 4),
        ({}, {"control_guidance_end": 0.5}, 4 + 2),
        ({"strength_curve": ((0, 1), (1, 0.5))}, {}, 8),
        ({"control_mode": "prompt"}, {}, 8),
        ({"control_mode": "prompt"}, {"control_mode": "prompt"}, 4),
        ({"mask": HALF}, {"mask": HALF}, 4),
        ({"mask": HALF}, {"mask": HALF, "mask_feather": 3}, 8),
        ({"mask": HALF}, {}, 8),
    ],
    ids=str,
)
def test_units_that_differ_in_more_than_their_maps_run_apart(
    base: Base, union: ControlNetUnionModel, count_runs: CountRuns, one: Any, other: Any, runs: int
) -> None:
    counted = count_runs(net=union.controlnet_mid_block, hint=union.controlnet_cond_embedding)
    generate(base, inputs(union, 3, 1), request_for(unit(0, **one), unit(1, **other)))
    assert (counted["net"], counted["hint"]) == (runs, 2)


def test_two_maps_of_one_kind_run_apart(base: Base, union: ControlNetUnionModel, count_runs: CountRuns) -> None:
    counted = count_runs(net=union.controlnet_mid_block)
    generate(base, inputs(union, 3, 3, 1), request_for(unit(0), unit(1), unit(2)))
    assert counted["net"] == 8


def test_one_pass_is_not_the_sum_of_two(
    monkeypatch: pytest.MonkeyPatch, base: Base, union: ControlNetUnionModel
) -> None:
    """Two networks with equal weights are two networks."""
    units = unit(0), unit(1)
    (one, other), (twin,) = inputs(union, 3, 1), inputs(tiny_union(base), 1)
    apart, _ = ours(monkeypatch, base, [one, twin], request_for(*units))
    together, _ = ours(monkeypatch, base, [one, other], request_for(*units))
    assert (apart - together).abs().max() > 0.1
