"""How large a job of a visitor may be."""

from __future__ import annotations

from cnet_app.jobs.pace import Work, work_of
from cnet_app.request.tasks import Task
from cnet_app.settings import Settings
from models.errors import InputError


def size_of_job(work: Work) -> float:
    """Return the size of a job in megapixel steps: megapixels × steps × pictures × (1 + control layers)."""
    return work.pixels / 1e6 * work.steps * work.pictures * (1 + work.units)


def check_size(task: Task, settings: Settings) -> None:
    """Raise InputError for a job that is larger than one visitor's may be in public mode."""
    work = work_of(task)
    if settings.is_local or work is None or size_of_job(work) <= settings.max_job_size:
        return
    raise InputError(
        f"The job is {work.pixels / 1e6:.2f} megapixels × {work.steps} steps × {work.pictures} pictures × "
        f"(1 + {work.units} control layers) = {size_of_job(work):,.0f} megapixel steps, but one job of this app has at most "
        f"{settings.max_job_size:,}; choose a smaller size, or fewer steps, pictures or layers."
    )
