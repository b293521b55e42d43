"""Latents and previews of finished pictures, for tests of every family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from torch import Tensor

from annotators.base import Image
from cnet_app.diffusion.backbones import create_backbone
from cnet_app.diffusion.backbones.base import Backbone
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.pipeline import generate
from cnet_app.diffusion.previews import preview
from cnet_app.request.generation import GenerationRequest
from models.loader import Base

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
