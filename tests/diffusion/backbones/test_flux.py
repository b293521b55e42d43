"""FLUX.1 equals diffusers' pipelines where these can do the same, and does what they cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    FluxControlNetImg2ImgPipeline,
    FluxControlNetInpaintPipeline,
    FluxControlNetPipeline,
    FluxImg2ImgPipeline,
    FluxInpaintPipeline,
    FluxMultiControlNetModel,
    FluxPipeline,
)
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image
from torch import Tensor

from cnet_app.diffusion.backbones import create_backbone
from cnet_app.diffusion.backbones.controls.flux import block_runs, block_samples, places_of
from cnet_app.diffusion.backbones.tokens import BlockRange, place_number, run_of, to_latents, to_tokens
from cnet_app.diffusion.control import unit_residuals
from cnet_app.diffusion.pipeline import Step, generate
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
from models.errors import CancelledError, InputError
from models.loader import Base
from models.tiny import tiny_base
from models.tiny.flux import KINDS, tiny_flux_controlnet, tiny_schnell
from tests.diffusion.backbones.latents import (
    CACHE,
    assert_equal,
    diffusers_latents,
    last_preview,
    latents_of,
    preview_of,
    wide_unit,
)
from tests.diffusion.conftest import control_map, request_for, unit

PHOTO = control_map(7, 96, 64)
BLOCKS = 9
"""Of the miniatures: five double and four single ones."""
HALF = np.repeat(np.array([0, 255], np.uint8), 48)[None, :, None].repeat(64, 0).repeat(3, 2)


def doubled(base: Base) -> Base:
    """In double precision, so that only what is computed in another way differs, and not what is rounded in another order."""
    for network in base.networks:
        torch.nn.Module.to(network, torch.float64)
    return replace(base, dtype=torch.float64)


@pytest.fixture(scope="module")
def dev() -> Base:
    return doubled(tiny_base("flux"))


@pytest.fixture(scope="module")
def schnell() -> Base:
    return doubled(tiny_schnell())


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    return {kind: tiny_flux_controlnet(kind, seed=number).double() for number, kind in enumerate(KINDS)}


@pytest.fixture(scope="module")
def net(networks: dict[str, Any]) -> Any:
    return networks["plain"]


def wide(*units: ControlUnit, **values: Any) -> GenerationRequest:
    """A request for a picture that is not square."""
    plain = {"width": 96, "height": 64, "num_inference_steps": 2, "guidance_scale": 3.5}
    return request_for(*units, **plain | values)


def theirs(kind: Any, base: Base, request: GenerationRequest, net: Any = None, **options: Any) -> Tensor:
    """Latents of one of diffusers' pipelines, (1, C, h, w)."""
    tokens = diffusers_latents(kind, base, request, net, guidance_scale=request.guidance_scale, **options)
    return to_latents(tokens, request.height // 8, request.width // 8)


def picture(pixels: Any) -> Image.Image:
    return Image.fromarray(pixels)


@pytest.mark.parametrize("guidance_scale", [1.0, 3.5])
def test_pictures_from_text(dev: Base, guidance_scale: float) -> None:
    request = wide(guidance_scale=guidance_scale)
    assert_equal(latents_of(dev, [], request), theirs(FluxPipeline, dev, request))


def test_guidance_is_an_input_of_the_network(dev: Base, count_runs: Callable[..., Any]) -> None:
    runs = count_runs(base=dev.network.x_embedder)
    low, high = (latents_of(dev, [], wide(guidance_scale=scale, negative_prompt="green")) for scale in (1.5, 6))
    assert (runs["base"], runs["base rows"]) == (4, 4)
    assert (low - high).abs().max() > 1e-3


def test_pictures_without_guidance(schnell: Base) -> None:
    """The authors give schnell 256 tokens."""
    request = wide(guidance_scale=1.0)
    expected = theirs(FluxPipeline, schnell, request, max_sequence_length=256)
    assert_equal(latents_of(schnell, [], request), expected)
    assert torch.equal(latents_of(schnell, [], replace(request, guidance_scale=4.0)), latents_of(schnell, [], request))


def test_pixels_are_those_of_the_pipeline(dev: Base) -> None:
    latents = theirs(FluxPipeline, dev, wide())
    config = dev.vae.config
    expected = dev.vae.decode(latents.double() / config.scaling_factor + config.shift_factor).sample
    assert_equal(create_backbone(dev).decode(latents), expected)


def test_pictures_from_pictures(dev: Base) -> None:
    request = wide(initial_image=encode_png(PHOTO), strength=0.5, num_inference_steps=4)
    expected = theirs(FluxImg2ImgPipeline, dev, request, image=picture(PHOTO), strength=0.5)
    assert_equal(latents_of(dev, [], request), expected)


def test_a_part_of_a_picture(dev: Base) -> None:
    request = wide(initial_image=encode_png(PHOTO), inpaint_mask=encode_png(HALF), strength=0.5, num_inference_steps=4)
    expected = theirs(FluxInpaintPipeline, dev, request, image=picture(PHOTO), mask_image=picture(HALF), strength=0.5)
    assert_equal(latents_of(dev, [], request), expected)
    made = generate(dev, [], request, cache=CACHE)[0]
    np.testing.assert_array_equal(made[:, :48], PHOTO[:, :48])
    assert (made[:, 48:] != PHOTO[:, 48:]).any()


@pytest.mark.parametrize("kind", KINDS)
def test_control(dev: Base, networks: dict[str, Any], kind: str) -> None:
    request = wide(wide_unit(condition="depth", conditioning_scale=0.75))
    found = latents_of(dev, [networks[kind]], request)
    expected = theirs(
        FluxControlNetPipeline, dev, request, networks[kind], control_image=picture(request.units[0].pixels),
        controlnet_conditioning_scale=0.75, control_mode=2 if kind == "union" else None,
    )  # fmt: skip
    assert_equal(found, expected)
    assert (found - latents_of(dev, [], wide())).abs().max() > 0.05


def test_control_of_a_base_without_guidance(schnell: Base, net: Any) -> None:
    request = wide(wide_unit(), guidance_scale=1.0)
    expected = theirs(
        FluxControlNetPipeline, schnell, request, net, control_image=picture(request.units[0].pixels),
        controlnet_conditioning_scale=1.0, max_sequence_length=256,
    )  # fmt: skip
    assert_equal(latents_of(schnell, [net], request), expected)


def test_control_in_a_part_of_the_steps(dev: Base, net: Any) -> None:
    request = wide(wide_unit(control_guidance_start=0.25, control_guidance_end=0.75), num_inference_steps=4)
    expected = theirs(
        FluxControlNetPipeline, dev, request, net, control_image=picture(request.units[0].pixels),
        controlnet_conditioning_scale=1.0, control_guidance_start=0.25, control_guidance_end=0.75,
    )  # fmt: skip
    assert_equal(latents_of(dev, [net], request), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_two_controlnets(dev: Base, networks: dict[str, Any], kind: str) -> None:
    request = wide(wide_unit(3, conditioning_scale=0.5), wide_unit(4, condition="depth", conditioning_scale=0.25))
    other = tiny_flux_controlnet(kind, seed=8).double()
    expected = theirs(
        FluxControlNetPipeline, dev, request, FluxMultiControlNetModel([networks[kind], other]),
        control_image=[picture(given.pixels) for given in request.units], controlnet_conditioning_scale=[0.5, 0.25],
        control_mode=[0, 2] if kind == "union" else None,
    )  # fmt: skip
    assert_equal(latents_of(dev, [networks[kind], other], request), expected)


def test_a_union_reads_two_maps(dev: Base, networks: dict[str, Any]) -> None:
    """diffusers' pipeline leaves out a second map of one network unless it gets a range for each."""
    union = networks["union"]
    request = wide(wide_unit(3, conditioning_scale=0.5), wide_unit(4, condition="openpose", conditioning_scale=0.25))
    expected = theirs(
        FluxControlNetPipeline, dev, request, FluxMultiControlNetModel([union]), control_mode=[0, 4],
        control_guidance_start=[0.0, 0.0], control_guidance_end=[1.0, 1.0],
        control_image=[picture(given.pixels) for given in request.units], controlnet_conditioning_scale=[0.5, 0.25],
    )  # fmt: skip
    found = latents_of(dev, [union, union], request)
    assert_equal(found, expected)
    units = request.units[0], replace(request.units[1], condition="depth")
    assert (found - latents_of(dev, [union, union], replace(request, units=units))).abs().max() > 1e-4


def test_control_over_a_picture(dev: Base, net: Any) -> None:
    request = wide(wide_unit(), initial_image=encode_png(PHOTO), strength=0.5, num_inference_steps=4)
    options = {"control_image": picture(request.units[0].pixels), "controlnet_conditioning_scale": 1.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
        expected = theirs(
            FluxControlNetImg2ImgPipeline, dev, request, net, image=picture(PHOTO), strength=0.5, **options
        )
        assert_equal(latents_of(dev, [net], request), expected)
        masked = replace(request, inpaint_mask=encode_png(HALF))
        expected = theirs(
            FluxControlNetInpaintPipeline, dev, masked, net, image=picture(PHOTO), mask_image=picture(HALF), strength=0.5,
            **options,
        )  # fmt: skip
        assert_equal(latents_of(dev, [net], masked), expected)
    made = generate(dev, [net], masked, cache=CACHE)[0]
    np.testing.assert_array_equal(made[:, :48], PHOTO[:, :48])


def test_units_of_different_networks_add(dev: Base, networks: dict[str, Any]) -> None:
    units = wide_unit(3, conditioning_scale=0.5), wide_unit(4, condition="depth", conditioning_scale=0.4)
    norms: list[list[list[float]]] = []
    request = wide(*units)
    for one, other in (("plain", "union"), ("union", "pixels"), ("pixels", "plain")):
        nets = [networks[one], networks[other]]
        together = latents_of(dev, nets, request, on_step=lambda step: norms.append(step.norms()))
        apart = [residuals_of(dev, network, given) for network, given in zip(nets, units, strict=True)]
        assert [len(norm) for norm in norms[-1]] == [len(apart[0].keys() | apart[1].keys())] * 2
        swapped = latents_of(dev, nets[::-1], replace(request, units=units[::-1]))
        torch.testing.assert_close(together, swapped, rtol=1e-4, atol=1e-4)
        assert (together - latents_of(dev, nets[:1], replace(request, units=units[:1]))).abs().max() > 0.01
        assert latents_of(dev, nets, replace(request, norm_preserving=True)).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_strength_0_is_the_base_alone(dev: Base, networks: dict[str, Any], kind: str) -> None:
    net, plain = networks[kind], latents_of(dev, [], wide())
    assert torch.equal(latents_of(dev, [net], wide(wide_unit(conditioning_scale=0))), plain)
    places = len(residuals_of(dev, net, wide_unit()))
    silent = wide_unit(
        control_mode="custom", block_weights=(0.0,) * places, unconditional_block_weights=(0.0,) * places
    )
    assert torch.equal(latents_of(dev, [net], wide(silent)), plain)
    black = wide_unit(mask=encode_png(np.zeros_like(HALF)))
    assert torch.equal(latents_of(dev, [net], wide(black)), plain)


def test_half_a_range_halves_the_runs(dev: Base, net: Any, count_runs: Callable[..., Any]) -> None:
    runs = count_runs(net=net.x_embedder, base=dev.network.x_embedder)
    latents_of(dev, [net], wide(wide_unit(control_guidance_end=0.5), num_inference_steps=4))
    assert (runs["base"], runs["net"]) == (4, 2)


def residuals_of(base: Base, net: Any, given: ControlUnit, strength: float = 1.0, **values: Any) -> dict[int, Tensor]:
    """Of one unit at one step."""
    request = wide(given, **values)
    backbone = create_backbone(base)
    with torch.no_grad():
        control: Any = backbone.prepare_control(given, net, request, CACHE)
        text = backbone.encode_texts(request, [control], CACHE, 1, control.steering.prompt)[0]
        latents = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(0))
        found = unit_residuals(control, strength, backbone.pack(latents, text), torch.tensor(700.0), text)
    return dict(found)


@pytest.mark.parametrize("kind", KINDS)
def test_residuals_are_linear_in_strength(
    dev: Base, networks: dict[str, Any], kind: str, count_runs: Callable[..., Any]
) -> None:
    net = networks[kind]
    whole, half = (residuals_of(dev, net, wide_unit(), strength) for strength in (1.0, 0.5))
    for number, residual in whole.items():
        torch.testing.assert_close(residual, 2 * half[number])
    runs = count_runs(net=net.x_embedder)
    curved = wide_unit(strength_curve=((0.0, 1.0), (0.5, 1.0), (0.75, 0.2)))
    latents_of(dev, [net], wide(curved, num_inference_steps=4, residual_interval=4))
    assert runs["net"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_leaves_the_rest_of_the_picture_alone(dev: Base, networks: dict[str, Any], kind: str) -> None:
    whole = residuals_of(dev, networks[kind], wide_unit())
    masked = residuals_of(dev, networks[kind], wide_unit(mask=encode_png(HALF)))
    for number, residual in masked.items():
        assert residual.shape[1] == 24  # tokens of 16 px in a picture of 96 x 64
        grid, unmasked = (tensor.unflatten(1, (4, 6)) for tensor in (residual, whole[number]))
        assert not grid[:, :, :3].any()
        assert torch.equal(grid[:, :, 3:], unmasked[:, :, 3:])


def test_weights_by_depth(dev: Base, networks: dict[str, Any]) -> None:
    """The union's places: two runs of double blocks, at 0 … 2 and 3 … 4, and two of single ones, at 5 … 6 and 7 … 8."""
    union = networks["union"]
    even, soft = (residuals_of(dev, union, wide_unit(control_mode=mode)) for mode in ("balanced", "prompt"))
    factors = [float((soft[number] / even[number]).mean()) for number in sorted(even)]
    depths = [middle / (BLOCKS - 1) for middle in (1, 3.5, 5.5, 7.5)]
    assert factors == pytest.approx([0.825 ** (3 * (1 - depth)) for depth in depths])
    deep = residuals_of(dev, union, wide_unit(depth_curve=((0.0, 0.0), (0.5, 0.0), (0.6, 1.0))))
    assert [bool(residual.any()) for _, residual in sorted(deep.items())] == [False, False, True, True]


def test_a_unit_may_have_a_prompt_of_its_own(dev: Base, net: Any) -> None:
    own = wide_unit(prompt="a blue box")
    of_own, of_request = residuals_of(dev, net, own), residuals_of(dev, net, wide_unit(), prompt="a blue box")
    assert all(torch.equal(residual, of_request[number]) for number, residual in of_own.items())
    assert not torch.equal(latents_of(dev, [net], wide(own)), latents_of(dev, [net], wide(wide_unit())))


def test_residuals_enter_where_the_library_adds_them(networks: dict[str, Any], dev: Base) -> None:
    plain, union, pixels = (block_runs(networks[kind], dev.network) for kind in KINDS)
    assert plain == ((BlockRange(0, 3), BlockRange(3, 2)), ())
    assert union == (plain[0], (BlockRange(5, 2), BlockRange(7, 2)))
    assert pixels == ((BlockRange(0, 3, 2), BlockRange(1, 2, 2)), ())
    six = block_runs(tiny_flux_controlnet(num_layers=6), dev.network)[0]
    assert six == tuple(BlockRange(block, 1) for block in range(5))
    three = block_runs(tiny_flux_controlnet(num_layers=4), dev.network)[0]
    assert [(run.first, run.count) for run in three] == [(0, 2), (2, 2), (4, 1)]  # the fourth is left out


def test_places_have_numbers_in_their_order() -> None:
    blocks = 57
    runs = [BlockRange(*one) for one in product(range(0, blocks, 7), (1, 4, 57), (1, 2, 57))]
    numbers = [place_number(run, blocks) for run in runs]
    assert numbers == sorted(set(numbers))
    assert [run_of(number, blocks) for number in numbers] == runs


def test_residuals_are_added_up_by_block(dev: Base) -> None:
    one = torch.ones(1, 1, 1)
    number = partial(place_number, blocks=BLOCKS)
    assert block_samples({}, dev.network, 0) == (None, None)
    doubles, singles = block_samples(
        {number(BlockRange(0, 3)): one, number(BlockRange(1, 2, 2)): 2 * one}, dev.network, 0
    )
    assert [float(tensor) for tensor in doubles or ()] == [1, 3, 1, 2, 0]
    assert singles is None
    doubles, singles = block_samples({number(BlockRange(7, 2)): one}, dev.network, 0)
    assert doubles is None
    assert [float(tensor) for tensor in singles or ()] == [0, 0, 1, 1]


def test_tokens_and_their_places_are_the_pipelines() -> None:
    latents = torch.randn(1, 16, 8, 12)
    packed: Any = FluxPipeline._pack_latents(latents, 1, 16, 8, 12)
    assert torch.equal(to_tokens(latents), packed)
    expected: Any = FluxPipeline._prepare_latent_image_ids(1, 4, 6, torch.device("cpu"), torch.float32)
    places = places_of(latents, torch.zeros(5, 2))
    assert torch.equal(places["img_ids"], expected)
    assert torch.equal(places["txt_ids"], torch.zeros(5, 3))


def test_what_the_family_cannot_do_is_refused(dev: Base, networks: dict[str, Any]) -> None:
    net, union = networks["plain"], networks["union"]
    for mode in ("control", "unbalanced", "cfg_resolution"):
        with pytest.raises(
            InputError, match=r"needs control of one side of guidance alone, which FLUX\.1 does not have"
        ):
            generate(dev, [net], wide(wide_unit(control_mode=mode)))
    with pytest.raises(
        InputError, match=r"^A prompt of several parts \(AND\) needs guidance by a second prompt, which FLUX"
    ):
        generate(dev, [], wide(prompt="a red ball AND a blue box"))
    with pytest.raises(InputError, match="canny, tile, depth, openpose, recolor, or another"):
        generate(dev, [union], wide(wide_unit(condition="normal")))
    masked = unit(condition="inpaint", control_image=encode_png(PHOTO))
    request = wide(masked, initial_image=encode_png(PHOTO), inpaint_mask=encode_png(HALF))
    with pytest.raises(InputError, match=r"inpaint is given to a ControlNet of FLUX\.1, which reads a map; leave"):
        generate(dev, [net], request)
    with pytest.raises(
        InputError, match="^control_form diffusers needs ControlNets with two forms, which .*: Z-Image.$"
    ):
        generate(dev, [net], wide(wide_unit(control_form="diffusers")))
    wider = tiny_flux_controlnet(num_attention_heads=4)
    with pytest.raises(
        InputError, match="made for a base of 64 channels that reads 64, but this one has 32 and reads 64"
    ):
        generate(dev, [wider], wide(wide_unit()))
    small = tiny_flux_controlnet("union", num_mode=3)
    with pytest.raises(InputError, match="choose one of: canny, tile, depth, or another"):
        generate(dev, [small], wide(wide_unit(condition="openpose")))


def test_a_base_that_reads_a_further_picture_is_refused(dev: Base) -> None:
    unet: Any = type("Fill", (), {"config": {**dev.network.config, "in_channels": 384}})
    with pytest.raises(InputError, match=r"^tiny_flux reads 96 channels, .*choose a FLUX\.1 that reads 16, and a C"):
        create_backbone(replace(dev, network=unet))


def test_what_has_no_effect_is_noted(dev: Base, schnell: Base) -> None:
    def notes(base: Base, **values: Any) -> list[str]:
        found: list[str] = []
        generate(base, [], wide(num_inference_steps=2, **values), on_note=found.append, cache=CACHE)
        return found

    assert notes(dev) == []
    assert notes(dev, negative_prompt="green") == [
        "negative_prompt has no effect: FLUX.1 reads the prompt alone; name in it what you want."
    ]
    assert notes(schnell, guidance_scale=1.0) == []
    assert notes(schnell) == [
        "guidance_scale is 3.5, but this base was distilled without guidance and does not read it; set it to 1."
    ]
    (weighted,) = notes(dev, prompt="a (red:1.3) ball")
    assert weighted.startswith("prompt gives words weights, which FLUX.1 does not have")
    (long,) = notes(schnell, guidance_scale=1.0, prompt="a" * 300)
    assert long.endswith("tokens long, of which 256 are read; what comes later has no effect.")


def test_half_precision(net: Any) -> None:
    base = tiny_base("flux")
    for network in base.networks:
        torch.nn.Module.to(network, torch.bfloat16)
    half = torch.nn.Module.to(tiny_flux_controlnet(), torch.bfloat16)
    made = generate(replace(base, dtype=torch.bfloat16), [half], wide(wide_unit()))
    assert made[0].shape == (64, 96, 3)


def test_a_job_is_cancelled_within_a_step(dev: Base, net: Any) -> None:
    steps: list[Step] = []
    with pytest.raises(CancelledError):
        generate(dev, [net], wide(wide_unit()), on_step=steps.append, cancelled=lambda: bool(steps), cache=CACHE)
    assert len(steps) == 1


def test_previews_end_in_the_picture(dev: Base) -> None:
    end = preview_of(dev, latents_of(dev, [], wide()))
    assert np.abs(last_preview(dev, wide()).astype(int) - end).max() <= 1
