"""Strength of the maps that FLUX.2 reads: outputs of attention with a map and without it, mixed.

It was trained without one. Of nine forms this one was the most even on small networks: docs/reference-strength.md.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Share:
    """A part of the output of attention."""

    weight: float
    """All weights add to 1; the last is negative for a strength above 1."""
    hidden: tuple[bool, ...]
    """For each map, whether text and picture do not attend to it."""


def shares_of(strengths: Sequence[float]) -> tuple[Share, ...]:
    """Return the parts that give each map its strength, above 0: one for all maps, and one less for each of their levels."""
    levels = sorted({0.0, *strengths})
    shares = [Share(high - low, tuple(strength < high for strength in strengths)) for low, high in pairwise(levels)]
    if levels[-1] != 1:
        shares.append(Share(1 - levels[-1], (True,) * len(strengths)))
    return tuple(shares)


def attention_mask(hidden: Sequence[bool], own: int, counts: Sequence[int], device: torch.device) -> Tensor | None:
    """Return which tokens attend to which, (tokens, tokens); None for all to all.

    The first `own` tokens are text and picture, which do not attend to hidden maps of so many tokens; those of maps attend to
    all.
    """
    if not any(hidden):
        return None
    total = own + sum(counts)
    mask = torch.ones(total, total, dtype=torch.bool, device=device)
    for part, is_hidden in zip(mask[:own, own:].split(list(counts), dim=-1), hidden, strict=True):
        part.fill_(not is_hidden)
    return mask


@dataclass(frozen=True)
class MixedAttention:
    """A processor of FLUX.2's attention, of both kinds, that runs another one for each share. What follows the softmax is linear."""

    plain: Callable[..., Any]
    shares: Sequence[tuple[float, Tensor | None]]
    """Weights and masks."""

    def __call__(self, attention: nn.Module, *inputs: Tensor | None) -> Any:
        """Take picture, text, mask and places of a double block, or all tokens, mask and places of a single one."""
        *streams, _, places = inputs
        parts = [(weight, self.plain(attention, *streams, mask, places)) for weight, mask in self.shares]
        if isinstance(parts[0][1], tuple):
            return tuple(_mixed([(weight, part[n]) for weight, part in parts]) for n in range(len(parts[0][1])))
        return _mixed(parts)


def _mixed(parts: Sequence[tuple[float, Tensor]]) -> Tensor:
    return reduce(torch.add, (weight * part for weight, part in parts))


@contextmanager
def mixed_attention(
    network: Any, strengths: Sequence[float], own: int, counts: Sequence[int], device: torch.device
) -> Generator[None]:
    """Give maps, each of so many tokens behind `own` others, their strengths inside the block; at 1 nothing changes.

    `device` is that of the tokens: weights may rest elsewhere.
    """
    if all(strength == 1 for strength in strengths):
        yield
        return
    shares = [(one.weight, attention_mask(one.hidden, own, counts, device)) for one in shares_of(strengths)]
    blocks = (*network.transformer_blocks, *network.single_transformer_blocks)
    kept = [(block.attn, block.attn.processor) for block in blocks]
    try:
        for attention, processor in kept:
            attention.processor = MixedAttention(processor, shares)
        yield
    finally:
        for attention, processor in kept:
            attention.processor = processor
