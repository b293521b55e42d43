"""Tokens of Qwen-Image's transformer, its time, and the blocks at which residuals enter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cnet_app.diffusion.backbones.base import Residuals

PATCH = 2
"""Side of a token in latents."""
TIMES = 1000
"""Steps of the training."""


def to_tokens(latents: Tensor) -> Tensor:
    """(B, C, h, w) to (B, tokens, 4 C), row by row."""
    return torch.nn.functional.pixel_unshuffle(latents, PATCH).flatten(2).transpose(1, 2)


def to_latents(tokens: Tensor, height: int, width: int) -> Tensor:
    """(B, tokens, 4 C) to (B, C, height, width)."""
    grid = tokens.transpose(1, 2).unflatten(2, (height // PATCH, width // PATCH))
    return torch.nn.functional.pixel_shuffle(grid, PATCH)


def shapes_of(latents: Tensor) -> list[list[tuple[int, int, int]]]:
    """Return `img_shapes`, one picture of one frame, in tokens."""
    return [[(1, latents.shape[-2] // PATCH, latents.shape[-1] // PATCH)]]


def network_time(timestep: Tensor, like: Tensor) -> Tensor:
    """Return the time that the network reads, (1,) from 1 in noise to 0 in a picture, in no less precision than `like`."""
    return timestep.to(torch.promote_types(timestep.dtype, like.dtype)).reshape(1) / TIMES


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


def inner_width(config: Mapping[str, Any]) -> int:
    """Return the numbers of a token inside of a network."""
    return config["num_attention_heads"] * config["attention_head_dim"]
