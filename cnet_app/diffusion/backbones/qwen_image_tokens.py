"""Pictures as Qwen-Image's transformer reads them, and the blocks at which residuals enter."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from cnet_app.diffusion.backbones.base import Residuals
from cnet_app.diffusion.backbones.tokens import PATCH


def shapes_of(latents: Tensor) -> list[list[tuple[int, int, int]]]:
    """Return `img_shapes`, one picture of one frame, in tokens."""
    return [[(1, latents.shape[-2] // PATCH, latents.shape[-1] // PATCH)]]


def place_number(first: int, count: int, blocks: int) -> int:
    """Return the number of the place that is `count` blocks of a base's, from `first` on."""
    return blocks * (count - 1) + first


def residuals_by_block(residuals: Residuals, row: int, blocks: int) -> list[Any] | None:
    """Return what is added after each block for a row of the batch: (1, tokens, C), or 0; None where there is nothing."""
    if not residuals:
        return None
    added: list[Any] = [0] * blocks
    for number, tensor in sorted(residuals.items()):
        more, first = divmod(number, blocks)
        for block in range(first, first + more + 1):
            added[block] = added[block] + tensor[row : row + 1]
    return added
