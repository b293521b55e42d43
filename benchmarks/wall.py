"""Wall time on a machine that others use too: ratios of neighbours, and how far the machine was from quiet."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

MAX_STEAL = 0.05
SPARE_LOAD = 0.5
"""Load beyond one for each core, which the benchmark itself keeps busy."""
RESAMPLES = 10_000


@dataclass(frozen=True)
class Wall:
    """Times of pairs of runs that stood side by side."""

    ours: tuple[float, ...]
    """Seconds."""
    reference: tuple[float, ...]
    load: float
    """The highest one-minute average seen."""
    steal: float
    """Share of the time that the machine gave to others."""
    cores: int

    @property
    def median_seconds(self) -> tuple[float, float]:
        """Ours, and the reference's."""
        return float(np.median(self.ours)), float(np.median(self.reference))

    @property
    def ratio(self) -> float:
        """Median over the pairs of ours / reference."""
        return float(np.median(self._ratios()))

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the medians of resampled pairs lie in it."""
        ratios = self._ratios()
        drawn = np.random.default_rng(0).choice(ratios, (RESAMPLES, len(ratios)))
        low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
        return float(low), float(high)

    @property
    def faults(self) -> list[str]:
        """Why the times do not count; empty where they do."""
        limit = self.cores + SPARE_LOAD
        return [
            *([f"load {self.load:.1f} > {limit:.1f}"] if self.load > limit else []),
            *([f"steal {self.steal:.0%} > {MAX_STEAL:.0%}"] if self.steal > MAX_STEAL else []),
        ]

    def _ratios(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array(self.ours) / np.array(self.reference)


def time_pairs(ours: Callable[[], object], reference: Callable[[], object], pairs: int) -> Wall:
    """A B B A …: a machine that warms up or slows down does so for both. Both have run before."""
    return measure_pairs(partial(seconds_of, ours), partial(seconds_of, reference), pairs)


def seconds_of(work: Callable[[], object]) -> float:
    """Return the time that work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure_pairs(ours: Callable[[], float], reference: Callable[[], float], pairs: int) -> Wall:
    """Do as `time_pairs` does with functions that return their own seconds."""
    loads: list[float] = []
    seconds: dict[Callable[[], float], list[float]] = {ours: [], reference: []}
    before = _ticks()
    for pair in range(pairs):
        for work in (ours, reference) if pair % 2 == 0 else (reference, ours):
            seconds[work].append(work())
            loads.append(os.getloadavg()[0])
    total, stolen = (now - then for now, then in zip(_ticks(), before, strict=True))
    return Wall(
        ours=tuple(seconds[ours]),
        reference=tuple(seconds[reference]),
        load=max(loads),
        steal=stolen / total if total else 0.0,
        cores=os.cpu_count() or 1,
    )


def _ticks(source: Path = Path("/proc/stat")) -> Sequence[int]:
    """All of them, and those given to others; zeros on a system that does not tell."""
    if not source.exists():
        return 0, 0
    ticks = [int(number) for number in source.read_text().splitlines()[0].split()[1:9]]
    return sum(ticks), ticks[7]
