"""What a run has reached; all of it is in its checkpoints. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnet_app.training.monitoring.convergence import Jump, find_jump


@dataclass
class Progress:
    """Changes with every update and every look at the probes."""

    step: int = 0
    """Updates that are done."""
    looks: tuple[tuple[int, float], ...] = ()
    """Step and mean score of each look at the probes."""
    converged: int | None = None
    """Step of the sudden convergence; None before it."""

    @property
    def best(self) -> tuple[int, float] | None:
        """Return step and score of the best look, the first of equal ones; None before the first."""
        return max(self.looks, key=lambda look: look[1], default=None)

    @property
    def looks_without_gain(self) -> int:
        """Return the number of looks since the best one."""
        best = self.best
        return sum(1 for step, _ in self.looks if best and step > best[0])

    def add_look(self, score: float) -> Jump | None:
        """Note a look at the current step; return the jump where this look shows the sudden convergence."""
        self.looks = (*self.looks, (self.step, score))
        if self.converged is not None:
            return None
        jump = find_jump([step for step, _ in self.looks], [score for _, score in self.looks])
        self.converged = jump.step if jump else None
        return jump

    def to_state(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return vars(self) | {"looks": [list(look) for look in self.looks]}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Progress:
        """Return the inverse of `to_state`."""
        looks = tuple((int(step), float(score)) for step, score in state["looks"])
        return cls(step=int(state["step"]), looks=looks, converged=state["converged"])
