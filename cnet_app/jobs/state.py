"""The state of a job at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cnet_app.request.downloads import DownloadRequest
from cnet_app.request.generation import GenerationRequest, GenerationResult
from cnet_app.request.upscale import UpscaleRequest

Status = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class JobState:
    """A snapshot: it never changes, a newer one takes its place."""

    id: str
    session: str
    request: GenerationRequest | UpscaleRequest | DownloadRequest = field(repr=False)
    status: Status = "queued"
    place: int = 0
    """Place in the queue: 1 is next. 0 once it runs."""
    doing: str = ""
    """The activity before the first step, such as loading; empty during steps."""
    image_index: int = 0
    """0 … num_images - 1: the picture that is being made."""
    step: int = 0
    """0 … steps, of that picture."""
    steps: int = 0
    """Steps of one picture; 0 before the first."""
    preview: bytes = field(default=b"", repr=False)
    """JPEG of the running picture; empty until the first one."""
    paths: tuple[str, ...] = ()
    """Pictures that are on the disk, in order."""
    seconds_left: float | None = None
    """Until its end, from the seconds that earlier steps took, those of the jobs before it included; None where unknown."""
    result: GenerationResult | None = None
    error: str = ""
    """One sentence, where the job failed."""

    @property
    def num_images(self) -> int:
        """Pictures that the job makes."""
        return self.request.num_images if isinstance(self.request, GenerationRequest) else 1

    @property
    def is_over(self) -> bool:
        """Nothing will change any more."""
        return self.status not in ("queued", "running")

    @property
    def fraction(self) -> float:
        """Share of the work that is done, 0 to 1."""
        if self.status == "done":
            return 1.0
        return (self.image_index + self.step / max(self.steps, 1)) / self.num_images
