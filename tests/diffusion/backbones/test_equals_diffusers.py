"""Balanced mode is diffusers' own ControlNet pipeline: same latents, same pictures."""

from __future__ import annotations

import copy
import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    MultiControlNetModel,
    PNDMScheduler,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionXLControlNetImg2ImgPipeline,
    StableDiffusionXLControlNetInpaintPipeline,
    StableDiffusionXLControlNetPipeline,
)
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cnet_app.diffusion.backbones.unet import UNetBackbone
from cnet_app.diffusion.pipeline import generate
from cnet_app.diffusion.schedulers import create_scheduler
from cnet_app.registry.samplers import SAMPLERS, SPACINGS
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from models.errors import InputError
from models.family_facts import Family
from models.loader import Base
from models.tiny import tiny_base
from tests.diffusion.conftest import control_map, request_for, unit
from tests.families import UNETS

pytestmark = pytest.mark.slow

Nets = dict[Family, tuple[ControlNetModel, ControlNetModel]]


PIPELINES: dict[str, Any] = {
    "text to image": StableDiffusionControlNetPipeline,
    "image to image": StableDiffusionControlNetImg2ImgPipeline,
    "inpaint": StableDiffusionControlNetInpaintPipeline,
}
XL_PIPELINES: dict[str, Any] = {
    "text to image": StableDiffusionXLControlNetPipeline,
    "image to image": StableDiffusionXLControlNetImg2ImgPipeline,
    "inpaint": StableDiffusionXLControlNetInpaintPipeline,
}
PHOTO = encode_png(control_map(7))
HALF = encode_png(np.repeat(np.array([[0, 255]], np.uint8).repeat(32, axis=1), 64, axis=0)[..., None].repeat(3, axis=2))
"""A mask: the right half is made anew."""


def _picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def ours(
    monkeypatch: pytest.MonkeyPatch, base: Base, nets: Sequence[Any], request: GenerationRequest, **options: Any
) -> tuple[Tensor, NDArray[np.uint8]]:
    """Latents and picture."""
    seen: list[Tensor] = []

    decode = UNetBackbone.decode

    def keep(backbone: UNetBackbone, latents: Tensor) -> Tensor:
        seen.append(latents)
        return decode(backbone, latents)

    with monkeypatch.context() as patch:
        patch.setattr(UNetBackbone, "decode", keep)
        picture = generate(base, nets, request, **options)[0]
    return seen[0], picture


def theirs(base: Base, nets: Sequence[ControlNetModel], request: GenerationRequest) -> tuple[Tensor, NDArray[np.uint8]]:
    """Return diffusers' pictures of the request. Its guess mode weighs blocks differently, so it is not compared here."""
    parts: dict[str, Any] = {
        "vae": base.vae,
        "unet": base.network,
        "text_encoder": base.text_encoders[0],
        "tokenizer": base.tokenizers[0],
        "scheduler": create_scheduler(request.scheduler, base.scheduler),
        "controlnet": nets[0] if len(nets) == 1 else MultiControlNetModel(list(nets)),
    }
    task = "inpaint" if request.inpaint_mask else "image to image" if request.initial_image else "text to image"
    if base.family == "sdxl":
        pipe: Any = XL_PIPELINES[task](
            **parts, text_encoder_2=base.text_encoders[1], tokenizer_2=base.tokenizers[1], add_watermarker=False
        )
    else:
        parts |= {"safety_checker": None, "feature_extractor": None}
        pipe = PIPELINES[task](**parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    many = len(nets) > 1
    maps = [Image.fromarray(u.pixels) for u in request.units]
    arguments: dict[str, Any] = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt or None,
        "image": maps if many else maps[0],
        "width": request.width,
        "height": request.height,
        "num_inference_steps": request.num_inference_steps,
        "guidance_scale": request.guidance_scale,
        "eta": request.eta,
        "controlnet_conditioning_scale": [u.conditioning_scale for u in request.units],
        "control_guidance_start": [u.control_guidance_start for u in request.units],
        "control_guidance_end": [u.control_guidance_end for u in request.units],
    }
    if request.initial_image:
        arguments["control_image"] = arguments.pop("image")
        arguments |= {"image": _picture(request.initial_image), "strength": request.strength}
    if request.inpaint_mask:
        arguments["mask_image"] = _picture(request.inpaint_mask)
        if request.units[0].condition == "inpaint":
            known = np.moveaxis(request.units[0].pixels / 255, 2, 0)
            known[:, np.asarray(_picture(request.inpaint_mask).convert("L")) > 127] = -1
            arguments["control_image"] = torch.tensor(known[None], dtype=torch.float32)
    if not many:
        arguments["controlnet_conditioning_scale"] = request.units[0].conditioning_scale

    def run(output_type: str) -> Any:
        generator = torch.Generator("cpu").manual_seed(request.seed)
        pipe.scheduler = create_scheduler(request.scheduler, base.scheduler)
        return pipe(**arguments, generator=generator, output_type=output_type).images

    return run("latent"), np.asarray(run("pil")[0])


def assert_equal(
    monkeypatch: pytest.MonkeyPatch, base: Base, nets: Sequence[ControlNetModel], request: GenerationRequest
) -> None:
    latents, picture = ours(monkeypatch, base, nets, request)
    expected_latents, expected_picture = theirs(base, nets, request)
    # The hint is encoded once instead of once per side of guidance and step: convolutions may add in another order.
    # Rounding is relative, and an untrained network's latents can be tens.
    largest = max(1.0, expected_latents.abs().max().item())
    torch.testing.assert_close(latents, expected_latents, rtol=0, atol=1e-5 * largest)
    if not request.inpaint_mask:  # diffusers lets the autoencoder change what is outside the mask
        assert np.abs(picture.astype(int) - expected_picture).max() <= 1
    free, _ = ours(monkeypatch, base, (), dataclasses.replace(request, units=()))
    assert (latents - free).abs().max() > 0.1  # else nothing was compared


@pytest.mark.parametrize("family", UNETS)
@pytest.mark.parametrize("guidance_scale", [1.0, 5.0])
def test_one_unit(
    monkeypatch: pytest.MonkeyPatch, bases: dict[Family, Base], nets: Nets, family: Family, guidance_scale: float
) -> None:
    request = request_for(unit(conditioning_scale=0.8), guidance_scale=guidance_scale)
    assert_equal(monkeypatch, bases[family], nets[family][:1], request)


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("guidance_scale", [1.0, 5.0])
def test_two_units_with_ranges(
    monkeypatch: pytest.MonkeyPatch, bases: dict[Family, Base], nets: Nets, family: Family, guidance_scale: float
) -> None:
    request = request_for(
        unit(0, conditioning_scale=0.7, control_guidance_end=0.5),
        unit(1, condition="depth", conditioning_scale=1.3, control_guidance_start=0.2),
        guidance_scale=guidance_scale,
        negative_prompt="green cone",
    )
    assert_equal(monkeypatch, bases[family], nets[family], request)


SPACED = [row.id for row in SAMPLERS if row.id.endswith(tuple(filter(None, SPACINGS)))]


@pytest.mark.parametrize(
    "scheduler", [pytest.param(row.id, marks=pytest.mark.slow if row.id in SPACED else ()) for row in SAMPLERS]
)
def test_every_scheduler(
    monkeypatch: pytest.MonkeyPatch, bases: dict[Family, Base], nets: Nets, scheduler: str
) -> None:
    request = request_for(unit(), scheduler=scheduler, guidance_scale=3)
    assert_equal(monkeypatch, bases["sd15"], nets["sd15"][:1], request)


def test_new_noise_at_every_step(monkeypatch: pytest.MonkeyPatch, bases: dict[Family, Base], nets: Nets) -> None:
    request = request_for(unit(), scheduler="ddim", eta=1.0, guidance_scale=3)
    assert_equal(monkeypatch, bases["sd15"], nets["sd15"][:1], request)
    still, _ = ours(monkeypatch, bases["sd15"], nets["sd15"][:1], dataclasses.replace(request, eta=0.0))
    noisy, _ = ours(monkeypatch, bases["sd15"], nets["sd15"][:1], request)
    assert (still - noisy).abs().max() > 0.1


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("scheduler", ["default", "dpmpp_2m", "euler_a", "heun"])
def test_image_to_image(
    monkeypatch: pytest.MonkeyPatch,
    bases: dict[Family, Base],
    nets: Nets,
    family: Family,
    strength: float,
    scheduler: str,
) -> None:
    given = {"initial_image": PHOTO, "strength": strength, "scheduler": scheduler, "guidance_scale": 3}
    request = request_for(unit(control_guidance_end=0.6), **given)
    assert_equal(monkeypatch, bases[family], nets[family][:1], request)


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_inpainting(
    monkeypatch: pytest.MonkeyPatch, bases: dict[Family, Base], nets: Nets, family: Family, strength: float
) -> None:
    given = {"initial_image": PHOTO, "inpaint_mask": HALF, "strength": strength, "guidance_scale": 3}
    assert_equal(monkeypatch, bases[family], nets[family][:1], request_for(unit(), **given))


def test_an_inpainting_controlnet_reads_minus_one_where_the_mask_is(
    monkeypatch: pytest.MonkeyPatch, bases: dict[Family, Base], nets: Nets
) -> None:
    given = {"initial_image": PHOTO, "inpaint_mask": HALF, "guidance_scale": 3}
    filling = unit(condition="inpaint", control_image=PHOTO)
    assert_equal(monkeypatch, bases["sd15"], nets["sd15"][:1], request_for(filling, **given))
    with pytest.raises(InputError, match="inpaint needs an inpaint_mask"):
        generate(bases["sd15"], nets["sd15"][:1], request_for(filling))


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_an_inpainting_base_sees_mask_and_known_part(
    monkeypatch: pytest.MonkeyPatch, nets: Nets, family: Family, strength: float
) -> None:
    base = tiny_base(family, in_channels=9)
    given = {"initial_image": PHOTO, "inpaint_mask": HALF, "strength": strength, "guidance_scale": 3}
    assert_equal(monkeypatch, base, nets[family][:1], request_for(unit(), **given))


def test_an_inpainting_base_without_a_mask_makes_all_anew(nets: Nets) -> None:
    base = tiny_base("sd15", in_channels=9)
    free, started = request_for(unit()), request_for(unit(), initial_image=PHOTO, strength=0.5)
    pictures = [generate(base, nets["sd15"][:1], request)[0] for request in (free, started)]
    assert (pictures[0] != pictures[1]).any()


@pytest.mark.parametrize("family", ["embedded", "sd15"])
def test_outside_the_mask_the_picture_stays_bit_for_bit(bases: dict[Family, Base], nets: Nets, family: Family) -> None:
    request = request_for(unit(), initial_image=PHOTO, inpaint_mask=HALF)
    picture = generate(bases[family], nets[family][:1], request)[0]
    before = np.asarray(_picture(PHOTO))
    np.testing.assert_array_equal(picture[:, :32], before[:, :32])
    assert np.abs(picture[:, 32:].astype(int) - before[:, 32:]).mean() > 5


def test_a_strength_that_leaves_no_step_is_told(bases: dict[Family, Base]) -> None:
    with pytest.raises(InputError, match=r"strength is 0.1, which leaves none of 4 steps"):
        generate(bases["sd15"], [], request_for(initial_image=PHOTO, strength=0.1))


def test_the_scheduler_that_comes_with_sd15(
    monkeypatch: pytest.MonkeyPatch, bases: dict[Family, Base], nets: Nets
) -> None:
    """It runs one step more than asked for, so that fractions of the steps are not what they seem."""
    scheduler = PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True)
    base = dataclasses.replace(bases["sd15"], scheduler=scheduler)
    assert_equal(monkeypatch, base, nets["sd15"][:1], request_for(unit(control_guidance_end=0.6), guidance_scale=3))


def test_sizes_that_are_not_square(monkeypatch: pytest.MonkeyPatch, bases: dict[Family, Base], nets: Nets) -> None:
    wide = unit(control_image=encode_png(control_map(width=128)))
    request = request_for(wide, width=128, guidance_scale=3)
    assert_equal(monkeypatch, bases["sdxl"], nets["sdxl"][:1], request)


def test_a_network_that_pools_its_residuals(
    monkeypatch: pytest.MonkeyPatch, bases: dict[Family, Base], nets: Nets
) -> None:
    """Made for shuffle; diffusers steers the prompt's side alone with it, and so do we."""
    pooling = copy.deepcopy(nets["sd15"][0])
    pooling.register_to_config(global_pool_conditions=True)
    assert_equal(monkeypatch, bases["sd15"], [pooling], request_for(unit(), guidance_scale=4))
