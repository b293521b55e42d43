"""Chroma equals diffusers' pipelines with a mask of the words, and FLUX.1's ControlNets steer it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    ChromaImg2ImgPipeline,
    ChromaInpaintPipeline,
    ChromaPipeline,
    FlowMatchEulerDiscreteScheduler,
)
from PIL import Image
from torch import Tensor

from cnet_app.diffusion.backbones import create_backbone
from cnet_app.diffusion.backbones.tokens import to_latents, to_tokens
from cnet_app.diffusion.backbones.transformer import words_of
from cnet_app.diffusion.control import unit_residuals
from cnet_app.diffusion.pipeline import generate
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
from models.loader import Base
from models.tiny import tiny_base
from models.tiny.flux import KINDS, tiny_flux_controlnet
from tests.diffusion.backbones.latents import (
    CACHE,
    assert_equal,
    diffusers_latents,
    latents_of,
    wide_unit,
)
from tests.diffusion.conftest import control_map, request_for

PHOTO = control_map(7, 96, 64)
HALF = np.repeat(np.array([0, 255], np.uint8), 48)[None, :, None].repeat(64, 0).repeat(3, 2)
LONG = "a much longer negative prompt than the prompt is"


@pytest.fixture(scope="module")
def base() -> Base:
    """In double precision, so that only what is computed in another way differs, and not what is rounded in another order."""
    made = tiny_base("chroma")
    for network in made.networks:
        torch.nn.Module.to(network, torch.float64)
    return replace(made, dtype=torch.float64)


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    return {kind: tiny_flux_controlnet(kind, seed=number).double() for number, kind in enumerate(KINDS)}


def wide(*units: ControlUnit, **values: Any) -> GenerationRequest:
    """A request for a picture that is not square."""
    plain = {"width": 96, "height": 64, "num_inference_steps": 2, "guidance_scale": 3.0}
    return request_for(*units, **plain | values)


def theirs(kind: Any, base: Base, request: GenerationRequest, as_mask: bool = True, **options: Any) -> Tensor:
    """Latents of one of diffusers' pipelines, (1, C, h, w).

    It adds its mask to the attention's scores, where a mask must be of truth values to leave anything out; `as_mask` makes
    it one, as in training.
    """
    prepare = kind._prepare_attention_mask

    def mask(self: Any, *args: Any, **values: Any) -> Any:
        found = prepare(self, *args, **values)
        return found.bool() if as_mask and found is not None else found

    guided = {"guidance_scale": request.guidance_scale, "negative_prompt": request.negative_prompt}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "_prepare_attention_mask", mask)
        tokens = diffusers_latents(kind, base, request, **guided, **options)
    return to_latents(tokens, request.height // 8, request.width // 8)


def picture(pixels: Any) -> Image.Image:
    return Image.fromarray(pixels)


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_pictures_from_text(base: Base, guidance_scale: float) -> None:
    request = wide(guidance_scale=guidance_scale, negative_prompt=LONG)
    assert_equal(latents_of(base, [], request), theirs(ChromaPipeline, base, request))


def test_filling_is_not_read(base: Base) -> None:
    """diffusers' own mask, which leaves nothing out, gives another picture. As many words as fit need no mask."""
    request = wide(negative_prompt=LONG)
    found = latents_of(base, [], request)
    assert (found - theirs(ChromaPipeline, base, request, as_mask=False)).abs().max() > 1e-4
    text = create_backbone(base).encode_texts(request, [], CACHE, 1)[0]
    lengths = [len(base.tokenizers[0](one).input_ids) + 1 for one in (LONG, request.prompt)]
    assert [len(words) for words in words_of(text)] == lengths
    full = wide(prompt="a" * 600, negative_prompt="b" * 600)
    assert_equal(latents_of(base, [], full), theirs(ChromaPipeline, base, full))


def test_full_prompts_equal_the_unchanged_pipeline(base: Base) -> None:
    full = wide(prompt="a" * 600, negative_prompt="b" * 600)
    assert_equal(latents_of(base, [], full), theirs(ChromaPipeline, base, full, as_mask=False))


def test_pictures_from_pictures(base: Base) -> None:
    request = wide(initial_image=encode_png(PHOTO), strength=0.5, num_inference_steps=4, negative_prompt=LONG)
    expected = theirs(ChromaImg2ImgPipeline, base, request, image=picture(PHOTO), strength=0.5)
    assert_equal(latents_of(base, [], request), expected)


def test_a_part_of_a_picture(base: Base) -> None:
    request = wide(initial_image=encode_png(PHOTO), inpaint_mask=encode_png(HALF), strength=0.5, num_inference_steps=4)
    base.network.register_to_config(
        guidance_embeds=False
    )  # which the pipeline reads, and the network's class does not set
    expected = theirs(
        ChromaInpaintPipeline, base, request, image=picture(PHOTO), mask_image=picture(HALF), strength=0.5,
        max_sequence_length=512,
    )  # fmt: skip
    assert_equal(latents_of(base, [], request), expected)
    made = generate(base, [], request, cache=CACHE)[0]
    np.testing.assert_array_equal(made[:, :48], PHOTO[:, :48])
    assert (made[:, 48:] != PHOTO[:, 48:]).any()


@pytest.mark.parametrize("kind", KINDS)
def test_controlnets_of_flux(base: Base, networks: dict[str, Any], kind: str) -> None:
    """Written out, since diffusers has no pipeline for them: each runs on the prompt, and both sides get its residuals."""
    net: Any = networks[kind]
    request = wide(wide_unit(condition="depth", conditioning_scale=0.75), negative_prompt=LONG)
    image = torch.tensor(request.units[0].pixels).permute(2, 0, 1)[None].double() / 127.5 - 1
    backbone, transformer = create_backbone(base), base.network
    config = base.vae.config
    with torch.no_grad():
        encoded = (base.vae.encode(image).latent_dist.mode() - config.shift_factor) * config.scaling_factor
        words = words_of(backbone.encode_texts(request, [], CACHE, 1)[0])
        latents = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(request.seed))
        scheduler: Any = FlowMatchEulerDiscreteScheduler.from_config(base.scheduler.config)
        scheduler.set_timesteps(2, sigmas=[1.0, 0.5])
        places: Any = ChromaPipeline._prepare_latent_image_ids(1, 4, 6, torch.device("cpu"), torch.float64)
        for timestep in scheduler.timesteps:
            read: dict[str, Any] = {
                "hidden_states": to_tokens(latents.double()), "timestep": timestep.double()[None] / 1000, "img_ids": places,
                "return_dict": False,
            }  # fmt: skip
            doubles, singles = net(
                **read, controlnet_cond=image if kind == "pixels" else to_tokens(encoded), conditioning_scale=0.75,
                controlnet_mode=torch.tensor([[2]]), encoder_hidden_states=words[1][None], txt_ids=torch.zeros(len(words[1]), 3),
                pooled_projections=torch.zeros(1, 16).double(), guidance=torch.tensor([3.5]),
            )  # fmt: skip
            negative, positive = (
                transformer(
                    **read, encoder_hidden_states=side[None], txt_ids=torch.zeros(len(side), 3),
                    controlnet_block_samples=doubles, controlnet_single_block_samples=singles,
                    controlnet_blocks_repeat=kind == "pixels",
                )[0]
                for side in words
            )  # fmt: skip
            guided = to_latents(negative + 3.0 * (positive - negative), 8, 12)
            latents = scheduler.step(guided, timestep, latents, return_dict=False)[0].float()
    found = latents_of(base, [net], request)
    assert_equal(found, latents)
    assert (found - latents_of(base, [], replace(request, units=()))).abs().max() > 0.05


def test_strength_0_is_the_base_alone(base: Base, networks: dict[str, Any]) -> None:
    plain = latents_of(base, [], wide())
    for net in networks.values():
        assert torch.equal(latents_of(base, [net], wide(wide_unit(conditioning_scale=0))), plain)
        black = wide_unit(mask=encode_png(np.zeros_like(HALF)))
        assert torch.equal(latents_of(base, [net], wide(black)), plain)


def test_half_a_range_halves_the_runs(base: Base, networks: dict[str, Any], count_runs: Callable[..., Any]) -> None:
    runs = count_runs(net=networks["plain"].x_embedder, base=base.network.x_embedder)
    latents_of(base, [networks["plain"]], wide(wide_unit(control_guidance_end=0.5), num_inference_steps=4))
    assert (runs["base"], runs["net"]) == (8, 2)


def residuals_of(base: Base, net: Any, given: ControlUnit, **values: Any) -> dict[int, Tensor]:
    """Of one unit at one step, with guidance."""
    request = wide(given, **{"negative_prompt": LONG} | values)
    backbone = create_backbone(base)
    with torch.no_grad():
        control: Any = backbone.prepare_control(given, net, request, CACHE)
        text = backbone.encode_texts(request, [control], CACHE, 1)[0]
        latents = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(0))
        return dict(unit_residuals(control, 1.0, backbone.pack(latents, text), torch.tensor(700.0), text))


def test_control_of_one_side_of_guidance(base: Base, networks: dict[str, Any]) -> None:
    both = residuals_of(base, networks["union"], wide_unit())
    one = residuals_of(base, networks["union"], wide_unit(control_mode="unbalanced"))
    assert one.keys() == both.keys()
    for number, residual in one.items():
        assert not residual[0].any()
        assert torch.equal(residual[1], both[number][1])
        assert torch.equal(both[number][0], both[number][1])


def test_a_prompt_of_several_parts(base: Base, networks: dict[str, Any]) -> None:
    request = wide(wide_unit(), prompt="a red ball AND a blue box :0.5", negative_prompt=LONG)
    found = latents_of(base, [networks["plain"]], request)
    assert found.isfinite().all()
    assert (found - latents_of(base, [networks["plain"]], replace(request, prompt="a red ball"))).abs().max() > 1e-4
    rows = residuals_of(base, networks["plain"], wide_unit(), prompt=request.prompt)
    assert {len(row) for row in rows.values()} == {3}
    assert all(torch.allclose(row[0], row[1:].mean(0)) for row in rows.values())


def test_half_precision() -> None:
    base = tiny_base("chroma")
    for network in base.networks:
        torch.nn.Module.to(network, torch.bfloat16)
    net = torch.nn.Module.to(tiny_flux_controlnet(), torch.bfloat16)
    made = generate(replace(base, dtype=torch.bfloat16), [net], wide(wide_unit(), negative_prompt=LONG))
    assert made[0].shape == (64, 96, 3)
