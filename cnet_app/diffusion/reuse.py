"""Steps whose prediction is taken from the last computed one, where it is expected to change little.

How much predictions change with their input is known from the two last computed steps. Idea: EasyCache (arXiv 2507.02860).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class _Computed:
    model_input: Tensor
    prediction: Tensor
    circumstances: Hashable
    rate: float | None
    """Mean change of the prediction over that of the input, since the computed step before; None at the first."""


class StepReuse:
    """Predictions of one picture."""

    def __init__(self, threshold: float, steps: int) -> None:
        """`threshold` is a relative change, below which a prediction is taken again; 0 computes every step."""
        self._threshold, self._steps = threshold, steps
        self._last: _Computed | None = None

    def prediction(self, step: int, model_input: Tensor, circumstances: Hashable) -> Tensor | None:
        """Return the last computed prediction for step 0 … steps - 1; None where the step has to be computed.

        `circumstances` are all that acts besides the input and the time: where they differ, and at the last step, nothing
        is taken again.
        """
        last = self._last
        if not self._threshold or last is None or last.rate is None or step == self._steps - 1:
            return None
        if circumstances != last.circumstances:
            return None
        change = last.rate * _mean(model_input - last.model_input) / _mean(last.prediction)
        return last.prediction if change < self._threshold else None

    def keep(self, model_input: Tensor, prediction: Tensor, circumstances: Hashable) -> None:
        """Note a step that was computed."""
        if not self._threshold:
            return
        rate, last = None, self._last
        if last is not None:
            rate = _mean(prediction - last.prediction) / max(_mean(model_input - last.model_input), 1e-12)
        self._last = _Computed(model_input, prediction, circumstances, rate)


def _mean(values: Tensor) -> float:
    return float(values.abs().mean())
