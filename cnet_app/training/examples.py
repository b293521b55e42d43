"""What the loop reads: pairs that are encoded already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Encoded:
    """Pairs of one size, on the CPU."""

    moments: Tensor
    """(B, C or 2C, h, w) float32: what `Trainable.sample` takes."""
    hints: Tensor
    """float32: (B, 3, H, W) in [0, 1], or latents of the maps, (B, C, h, w)."""
    prompts: Mapping[str, Tensor]
    """As `Trainable.encode_prompts` returns them."""


class Examples(Protocol):
    """The pairs of a run, in a fixed order."""

    @property
    def key(self) -> str:
        """A fingerprint of pairs, sizes, autoencoder and text encoders."""
        ...

    @property
    def pairs_key(self) -> str:
        """A fingerprint of pairs and sizes alone."""
        ...

    @property
    def buckets(self) -> Sequence[tuple[int, int]]:
        """Width and height of each pair."""
        ...

    @property
    def variants(self) -> int:
        """Flips and crops of a pair that are told apart by a number."""
        ...

    def read(self, indices: Sequence[int], variants: Sequence[int], emptied: Sequence[bool]) -> Encoded:
        """Return pairs of one bucket, each in a variant, some with an emptied prompt. Raises InputError and DamagedError."""
        ...
