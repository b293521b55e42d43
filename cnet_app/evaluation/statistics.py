"""Intervals by the bootstrap, paired tests between methods, and Holm's correction. Loads no torch.

The unit of all of them is the control image: pictures of one control image are never told apart by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from annotators.base import Parameter
from models.errors import InputError

Numbers = NDArray[np.float64]
IntervalKind = Literal["percentile", "bca"]
TestKind = Literal["permutation", "wilcoxon"]
INTERVALS: tuple[IntervalKind, ...] = get_args(IntervalKind)
TESTS: tuple[TestKind, ...] = get_args(TestKind)
LEAST = 2
"""Control images from which an interval and a test can be computed."""
MOST_NUMBERS = 4_000_000
"""Of the weights that are in memory at a time."""
RESAMPLES = Parameter(default=10_000, minimum=100, maximum=1_000_000, help="resamples of the bootstrap and the test")
LEVEL = Parameter(default=0.95, minimum=0.5, maximum=0.999, help="share of the intervals that hold the true value")


class Sample(Protocol):
    """Results of one method on N control images."""

    @property
    def size(self) -> int:
        """Number of control images."""
        ...

    def estimate(self, weights: Numbers) -> Numbers:
        """Return (R,) estimates; row r of the weights, (R, N), says how often each control image is in sample r."""
        ...


@dataclass(frozen=True)
class Means:
    """One number for each control image; the estimate is their mean."""

    values: Numbers
    """(N,)."""

    @property
    def size(self) -> int:
        """Number of control images."""
        return len(self.values)

    def estimate(self, weights: Numbers) -> Numbers:
        """Return the weighted means."""
        return weights @ self.values / weights.sum(axis=1)

    def joined(self, other: Means) -> Means:
        """Return both, one after the other."""
        return Means(np.concatenate([self.values, other.values]))


@dataclass(frozen=True)
class Overlaps:
    """Pixel counts of C classes for each control image; the estimate is the mean IoU over the classes of all together."""

    both: Numbers
    """(N, C): pixels in which both maps have the class."""
    either: Numbers
    """(N, C): pixels in which either has it."""

    @property
    def size(self) -> int:
        """Number of control images."""
        return len(self.both)

    def estimate(self, weights: Numbers) -> Numbers:
        """Return the mean over the classes that the sample holds."""
        both, either = weights @ self.both, weights @ self.either
        there = either > 0
        return np.where(there, both / np.maximum(either, 1), 0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)

    def joined(self, other: Overlaps) -> Overlaps:
        """Return both, one after the other."""
        return Overlaps(np.concatenate([self.both, other.both]), np.concatenate([self.either, other.either]))


@dataclass(frozen=True)
class Pairs:
    """Two methods on the same control images; the estimate is the first less the second."""

    one: Sample
    other: Sample

    @property
    def size(self) -> int:
        """Number of control images."""
        return self.one.size

    def estimate(self, weights: Numbers) -> Numbers:
        """Return the differences."""
        return self.one.estimate(weights) - self.other.estimate(weights)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How intervals and tests are computed."""

    level: float = float(LEVEL.default)
    resamples: int = int(RESAMPLES.default)
    interval: IntervalKind = "percentile"
    test: TestKind = "permutation"
    seed: int = 0

    def __post_init__(self) -> None:
        LEVEL.check("level", self.level)
        RESAMPLES.check("resamples", self.resamples)
        for name, value, known in (("interval", self.interval, INTERVALS), ("test", self.test, TESTS)):
            if value not in known:
                raise InputError(f"{name} is {value!r}, but it must be one of: {', '.join(known)}.")


def value_of(sample: Sample) -> float:
    """Return the estimate of the sample as it is."""
    return float(sample.estimate(np.ones((1, sample.size)))[0])


def bootstrap(sample: Sample, settings: Settings) -> tuple[float, float] | None:
    """Return the interval of the estimate; None with fewer than LEAST control images."""
    if sample.size < LEAST:
        return None
    rng = np.random.default_rng(settings.seed)
    share = np.full(sample.size, 1 / sample.size)
    draws = np.concatenate(
        [
            sample.estimate(rng.multinomial(sample.size, share, size=rows).astype(np.float64))
            for rows in _chunks(settings.resamples, sample.size)
        ]
    )
    tail = (1 - settings.level) / 2
    shares = np.array([tail, 1 - tail])
    if settings.interval == "bca":
        shares = _bca_shares(sample, draws, shares)
    low, high = np.quantile(draws, shares)
    return float(low), float(high)


def _chunks(total: int, size: int) -> Iterator[int]:
    """Yield numbers of rows of `size` numbers that add up to `total`."""
    most = max(1, MOST_NUMBERS // size)
    for start in range(0, total, most):
        yield min(most, total - start)


def _bca_shares(sample: Sample, draws: Numbers, shares: Numbers) -> Numbers:
    """Return the quantiles of the bias-corrected and accelerated interval (Efron 1987)."""
    from scipy.special import ndtr, ndtri

    below = (draws < value_of(sample)).mean() + (draws == value_of(sample)).mean() / 2
    bias = ndtri(np.clip(below, 1 / (len(draws) + 1), len(draws) / (len(draws) + 1)))
    left_out = _left_one_out(sample)
    spread = left_out.mean() - left_out
    cubes, squares = (spread**3).sum(), (spread**2).sum()
    acceleration = cubes / (6 * squares**1.5) if squares > 0 else 0.0
    reach = bias + ndtri(shares)
    return ndtr(bias + reach / (1 - acceleration * reach))


def _left_one_out(sample: Sample) -> Numbers:
    """Return (N,): the estimate without each control image in turn."""
    found: list[Numbers] = []
    start = 0
    for rows in _chunks(sample.size, sample.size):
        weights = np.ones((rows, sample.size))
        weights[np.arange(rows), start + np.arange(rows)] = 0
        found.append(sample.estimate(weights))
        start += rows
    return np.concatenate(found)


def paired_test(one: Means | Overlaps, other: Means | Overlaps, settings: Settings) -> float | None:
    """Return the two-sided p value of no difference between two methods; None with fewer than LEAST control images."""
    if one.size < LEAST:
        return None
    if settings.test == "wilcoxon":
        return _wilcoxon(one, other)
    return _permutation(one, other, settings)


def _wilcoxon(one: Means | Overlaps, other: Means | Overlaps) -> float:
    if not (isinstance(one, Means) and isinstance(other, Means)):
        raise InputError(
            "A Wilcoxon test needs one number for each picture; take the permutation test for this measure."
        )
    from scipy.stats import wilcoxon

    differences = one.values - other.values
    found: Any = wilcoxon(differences) if np.any(differences) else None
    return float(found.pvalue) if found is not None else 1.0


def _permutation(one: Means | Overlaps, other: Means | Overlaps, settings: Settings) -> float:
    """Exchange the methods at random for each control image; all ways are tried where they are few."""
    rng = np.random.default_rng(settings.seed)
    size, exact = one.size, 2**one.size <= settings.resamples
    assert type(one) is type(other)
    joined: Sample = one.joined(other)  # pyright: ignore[reportArgumentType] - both are of one type
    observed = abs(value_of(one) - value_of(other))
    reached, total, start = 0, 2**size if exact else settings.resamples, 0
    for rows in _chunks(total, 2 * size):
        swap = _every_way(start, rows, size) if exact else rng.random((rows, size)) < 0.5
        first, second = np.hstack([~swap, swap]).astype(np.float64), np.hstack([swap, ~swap]).astype(np.float64)
        differences = np.abs(joined.estimate(first) - joined.estimate(second))
        reached += int((differences >= observed - 1e-12).sum())
        start += rows
    return reached / total if exact else (reached + 1) / (total + 1)


def _every_way(start: int, rows: int, size: int) -> NDArray[np.bool_]:
    """Return (rows, size): the binary digits of the numbers from `start` on."""
    return (np.arange(start, start + rows)[:, None] >> np.arange(size) & 1).astype(np.bool_)


def holm(values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return p values corrected for their number by Holm's step-down method; None stays."""
    known = sorted((value, index) for index, value in enumerate(values) if value is not None)
    corrected: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (value, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        corrected[index] = largest
    return tuple(corrected)
