"""Pictures as Qwen-Image's transformer reads them."""

from __future__ import annotations

from torch import Tensor

from cnet_app.diffusion.backbones.tokens import PATCH


def shapes_of(latents: Tensor) -> list[list[tuple[int, int, int]]]:
    """Return `img_shapes`, one picture of one frame, in tokens."""
    return [[(1, latents.shape[-2] // PATCH, latents.shape[-1] // PATCH)]]
