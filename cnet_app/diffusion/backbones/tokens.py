"""Tokens of the transformers that read 2 x 2 latents as one, their time, and the blocks at which residuals enter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


def image_shapes(latents: Tensor) -> list[list[tuple[int, int, int]]]:
    """Return `img_shapes` of diffusers' Qwen-Image: one picture of one frame, its height and width in tokens."""
    return [[(1, latents.shape[-2] // PATCH, latents.shape[-1] // PATCH)]]


def network_time(timestep: Tensor, like: Tensor) -> Tensor:
    """Return the time that the network reads, (1,) from 1 in noise to 0 in a picture, in no less precision than `like`."""
    return timestep.to(torch.promote_types(timestep.dtype, like.dtype)).reshape(1) / TIMES


def inner_width(config: Mapping[str, Any]) -> int:
    """Return the numbers of a token inside of a network."""
    return config["num_attention_heads"] * config["attention_head_dim"]


@dataclass(frozen=True)
class BlockRange:
    """Blocks of the base, after each of which the same residual enters: in a row, or with as many others between them."""

    first: int
    count: int
    stride: int = 1

    @property
    def middle(self) -> float:
        """Number of the block half-way, which may lie between two."""
        return self.first + self.stride * (self.count - 1) / 2


def spread(residuals: int, blocks: int) -> tuple[BlockRange, ...]:
    """Return the runs of a base's blocks that residuals are spread over, as the base's own forward does: the last may be shorter."""
    length = -(-blocks // residuals)
    return tuple(BlockRange(first, min(length, blocks - first)) for first in range(0, blocks, length))


def place_number(run: BlockRange, blocks: int) -> int:
    """Return the number of a place in a base of so many blocks: shallow places have low ones, and no two the same."""
    return (run.first * (blocks + 1) + run.count) * (blocks + 1) + run.stride


def run_of(number: int, blocks: int) -> BlockRange:
    """Return the blocks of a place by its number."""
    rest, stride = divmod(number, blocks + 1)
    first, count = divmod(rest, blocks + 1)
    return BlockRange(first, count, stride)


def residuals_by_block(residuals: Residuals, blocks: int, rows: slice = slice(None)) -> list[Any] | None:
    """Return what is added after each block for these rows of the batch: (rows, tokens, C), or 0; None where there is nothing."""
    if not residuals:
        return None
    added: list[Any] = [0] * blocks
    for number, tensor in sorted(residuals.items()):
        run = run_of(number, blocks)
        for block in range(run.first, run.first + run.count * run.stride, run.stride):
            added[block] = added[block] + tensor[rows]
    return added
