"""A job as the runner holds it, and how it stands among the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cnet_app.engine.protocol import Downloading, EngineStatus, Event, EventStream, Loading, Note, Prepared, Stepped
from cnet_app.jobs.pace import Pace, Work, work_of
from cnet_app.jobs.state import JobState
from cnet_app.request.generation import GenerationRequest, GenerationResult
from cnet_app.request.plain import FrozenMap
from cnet_app.request.recipes.scores import UnitScore

LOADING = "Loading the model"


@dataclass(eq=False)
class Job:
    """The latest state of a job, and what the runner needs beside it. Its owner holds a lock."""

    state: JobState
    work: Work | None = None
    """None where its time cannot be known."""
    cancelled: bool = False
    stream: EventStream | None = None
    """The task that runs for the job; closing it cancels."""
    prepared: GenerationRequest | None = None
    notes: dict[str, None] = field(default_factory=dict[str, None])
    residual_norms: tuple[tuple[float, ...], ...] = ()
    started: float = 0.0
    began: float = 0.0
    """When its models were loaded."""
    steps_done: int = 0
    """Of all its pictures."""

    def take(self, event: Event, pace: Pace) -> None:
        """Note what an event of the task tells, but for a finished picture."""
        changes: dict[str, Any] = {"doing": ""}
        match event:
            case Loading():
                changes = {"doing": LOADING}
            case Downloading():
                share = event.file.done / event.file.size if event.file.size else 0.0
                changes = {"doing": f"Downloading {event.file.text}", "file_fraction": min(share, 1.0)}
            case Prepared():
                self.prepared, self.work, self.began = event.request, work_of(event.request), time.monotonic()
                changes["steps"] = event.request.num_inference_steps
            case Stepped():
                self.work = replace(self.work, steps=event.steps) if self.work else None
                self.measure(pace, event.image_index * event.steps + event.step)
                changes |= {"image_index": event.image_index, "step": event.step, "steps": event.steps}
                changes["preview"] = event.preview
            case Note():
                self.notes[event.text] = None
                return
            case _:
                return
        self.state = replace(self.state, **changes)

    def take_scores(self, path: str, scores: tuple[UnitScore, ...]) -> None:
        """Note the scores of one of its pictures."""
        self.state = replace(self.state, scores=FrozenMap({**self.state.scores, path: scores}))

    def measure(self, pace: Pace, steps_done: int) -> None:
        """Note how far the job is, and how long that took."""
        self.steps_done = steps_done
        if self.work and steps_done:
            pace.measure(self.work, steps_done, time.monotonic() - self.began)

    def seconds_left(self, pace: Pace) -> float | None:
        """Return the seconds of its steps; None where its base never ran, and while it downloads."""
        known = self.work and self.state.doing in ("", LOADING)
        return pace.seconds(self.work, self.steps_done) if self.work and known else None

    def result(self) -> GenerationResult:
        """Return what a job that is done gave."""
        request = self.prepared
        assert request is not None
        return GenerationResult(
            request=request,
            paths=self.state.paths,
            seeds=tuple(request.seed + index for index in range(request.num_images)),
            seconds=round(time.monotonic() - self.started, 3),
            residual_norms=self.residual_norms,
            notes=tuple(self.notes),
        )


def standing(job: Job, running: Sequence[Job], waiting: Sequence[Job], status: EngineStatus, pace: Pace) -> JobState:
    """Return a job's state with what depends on other jobs and the engine: its place, its wait and the time left.

    `running` and `waiting` are the jobs that make pictures, in the order of their turns.
    """
    if job.state.is_over:
        return job.state
    if job not in waiting:
        return replace(job.state, seconds_left=_sum([job], pace))
    place = waiting.index(job) + 1
    if status.state == "down":
        return replace(job.state, place=place, doing=status.message)
    doing = LOADING if status.state != "ready" else ""
    return replace(job.state, place=place, doing=doing, seconds_left=_sum([*running, *waiting[:place]], pace))


def _sum(jobs: Sequence[Job], pace: Pace) -> float | None:
    """Return the seconds of all jobs together; None where those of one are not known."""
    parts = [job.seconds_left(pace) for job in jobs]
    known = [part for part in parts if part is not None]
    return round(sum(known), 1) if len(known) == len(parts) else None
