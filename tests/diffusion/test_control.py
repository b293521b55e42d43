"""Weights, ranges and modes of control, and how often networks run for them."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel
from torch import Tensor

from cnet_app.diffusion.control import block_weights, control_tensor, runs_at, with_hint
from cnet_app.diffusion.latents import create_noise, decode, to_pixels
from cnet_app.diffusion.pipeline import generate
from cnet_app.diffusion.prompts import encode_prompts
from cnet_app.diffusion.schedulers import create_scheduler
from cnet_app.requests import ControlUnit, GenerationRequest, encode_png
from models.catalog import Family
from models.loader import Base
from tests.diffusion.conftest import control_map, request_for, unit

Nets = dict[Family, tuple[ControlNetModel, ControlNetModel]]
CountRuns = Callable[..., Counter[str]]


def test_weights_of_control_mode_are_the_originals() -> None:
    expected = [0.0994, 0.1205, 0.1461, 0.1770, 0.2146, 0.2601, 0.3153, 0.3822, 0.4633, 0.5615, 0.6806, 0.825, 1.0]
    np.testing.assert_allclose(block_weights("control", 1.0, 13), expected, atol=5e-5)
    np.testing.assert_allclose(block_weights("control", 1.5, 13), np.multiply(expected, 1.5), atol=1e-4)
    assert block_weights("balanced", 0.7, 13) == (0.7,) * 13


@pytest.mark.parametrize("steps", [1, 7, 20])
@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (0.0, 0.5), (0.25, 0.8), (0.5, 0.5), (0.0, 0.0), (1.0, 1.0)])
def test_ranges_are_those_of_diffusers(steps: int, start: float, end: float) -> None:
    for step in range(steps):
        assert runs_at(step, steps, start, end) == (not (step / steps < start or (step + 1) / steps > end))


def reference(base: Base, net: ControlNetModel, request: GenerationRequest) -> tuple[Tensor, np.ndarray[Any, Any]]:
    """Guess mode written out: two separate passes, the unconditional one free, the other weighted block by block."""
    scheduler = create_scheduler("default", base.scheduler)
    scheduler.set_timesteps(request.num_inference_steps)
    hint = control_tensor(request.units[0], request.width, request.height)
    text = encode_prompts(base, request)
    negative, prompt = text.states.chunk(2)
    negative_added = {name: tensor[:1] for name, tensor in (text.added or {}).items()}
    prompt_added = {name: tensor[1:] for name, tensor in (text.added or {}).items()}
    latents = create_noise(base, request.width, request.height, torch.Generator().manual_seed(request.seed))
    for t in scheduler.timesteps:
        down, middle = net(latents, t, prompt, hint, added_cond_kwargs=prompt_added, return_dict=False)
        blocks = len(down) + 1
        scale = request.units[0].conditioning_scale
        weighted = [r * scale * 0.825 ** (blocks - 1 - i) for i, r in enumerate([*down, middle])]
        free = base.unet(latents, t, negative, added_cond_kwargs=negative_added).sample
        led = base.unet(
            latents,
            t,
            prompt,
            added_cond_kwargs=prompt_added,
            down_block_additional_residuals=tuple(weighted[:-1]),
            mid_block_additional_residual=weighted[-1],
        ).sample
        latents = scheduler.step(free + request.guidance_scale * (led - free), t, latents).prev_sample
    return latents, to_pixels(decode(base, latents))


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("how", ["unit", "guess_mode"])
def test_control_mode_is_the_originals_guess_mode(
    bases: dict[Family, Base], nets: Nets, family: Family, how: str
) -> None:
    base, net = bases[family], nets[family][0]
    mode = "control" if how == "unit" else "balanced"
    request = request_for(
        unit(conditioning_scale=1.4, control_mode=mode), guidance_scale=4, guess_mode=how == "guess_mode"
    )
    with torch.no_grad():
        _, expected = reference(base, net, request)
    picture = generate(base, [net], request)[0]
    assert np.abs(picture.astype(int) - expected).max() <= 1
    balanced = generate(base, [net], request_for(unit(conditioning_scale=1.4), guidance_scale=4))[0]
    assert np.abs(balanced.astype(int) - expected).max() > 10


@pytest.mark.parametrize(
    "idle", [{"conditioning_scale": 0}, {"control_guidance_end": 0}, {"control_guidance_start": 1}], ids=str
)
def test_a_unit_without_effect_costs_nothing(
    bases: dict[Family, Base], nets: Nets, count_runs: CountRuns, idle: dict[str, Any]
) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    runs = count_runs(net=net.controlnet_mid_block, hint=net.controlnet_cond_embedding)
    picture = generate(base, [net], request_for(unit(**idle), guidance_scale=3))[0]
    np.testing.assert_array_equal(picture, generate(base, [], request_for(guidance_scale=3))[0])
    assert not runs


@pytest.mark.parametrize(
    ("values", "calls", "rows"),
    [
        ({}, 8, 16),
        ({"control_guidance_end": 0.5}, 4, 8),
        ({"control_guidance_start": 0.25, "control_guidance_end": 0.5}, 2, 4),
        ({"control_mode": "control"}, 8, 8),
    ],
    ids=str,
)
def test_networks_run_only_where_they_have_an_effect(
    bases: dict[Family, Base], nets: Nets, count_runs: CountRuns, values: dict[str, Any], calls: int, rows: int
) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    runs = count_runs(net=net.controlnet_mid_block, hint=net.controlnet_cond_embedding, unet=base.unet)
    generate(base, [net], request_for(unit(**values), guidance_scale=3, num_inference_steps=8))
    assert runs == {"net": calls, "net rows": rows, "hint": 1, "hint rows": 1, "unet": 8, "unet rows": 16}


def test_without_guidance_only_the_prompts_side_runs(
    bases: dict[Family, Base], nets: Nets, count_runs: CountRuns
) -> None:
    base, net = bases["sdxl"], nets["sdxl"][0]
    runs = count_runs(net=net.controlnet_mid_block, unet=base.unet)
    generate(base, [net], request_for(unit(), guidance_scale=1, num_inference_steps=4))
    assert runs == {"net": 4, "net rows": 4, "unet": 4, "unet rows": 4}


def test_the_hint_is_encoded_once_for_all_pictures(
    bases: dict[Family, Base], nets: Nets, count_runs: CountRuns
) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    runs = count_runs(hint=net.controlnet_cond_embedding, text=base.text_encoders[0])
    generate(base, [net], request_for(unit(), num_images=3, guidance_scale=2))
    assert runs["hint"] == 1
    assert runs["text"] == 2


def test_one_network_may_serve_two_units(bases: dict[Family, Base], nets: Nets) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    units = (unit(0, conditioning_scale=0.6), unit(1, conditioning_scale=0.9))
    shared = generate(base, [net, net], request_for(*units))[0]
    np.testing.assert_array_equal(shared, generate(base, [net, copy.deepcopy(net)], request_for(*units))[0])
    assert (shared != generate(base, [net], request_for(units[0]))[0]).any()
    assert (shared != generate(base, [net], request_for(units[1]))[0]).any()


def test_knowing_the_hint_leaves_the_network_as_it_was(nets: Nets) -> None:
    net = nets["sd15"][0]
    encoder = net.controlnet_cond_embedding
    knowing = with_hint(net, torch.rand(1, 3, 64, 64))
    assert net.controlnet_cond_embedding is encoder
    assert knowing.controlnet_cond_embedding is not encoder
    assert knowing.conv_in.weight is net.conv_in.weight


def test_a_network_that_reads_bgr_gets_bgr(nets: Nets) -> None:
    image, sample, text = torch.rand(1, 3, 64, 64), torch.rand(1, 4, 8, 8), torch.rand(1, 16, 16)
    net = copy.deepcopy(nets["sd15"][0])
    net.register_to_config(controlnet_conditioning_channel_order="bgr")
    with torch.no_grad():
        expected = net(sample, 5, text, image).mid_block_res_sample
        known = with_hint(net, image)(sample, 5, text, sample).mid_block_res_sample
    torch.testing.assert_close(known, expected, rtol=0, atol=1e-6)


def test_strength_grows_the_effect(bases: dict[Family, Base], nets: Nets) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    free = generate(base, [], request_for())[0].astype(int)
    changes = [
        np.abs(generate(base, [net], request_for(unit(conditioning_scale=scale)))[0] - free).mean()
        for scale in (0.1, 0.3, 1.0)
    ]
    assert 0 < changes[0] < changes[1] < changes[2]


def test_maps_of_labels_keep_their_colours_when_resized() -> None:
    large = encode_png(control_map(3, 128, 128)[:90])
    colours = {tuple(colour) for colour in control_map(3, 128, 128).reshape(-1, 3)}
    for condition, blends in (("segmentation", False), ("openpose", False), ("depth", True)):
        tensor = control_tensor(ControlUnit(condition=condition, control_image=large), 192, 64)
        assert tensor.shape == (1, 3, 64, 192)
        found = {tuple(colour) for colour in (tensor[0] * 255).round().int().permute(1, 2, 0).reshape(-1, 3).tolist()}
        assert (not found <= colours) == blends


def test_a_map_of_the_pictures_size_is_taken_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    tensor = control_tensor(ControlUnit(condition="canny", control_image=encode_png(pixels)), 128, 64)
    np.testing.assert_array_equal((tensor[0] * 255).round().permute(1, 2, 0).numpy(), pixels)
    assert tensor.dtype == torch.float32
    assert 0 <= float(tensor.min()) < float(tensor.max()) <= 1
