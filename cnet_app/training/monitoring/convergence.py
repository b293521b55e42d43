"""The sudden convergence: the step at which a ControlNet begins to follow its map. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Jump:
    """A change of the probes' mean score."""

    step: int
    """First look that shows it."""
    before: float
    after: float


LOOKS = 3
"""Looks in a row that must be above all earlier ones: one or two may be luck."""
LEAST = 0.1
"""Smallest rise, of an agreement from 0 to 1, that counts as following the map."""
DEVIATIONS = 4.0
"""Rise in standard deviations of the looks before it."""


def find_jump(steps: Sequence[int], scores: Sequence[float]) -> Jump | None:
    """Return the first jump in the scores of looks at the probes, 0 to 1 each, in the order of their steps; else None.

    Before a jump the scores lie around one level; from its first look on, LOOKS in a row are clearly above all of them.
    """
    for place in range(1, len(scores) - LOOKS + 1):
        before, after = scores[:place], scores[place : place + LOOKS]
        needed = max(LEAST, DEVIATIONS * _deviation(before))
        if min(after) > max(before) and fmean(after) - fmean(before) > needed:
            return Jump(steps[place], fmean(before), fmean(after))
    return None


def _deviation(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0
