"""The order of the pairs, and every random number of a step, from the seed and the step alone.

Nothing else decides them, so that a resumed run, and one on several processes, draws what a single run in one go draws.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import torch

ORDER, WORDS, NOISE = range(3)
"""Streams of random numbers, apart from each other."""


class Order:
    """Which pairs each pass takes; the pairs of a pass are of one bucket, since they share a size."""

    def __init__(self, buckets: Sequence[Hashable], size: int, seed: int) -> None:
        """`buckets` has the bucket of each pair by its index, `size` is the pairs in one pass, over all processes."""
        self._groups: dict[Hashable, list[int]] = {}
        for index, bucket in enumerate(buckets):
            self._groups.setdefault(bucket, []).append(index)
        self._size, self._seed = size, seed
        self.passes = sum(-(-len(members) // size) for members in self._groups.values())
        """In one epoch."""
        self._epoch, self._found = -1, list[list[int]]()

    def indices(self, number: int) -> list[int]:
        """Return the pairs of a pass, counted from 0; a bucket that does not fill its last pass starts over for it."""
        epoch, place = divmod(number, self.passes)
        if epoch != self._epoch:
            self._epoch, self._found = epoch, self._draw(epoch)
        return self._found[place]

    def _draw(self, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng((self._seed, ORDER, epoch))
        found: list[list[int]] = []
        for members in self._groups.values():
            rounds = -(-len(members) // self._size)
            filled = np.resize(rng.permutation(members), rounds * self._size)
            found += filled.reshape(rounds, self._size).tolist()
        return [found[place] for place in rng.permutation(len(found))]


def emptied(count: int, share: float, seed: int, number: int) -> list[bool]:
    """Return for each pair of a pass whether its prompt is emptied."""
    return (np.random.default_rng((seed, WORDS, number)).random(count) < share).tolist()


def variants(count: int, kinds: int, seed: int, number: int) -> list[int]:
    """Return for each pair of a pass which of its `kinds` flips and crops is taken."""
    return np.random.default_rng((seed, WORDS, number, 1)).integers(kinds, size=count).tolist()


def noise_generator(seed: int, number: int) -> torch.Generator:
    """Return the generator of a pass's noise and timesteps."""
    state = np.random.SeedSequence((seed, NOISE, number)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def part_of_process(count: int, process: int, processes: int) -> slice:
    """Return the slice of the `count` pairs of a pass that one of several processes takes."""
    each = count // processes
    return slice(process * each, (process + 1) * each)
