"""Pairs in memory for tests of the loop: random pictures and maps, encoded by a miniature base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cnet_app.training.data.cache import whole
from cnet_app.training.examples import Encoded
from cnet_app.training.trainable.base import Trainable


class MemoryExamples:
    """Examples of `count` random pairs of one size; half of the prompts differ."""

    def __init__(self, trainable: Trainable, count: int = 6, side: int = 64) -> None:
        generator = torch.Generator().manual_seed(1)
        images = torch.rand((count, 3, side, side), generator=generator)
        maps = 255 * (torch.rand((count, 3, side, side), generator=generator) > 0.8).to(torch.uint8)
        self.hints = torch.stack([whole(trainable.encode_hint(one)) for one in maps])
        self.moments = trainable.encode_moments(images * 2 - 1)
        self.prompts = trainable.encode_prompts([f"a {'red' if n % 2 else 'blue'} ball" for n in range(count)])
        self.empty = trainable.encode_prompts([""])
        self.buckets: Sequence[tuple[int, int]] = [(side, side)] * count
        self.key, self.pairs_key, self.variants = "random", "random", 1

    def read(self, indices: Sequence[int], variants: Sequence[int], emptied: Sequence[bool]) -> Encoded:
        """Return the pairs."""

        def words(name: str) -> Tensor:
            rows = [
                self.empty[name][0] if empty else self.prompts[name][n]
                for n, empty in zip(indices, emptied, strict=True)
            ]
            return torch.stack(rows)

        prompts: Mapping[str, Tensor] = {name: words(name) for name in self.prompts}
        return Encoded(self.moments[list(indices)], self.hints[list(indices)], prompts)
