"""Seconds a step: measured while jobs run, and what they say about the time that jobs still take."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from cnet_app.request.generation import GenerationRequest
from cnet_app.request.tasks import Task
from cnet_app.request.upscale import UpscaleRequest


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a job computes, as far as its time depends on it."""

    base: str
    pixels: int
    """Of one picture."""
    units: int
    guided: bool
    """Twice as much at every step, where the base has two sides."""
    reuse_threshold: float
    """Above 0 some steps compute nothing."""
    steps: int
    """Of one picture."""
    pictures: int

    @property
    def kind(self) -> Hashable:
        """Work of one kind takes as long a step and pixel."""
        return self.base, self.units, self.guided, self.reuse_threshold


def work_of(task: Task) -> Work | None:
    """Return the work of a task; None for one that runs in no steps."""
    if isinstance(task, GenerationRequest):
        (width, height), units, strength, pictures = (
            (task.width, task.height),
            len(task.units),
            task.strength,
            task.num_images,
        )
    elif isinstance(task, UpscaleRequest):
        (width, height), units, strength, pictures = task.size, 1, task.strength, 1
    else:
        return None
    return Work(
        base=task.base,
        pixels=width * height,
        units=units,
        guided=task.guidance_scale > 1,
        reuse_threshold=task.reuse_threshold if isinstance(task, GenerationRequest) else 0.0,
        steps=max(round(task.num_inference_steps * strength), 1),
        pictures=pictures,
    )


class Pace:
    """The latest measured seconds a step, by kind of work. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._alike: dict[Hashable, float] = {}
        self._of_base: dict[str, float] = {}
        """Both in seconds a step and pixel."""

    def measure(self, work: Work, steps: int, seconds: float) -> None:
        """Note that so many steps of the work took so many seconds."""
        rate = seconds / (steps * work.pixels)
        self._alike[work.kind] = self._of_base[work.base] = rate

    def seconds(self, work: Work, done: int = 0) -> float | None:
        """Return the seconds that the work takes after `done` steps of all its pictures; None where its base never ran."""
        rate = self._alike.get(work.kind, self._of_base.get(work.base))
        if rate is None:
            return None
        return rate * work.pixels * max(work.steps * work.pictures - done, 0)
