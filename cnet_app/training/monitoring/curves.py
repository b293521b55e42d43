"""The records of a run as curves: the course that counts, thinned, and what it says. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from types import MappingProxyType
from typing import Any

from cnet_app.training.monitoring.overfitting import overfits
from cnet_app.training.run import Record, Standing, standing_of

POINTS = 1000
"""Of a curve; longer ones are thinned to so many."""
MEMORY_PARTS: Mapping[str, str] = MappingProxyType(
    {
        "base": "base",
        "network": "trained weights",
        "gradients": "gradients",
        "optimizer": "optimizer",
        "average": "averaged weights",
        "activations": "activations",
        "process": "the process itself",
    }
)
"""Parts of an estimate of memory, in words."""
OF_COURSE = ("step", "probe", "converged", "checkpoint")
"""Kinds of records that a resumed run writes again."""


def course(records: Iterable[Record]) -> list[Record]:
    """Return the records without those that a resumed run has made again."""
    found: list[Record] = []
    last = -1
    for record in records:
        if record.kind == "step":
            if record.step <= last:
                found = [one for one in found if one.kind not in OF_COURSE or one.step < record.step]
            last = record.step
        found.append(record)
    return found


def thinned(records: Sequence[Record], points: int = POINTS) -> list[Record]:
    """Return the records with at most so many of kind `step`: each the mean of as many neighbours, at the step of the last."""
    steps = [record for record in records if record.kind == "step"]
    each = -(-len(steps) // points)
    if each <= 1:
        return list(records)
    means = {
        id(steps[min(first + each, len(steps)) - 1]): _mean(steps[first : first + each])
        for first in range(0, len(steps), each)
    }
    return [means.get(id(record), record) for record in records if record.kind != "step" or id(record) in means]


def estimate_words(values: Mapping[str, Any]) -> str:
    """Return the values of an estimate as a sentence, with the parts of the memory."""
    memory, seconds = values["memory_mb"], values["seconds"]
    parts = ", ".join(f"{words} {memory[name]:,}" for name, words in MEMORY_PARTS.items() if memory.get(name))
    step = f"{seconds['step']:.2g}" if seconds["step"] < 1 else f"{seconds['step']:.1f}"
    return (
        f"Measured on two steps: about {memory['total']:,} MB of memory ({parts}), {step} s a step, "
        f"{duration_words(seconds['total'])} in all, looks at the probes not counted."
    )


def duration_words(seconds: float) -> str:
    """Return a duration in the unit that fits it: '45 seconds', '12 minutes', '3 h 20 min'."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} second{'s' * (round(seconds) != 1)}"
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _mean(steps: Sequence[Record]) -> Record:
    values: dict[str, Any] = {name: fmean(float(one.values[name]) for one in steps) for name in steps[0].values}
    return replace(steps[-1], values=values)


@dataclass(frozen=True)
class Looked:
    """A look at the probes with the mean loss of the steps since the one before; None without any."""

    step: int
    score: float
    loss: float | None


@dataclass
class Story:
    """What the records of a run come to, read one after the other."""

    step: int = 0
    last: Record | None = None
    """The last record of its state."""
    looks: list[Looked] = field(default_factory=list[Looked])
    converged: Record | None = None
    estimate: Record | None = None
    checkpoint: int | None = None
    """Step of the newest one."""
    best_checkpoints: list[int] = field(default_factory=list[int])
    """Steps of those that were the best when they were written; the last one is the best now, and is kept."""
    exported: Record | None = None
    notes: list[str] = field(default_factory=list[str])
    loss_sum: float = 0.0
    loss_count: int = 0
    """Of the steps since the last look."""

    def add(self, records: Iterable[Record]) -> None:
        """Take the next records."""
        for record in records:
            if record.kind == "step" and record.step <= self.step:
                self._go_back(record.step)
            self._take(record)

    def snapshot(self) -> Story:
        """Return a copy that later records do not change."""
        return replace(
            self, looks=list(self.looks), notes=list(self.notes), best_checkpoints=list(self.best_checkpoints)
        )

    def _take(self, record: Record) -> None:
        match record.kind:
            case "state":
                self.last = record
            case "step":
                self.step = record.step
                self.loss_sum, self.loss_count = self.loss_sum + float(record.values["loss"]), self.loss_count + 1
            case "probe" if record.values["score"] is not None:
                loss = self.loss_sum / self.loss_count if self.loss_count else None
                self.looks.append(Looked(record.step, float(record.values["score"]), loss))
                self.loss_sum, self.loss_count = 0.0, 0
            case "converged":
                self.converged = record
            case "estimate":
                self.estimate = record
            case "checkpoint":
                self.checkpoint = record.step
                if record.values.get("best"):
                    self.best_checkpoints.append(record.step)
            case "exported":
                self.exported = record
            case "note":
                self.notes.append(str(record.values["message"]))
            case _:
                pass

    def _go_back(self, step: int) -> None:
        """Forget what a resumed run makes again from this step on."""
        self.looks = [look for look in self.looks if look.step < step]
        self.best_checkpoints = [best for best in self.best_checkpoints if best < step]
        self.converged = self.converged if self.converged and self.converged.step < step else None
        self.loss_sum, self.loss_count = 0.0, 0

    @property
    def standing(self) -> Standing:
        """Return how the run stands."""
        return standing_of(self.last)

    @property
    def best_checkpoint(self) -> int | None:
        """Return the step of the best checkpoint; None where none has a score."""
        return self.best_checkpoints[-1] if self.best_checkpoints else None

    @property
    def overfits(self) -> bool:
        """Return whether agreement with the probes has fallen lastingly while the training loss still falls."""
        looks = [(look.score, look.loss) for look in self.looks if look.loss is not None]
        return overfits([score for score, _ in looks], [loss for _, loss in looks])
