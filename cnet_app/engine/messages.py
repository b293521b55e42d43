"""Messages between a ProcessEngine and its child process: frozen, picklable. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass

from cnet_app.engine.protocol import EngineStatus, Event
from cnet_app.request.tasks import Task


@dataclass(frozen=True)
class Run:
    """Start a task."""

    number: int
    """Names the task in later messages."""
    task: Task


@dataclass(frozen=True)
class Cancel:
    """Cancel a task within a step."""

    number: int


@dataclass(frozen=True)
class Unload:
    """Release all models after the tasks that run."""


@dataclass(frozen=True)
class Close:
    """End the process now."""


@dataclass(frozen=True)
class Happened:
    """An event of a task."""

    number: int
    event: Event


@dataclass(frozen=True)
class Ended:
    """The end of a task; an error is raised to its follower."""

    number: int
    error: Exception | None


@dataclass(frozen=True)
class StatusChanged:
    """The engine's status as it is now."""

    status: EngineStatus


@dataclass(frozen=True)
class Died:
    """The child cannot go on."""

    reason: str


Reply = Happened | Ended | StatusChanged | Died
"""From the child to the parent."""
