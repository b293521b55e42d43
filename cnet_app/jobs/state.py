"""What can be known about a job at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cnet_app.request.generation import GenerationRequest, GenerationResult

Status = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class JobState:
    """A snapshot: it never changes, a newer one takes its place."""

    id: str
    session: str
    request: GenerationRequest = field(repr=False)
    status: Status = "queued"
    place: int = 0
    """In line: 1 is next. 0 once it runs."""
    doing: str = ""
    """What takes the time before the first step, also while it waits, such as loading; else empty."""
    image_index: int = 0
    """0 … num_images - 1: the picture that is being made."""
    step: int = 0
    """0 … steps, of that picture."""
    steps: int = 0
    """How many it takes: fewer than asked for where it starts from a picture. 0 before the first."""
    preview: bytes = field(default=b"", repr=False)
    """JPEG of the running picture, at most PREVIEW_SIDE px; empty until the first one."""
    paths: tuple[str, ...] = ()
    """Pictures that are on the disk, in order."""
    result: GenerationResult | None = None
    error: str = ""
    """One sentence, where the job failed."""

    @property
    def is_over(self) -> bool:
        """Nothing will change any more."""
        return self.status not in ("queued", "running")

    @property
    def fraction(self) -> float:
        """Of the work done, 0 to 1."""
        if self.status == "done":
            return 1.0
        return (self.image_index + self.step / max(self.steps, 1)) / self.request.num_images
