"""The sudden convergence: the step at which a ControlNet begins to follow its map. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Jump:
    """A change of the probes' mean score."""

    step: int
    """First look that shows it."""
    before: float
    after: float


def find_jump(steps: Sequence[int], scores: Sequence[float]) -> Jump | None:
    """Return the jump in the scores of looks at the probes, 0 to 1 each, in the order of their steps; None where there is none."""
    raise NotImplementedError
