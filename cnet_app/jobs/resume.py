"""The rest of a job that ended before all its pictures were made."""

from __future__ import annotations

import dataclasses

from cnet_app.jobs.state import Status
from cnet_app.request.downloads import DownloadRequest
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.tasks import Task
from cnet_app.request.upscale import UpscaleRequest
from models.errors import InputError


def check_ended(id: str, status: Status) -> None:
    """Raise InputError for a job that waits, runs, or is done."""
    if status in ("queued", "running"):
        raise InputError(f"Job {id!r} has not ended; wait for it, or cancel it before you continue it.")
    if status == "done":
        raise InputError(f"Job {id!r} is done, nothing of it is left; press Generate for another picture.")


def rest_of(id: str, task: Task, done: int) -> GenerationRequest | UpscaleRequest | DownloadRequest:
    """Return the task for all pictures after the first `done` ones, bit for bit as the whole task would make them.

    Raises InputError where all of them are there.
    """
    if not isinstance(task, GenerationRequest | UpscaleRequest | DownloadRequest):
        raise InputError(
            f"Job {id!r} is of kind {task.kind}, which makes no picture; only jobs that make pictures continue."
        )
    pictures = task.num_images if isinstance(task, GenerationRequest) else 1
    if done >= pictures:
        noun = "The picture" if pictures == 1 else f"All {pictures} pictures"
        verb = "is" if pictures == 1 else "are"
        raise InputError(f"{noun} of job {id!r} {verb} there already; press Generate for another one.")
    if isinstance(task, GenerationRequest):
        return dataclasses.replace(task, seed=task.seed + done, num_images=pictures - done)
    return task
