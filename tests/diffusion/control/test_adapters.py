"""T2I-Adapters: the latents of diffusers' own pipelines, and weights, ranges, masks and cost as ours promise them."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    MultiAdapter,
    StableDiffusionAdapterPipeline,
    StableDiffusionXLAdapterPipeline,
    T2IAdapter,
)
from PIL import Image
from torch import Tensor

from cnet_app.diffusion.backbones.base import StaticControl
from cnet_app.diffusion.backbones.controls.unet_adapter import adapter_places
from cnet_app.diffusion.control import weighted_features
from cnet_app.diffusion.pipeline import generate
from cnet_app.diffusion.schedulers import create_scheduler
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from models.catalogue.catalog import Family
from models.errors import InputError
from models.loader import Base
from models.tiny import tiny_base
from models.tiny.unets import tiny_adapter
from tests.diffusion.backbones.test_equals_diffusers import ours
from tests.diffusion.conftest import control_map, prepare, request_for, unit

Nets = dict[Family, tuple[ControlNetModel, ControlNetModel]]
CountRuns = Callable[..., Counter[str]]


@pytest.fixture(scope="module")
def true_sdxl() -> Base:
    """With levels as SDXL's: the first has no attention and is halved before the adapter's features come."""
    return tiny_base(
        "sdxl",
        block_out_channels=(8, 16, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
    )


def xl_adapter(seed: int = 1) -> Any:
    return tiny_adapter(seed, adapter_type="full_adapter_xl", downscale_factor=16, channels=(8, 16, 16, 16))


@pytest.fixture(scope="module")
def adapter() -> Any:
    return tiny_adapter(1)


def theirs(base: Base, adapters: Sequence[Any], request: GenerationRequest) -> Tensor:
    """Latents that diffusers makes of the request."""
    parts: dict[str, Any] = {
        "vae": base.vae,
        "unet": base.network,
        "text_encoder": base.text_encoders[0],
        "tokenizer": base.tokenizers[0],
        "scheduler": create_scheduler(request.scheduler, base.scheduler),
        "adapter": adapters[0] if len(adapters) == 1 else MultiAdapter(list(adapters)),
    }
    if base.family == "sdxl":
        parts |= {"text_encoder_2": base.text_encoders[1], "tokenizer_2": base.tokenizers[1]}
        pipe: Any = StableDiffusionXLAdapterPipeline(**parts)
    else:
        parts |= {"safety_checker": None, "feature_extractor": None}
        pipe = StableDiffusionAdapterPipeline(**parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    maps = [
        Image.fromarray(u.pixels).convert("L" if adapter.config["in_channels"] == 1 else "RGB")
        for u, adapter in zip(request.units, adapters, strict=True)
    ]
    scales = [u.conditioning_scale for u in request.units]
    return pipe(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt or None,
        image=maps if len(maps) > 1 else maps[0],
        adapter_conditioning_scale=scales if len(scales) > 1 else scales[0],
        width=request.width,
        height=request.height,
        num_inference_steps=request.num_inference_steps,
        guidance_scale=request.guidance_scale,
        generator=torch.Generator().manual_seed(request.seed),
        output_type="latent",
    ).images


def assert_equal(
    monkeypatch: pytest.MonkeyPatch, base: Base, adapters: Sequence[Any], request: GenerationRequest
) -> None:
    latents, _ = ours(monkeypatch, base, adapters, request)
    expected = theirs(base, adapters, request)
    torch.testing.assert_close(latents, expected, rtol=0, atol=1e-5 * max(1.0, expected.abs().max().item()))
    free, _ = ours(monkeypatch, base, (), dataclasses.replace(request, units=()))
    assert (latents - free).abs().max() > 0.1  # else nothing was compared


@pytest.mark.slow
@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
@pytest.mark.parametrize("config", [{}, {"adapter_type": "light_adapter"}, {"in_channels": 1}], ids=str)
def test_sd15_is_diffusers(
    monkeypatch: pytest.MonkeyPatch, bases: dict[Family, Base], config: dict[str, Any], guidance_scale: float
) -> None:
    adapter = tiny_adapter(1, **config)
    gray = encode_png(control_map(3)[..., :1].repeat(3, axis=2))
    request = request_for(unit(control_image=gray, conditioning_scale=1.5), guidance_scale=guidance_scale)
    assert_equal(monkeypatch, bases["sd15"], [adapter], request)


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
def test_sdxl_is_diffusers(monkeypatch: pytest.MonkeyPatch, true_sdxl: Base, guidance_scale: float) -> None:
    request = request_for(unit(conditioning_scale=1.5), guidance_scale=guidance_scale)
    assert_equal(monkeypatch, true_sdxl, [xl_adapter()], request)


def test_two_adapters_are_diffusers_too(
    monkeypatch: pytest.MonkeyPatch, bases: dict[Family, Base], true_sdxl: Base
) -> None:
    request = request_for(unit(0, conditioning_scale=0.6), unit(1, conditioning_scale=1.2), guidance_scale=4)
    assert_equal(monkeypatch, bases["sd15"], [tiny_adapter(1), tiny_adapter(2)], request)
    assert_equal(monkeypatch, true_sdxl, [xl_adapter(1), xl_adapter(2)], request)


def test_reductions_of_the_real_layouts() -> None:
    with torch.device("meta"):
        full, xl = T2IAdapter(), T2IAdapter(adapter_type="full_adapter_xl", downscale_factor=16)
        light = T2IAdapter(adapter_type="light_adapter", channels=[320, 640, 1280], num_res_blocks=4)
    found = [tuple(place.reduction for place in adapter_places(adapter)) for adapter in (full, light, xl)]
    assert found == [(1, 2, 4, 8), (1, 2, 4, 8), (2, 2, 4, 4)]


def added(adapter: Any, rows: int = 2, strength: float = 1.0, **values: Any) -> list[Tensor]:
    prepared = prepare(unit(**values), adapter)
    return weighted_features(prepared, strength, rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "conditional", "unconditional"),
    [
        ({}, (1, 1), (1, 1)),
        ({"control_mode": "prompt"}, (0.825, 1), (0.825, 1)),
        ({"control_mode": "control"}, (0.825, 1), (0, 0)),
        ({"control_mode": "cfg_resolution"}, (1, 2), (0, 0)),
        ({"control_mode": "custom", "block_weights": (0.5, 0)}, (0.5, 0), (0, 0)),
        (
            {"control_mode": "custom", "block_weights": (2, 1), "unconditional_block_weights": (0, 1)},
            (2, 1),
            (0, 1),
        ),
    ],
    ids=str,
)
def test_modes_weigh_the_levels(
    adapter: Any, values: dict[str, Any], conditional: tuple[float, ...], unconditional: tuple[float, ...]
) -> None:
    plain = [level[0] for level in added(adapter, rows=1)]
    found = added(adapter, conditioning_scale=0.7, strength=0.5, **values)
    for level, weights in enumerate(zip(unconditional, conditional, strict=True)):
        torch.testing.assert_close(found[level], torch.stack([plain[level] * 0.35 * weight for weight in weights]))
    torch.testing.assert_close([level[1:] for level in found], added(adapter, 1, 0.5, conditioning_scale=0.7, **values))


def test_custom_weights_of_another_network_are_refused(adapter: Any) -> None:
    with pytest.raises(InputError, match="block_weights has 3 numbers, but this T2I-Adapter has 2 blocks"):
        added(adapter, control_mode="custom", block_weights=(1.0, 1.0, 1.0))


def test_a_mask_lets_through_where_it_is_white(adapter: Any) -> None:
    half = np.zeros((64, 64, 3), np.uint8)
    half[:, :32] = 255
    for masked, plain in zip(added(adapter, mask=encode_png(half)), added(adapter), strict=True):
        middle = plain.shape[3] // 2
        torch.testing.assert_close(masked[..., :middle], plain[..., :middle])
        assert not masked[..., middle:].any()


@pytest.mark.parametrize(("width", "height"), [(72, 64), (200, 104), (67, 91)])
def test_any_size_fits_the_unet(
    bases: dict[Family, Base], true_sdxl: Base, adapter: Any, width: int, height: int
) -> None:
    size = {"width": width, "height": height, "num_inference_steps": 1}
    for base, net in ((bases["sd15"], adapter), (true_sdxl, xl_adapter())):
        picture = generate(base, [net], request_for(unit(mask=encode_png(control_map(2))), **size))[0]
        assert picture.shape == (height, width, 3)


def test_the_adapter_runs_once_and_only_in_its_range(
    bases: dict[Family, Base], adapter: Any, count_runs: CountRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = bases["sd15"]
    given: list[Any] = []
    forward = base.network.forward

    def watched(*arguments: Any, **options: Any) -> Any:
        features = options["down_intrablock_additional_residuals"]
        given.append(features and features[0][0].norm().item())
        return forward(*arguments, **options)

    monkeypatch.setattr(base.network, "forward", watched)
    runs = count_runs(adapter=adapter.adapter)
    curved = unit(strength_curve=((0, 1), (0.5, 0.5)), control_guidance_end=0.75)
    generate(base, [adapter], request_for(curved, num_images=2))
    assert runs["adapter"] == 1
    assert given[3] is given[7] is None
    assert [norm / given[0] for norm in (given[:3] + given[4:7])] == pytest.approx([1, 0.75, 0.5] * 2)


def test_it_adds_up_with_a_controlnet(
    bases: dict[Family, Base], nets: Nets, adapter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    one, other = unit(0), unit(1)
    asked = [((net, adapter), (one, other)), ((adapter, net), (other, one)), ((net,), (one,)), ((adapter,), (other,))]
    found = [ours(monkeypatch, base, networks, request_for(*units, guidance_scale=2))[0] for networks, units in asked]
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    assert all((a - b).abs().max() > 0.1 for a, b in itertools.combinations(found[1:], 2))


def test_one_sided_control_keeps_guidance_between_equal_prompts(
    bases: dict[Family, Base], adapter: Any, count_runs: CountRuns
) -> None:
    runs = count_runs(unet=bases["sd15"].network)
    for mode, rows in (("balanced", 1), ("unbalanced", 2)):
        runs.clear()
        generate(bases["sd15"], [adapter], request_for(unit(control_mode=mode), prompt="", guidance_scale=3))
        assert runs["unet rows"] == 4 * rows


def test_a_unit_made_ready_is_an_adapter(adapter: Any) -> None:
    prepared = prepare(unit(), adapter)
    assert isinstance(prepared, StaticControl)
    assert [feature.shape for feature in prepared.features] == [(1, 8, 8, 8), (1, 16, 4, 4)]
