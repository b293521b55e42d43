"""Jobs by their ids: those that wait or run, and the latest that are over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, cast

from cnet_app.jobs.job import Job

REMEMBERED = 200
"""Jobs that are over and can still be asked about."""
REMEMBERED_BYTES = 100_000_000
"""Of the pictures in their requests."""


class Remembered:
    """Holds every job until it is over, and then until there are too many. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def get(self, id: str) -> Job | None:
        """Return the job of an id; None where there is none, or none any more."""
        return self._jobs.get(id)

    def running(self) -> list[Job]:
        """Return the jobs that run."""
        return [job for job in self._jobs.values() if job.state.status == "running"]

    def add(self, job: Job) -> None:
        """Add a new job, and forget the oldest of those that are over where there are too many."""
        over = [id for id, known in self._jobs.items() if known.state.is_over]
        excess = max(len(over) - REMEMBERED, 0)
        held = 0
        for place, id in reversed(list(enumerate(over))):
            held += picture_bytes(self._jobs[id].state.request)
            if held > REMEMBERED_BYTES:
                excess = max(excess, place + 1)
                break
        for id in over[:excess]:
            del self._jobs[id]
        self._jobs[job.state.id] = job


def picture_bytes(value: object) -> int:
    """Return the bytes of all pictures in a request, at any depth."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, tuple):
        return sum(map(picture_bytes, cast("tuple[object, ...]", value)))
    if is_dataclass(value):
        known = cast(Any, value)
        return sum(picture_bytes(getattr(known, one.name)) for one in fields(known))
    return 0
