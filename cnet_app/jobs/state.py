"""The state of a job at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from cnet_app.request.downloads import DownloadRequest
from cnet_app.request.generation import GenerationRequest, GenerationResult
from cnet_app.request.plain import FrozenMap
from cnet_app.request.recipes.scores import UnitScore, best_of, mean_agreement
from cnet_app.request.upscale import UpscaleRequest

Status = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class JobState:
    """A snapshot: it never changes, a newer one takes its place."""

    id: str
    session: str = field(repr=False)
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
    file_fraction: float = 0.0
    """Share of the file that is being downloaded, 0 to 1; 0 where its size is unknown."""
    preview: bytes = field(default=b"", repr=False)
    """JPEG of the running picture; empty until the first one."""
    paths: tuple[str, ...] = ()
    """Pictures that are on the disk, in order."""
    picture_ids: Mapping[str, str] = field(default_factory=FrozenMap[str])
    """Ids in the library, by path."""
    seconds_left: float | None = None
    """Until its end, from the seconds that earlier steps took, those of the jobs before it included; None where unknown."""
    scores: Mapping[str, tuple[UnitScore, ...]] = field(default_factory=FrozenMap[tuple[UnitScore, ...]])
    """By path, one score a unit, of the pictures that were measured so far; some come after the job's end."""
    result: GenerationResult | None = None
    error: str = ""
    """One sentence, where the job failed."""

    @property
    def num_images(self) -> int:
        """Pictures that the job makes."""
        return self.request.num_images if isinstance(self.request, GenerationRequest) else 1

    @property
    def is_over(self) -> bool:
        """Nothing but the scores will change any more."""
        return self.status not in ("queued", "running")

    @property
    def best_first(self) -> tuple[str, ...]:
        """The paths by mean agreement, the best first; those that were not measured yet come last."""
        return best_of({path: self.scores.get(path, ()) for path in self.paths})

    @property
    def mean_scores(self) -> dict[str, float]:
        """Mean agreement of the pictures measured so far, 0 to 1, by condition; without those that have none."""
        found = [one for scores in self.scores.values() for one in scores]
        by_condition = {one.condition: [two for two in found if two.condition == one.condition] for one in found}
        means = {id: mean_agreement(scores) for id, scores in by_condition.items()}
        return {id: round(mean, 4) for id, mean in means.items() if mean is not None}

    @property
    def fraction(self) -> float:
        """Share of the work that is done, 0 to 1; of a download, that of its present file."""
        if self.status == "done":
            return 1.0
        if isinstance(self.request, DownloadRequest):
            return self.file_fraction
        return (self.image_index + self.step / max(self.steps, 1)) / self.num_images
