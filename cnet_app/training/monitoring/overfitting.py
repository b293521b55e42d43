"""Overfitting: agreement with the probes falls lastingly while the training loss still falls. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import pi, sqrt
from statistics import fmean

LOOKS = 5
"""Looks at the probes whose mean is compared: one look alone is mostly noise."""
LEAST = 0.03
"""Smallest fall, of an agreement from 0 to 1, that counts."""
DEVIATIONS = 7.0
"""Fall in standard errors of such a mean: the best of many means is above the true level by some of them."""
NORMAL = sqrt(pi) / 2
"""Standard deviation of single looks by the mean distance of two neighbours, for normal noise."""


def overfits(scores: Sequence[float], losses: Sequence[float]) -> bool:
    """Return whether the last looks lie clearly below the best ones, and the loss between them is lower than it was then.

    `scores` are of all looks in their order, 0 to 1 each, and `losses` the mean losses of training before each.
    """
    if len(scores) < 2 * LOOKS:
        return False
    means = [fmean(scores[first : first + LOOKS]) for first in range(len(scores) - LOOKS + 1)]
    best = max(range(len(means)), key=means.__getitem__)
    distances = sorted(abs(after - before) for before, after in pairwise(scores))
    noise = NORMAL * fmean(distances[:-1])  # without the one that a sudden convergence makes
    fall = means[best] - means[-1]
    return fall > max(LEAST, DEVIATIONS * noise / sqrt(LOOKS)) and fmean(losses[-LOOKS:]) < fmean(
        losses[best : best + LOOKS]
    )
