"""Latents and previews of finished pictures, ours and those of diffusers' pipelines, for tests of families of transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor

from annotators.base import Image
from cnet_app.diffusion.backbones import create_backbone
from cnet_app.diffusion.backbones.base import Backbone
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.pipeline import generate
from cnet_app.diffusion.previews import preview
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
from models.catalogue.row import TEXT_ENCODERS
from models.loader import Base
from tests.diffusion.conftest import control_map, unit

TOLERANCE = 1e-6
CACHE = EncodingCache()
"""Texts and pictures that several tests encode."""


def latents_of(base: Base, nets: Sequence[Any], request: GenerationRequest, **options: Any) -> Tensor:
    """Return the finished latents of one picture; the autoencoder's decoder does not run."""
    found: list[Tensor] = []

    def decode(latents: Tensor) -> Tensor:
        found.append(latents)
        return latents.new_zeros(1, 3, 8 * latents.shape[2], 8 * latents.shape[3])

    def create(base: Base) -> Backbone:
        backbone = create_backbone(base)
        backbone.decode = decode
        return backbone

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnet_app.diffusion.pipeline.create_backbone", create)
        generate(base, nets, request, cache=CACHE, **options)
    return found[-1]


def last_preview(base: Base, request: GenerationRequest, **options: Any) -> Image:
    """Return the preview of the last step of a picture without units."""
    shown: list[Image] = []
    generate(base, [], request, on_step=lambda step: shown.append(step.preview()), cache=CACHE, **options)
    return shown[-1]


def preview_of(base: Base, latents: Tensor) -> Image:
    """Return the preview of finished latents."""
    return preview(create_backbone(base), latents)


def wide_unit(seed: int = 3, **values: Any) -> ControlUnit:
    """Return a unit with a map of 96 x 64 px."""
    given: dict[str, Any] = {"control_image": encode_png(control_map(seed, 96, 64))}
    return unit(**given | values)


def diffusers_latents(
    kind: Any,
    base: Base,
    request: GenerationRequest,
    net: Any = None,
    parts: Mapping[str, Any] | None = None,
    **options: Any,
) -> Tensor:
    """Return the latents of one of diffusers' pipelines as it has them, with noise drawn in single precision.

    `parts` are further ones of the pipeline, `options` those of its call. It samples what the autoencoder makes of maps, which
    here are its mode.
    """
    encoders = dict(zip(TEXT_ENCODERS, base.text_encoders, strict=False))
    tokenizers = {
        name.replace("text_encoder", "tokenizer"): tokenizer
        for name, tokenizer in zip(encoders, base.tokenizers, strict=True)
    }
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(base.scheduler.config)
    joined = {} if net is None else {"controlnet": net}
    pipe = kind(
        scheduler=scheduler, vae=base.vae, transformer=base.network, **encoders, **tokenizers, **joined, **(parts or {})
    )
    pipe.set_progress_bar_config(disable=True)

    def noise(shape: Any, generator: Any = None, device: Any = None, dtype: Any = None) -> Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{kind.__module__}.randn_tensor", noise)
        if net is not None:
            patch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
        return pipe(
            prompt=request.prompt,
            width=request.width,
            height=request.height,
            num_inference_steps=request.num_inference_steps,
            generator=torch.Generator().manual_seed(request.seed),
            output_type="latent",
            **options,
        ).images


def assert_equal(found: Tensor, expected: Tensor) -> None:
    """Compare latents relative to the largest number."""
    largest = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found, expected.to(found.dtype), rtol=TOLERANCE, atol=TOLERANCE * largest)
