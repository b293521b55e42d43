"""The engine: a task in, a stream of events out. Everything that runs a network stands behind it. Loads no torch.

Events are frozen, plain and picklable, so that they can cross the border of a process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from annotators.base import Image
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.tasks import Task
from models.downloads.download import DownloadProgress

PREVIEW_INTERVAL = 0.3
"""Seconds between two Stepped events: a preview takes time, and a browser repaints no faster."""
PREVIEW_SIDE = 256
"""Longest side of a preview in px."""


@dataclass(frozen=True, kw_only=True)
class Downloading:
    """Progress of one file's download, at most every PREVIEW_INTERVAL seconds."""

    file: DownloadProgress


@dataclass(frozen=True, kw_only=True)
class Loading:
    """A model is being read from the disk."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The models are loaded; `request` is what runs: of an upscale the generation that it became."""

    request: GenerationRequest


@dataclass(frozen=True, kw_only=True)
class Stepped:
    """One step of one picture, at most one every PREVIEW_INTERVAL seconds."""

    image_index: int
    """0 … num_images - 1."""
    step: int
    """1 … steps."""
    steps: int
    """Steps that run; fewer than requested in image to image."""
    preview: bytes = field(default=b"", repr=False)
    """JPEG of at most PREVIEW_SIDE px."""


@dataclass(frozen=True, kw_only=True)
class PictureMade:
    """One finished picture."""

    index: int
    pixels: Image = field(repr=False)
    """(height, width, 3) RGB uint8."""
    facts: Mapping[str, str]
    """Device, number format, sampler, versions and the like, for the recipe."""
    residual_norms: tuple[tuple[float, ...], ...] = ()
    """Half-way through the steps: per unit that ran and per block, the norm of its residual."""


@dataclass(frozen=True, kw_only=True)
class MapMade:
    """The output of an annotator."""

    pixels: Image = field(repr=False)
    """(H, W, 3) RGB uint8."""
    data: Mapping[str, Any] | None = field(default=None, repr=False)
    """People or classes as JSON, for annotators that find any."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """A sentence for the user, such as a part of the request that has no effect."""

    text: str


Event = Downloading | Loading | Prepared | Stepped | PictureMade | MapMade | Note


class EventStream(Iterator[Event], Protocol):
    """The events of one task, in order; what ends the task early is raised by `__next__`."""

    def close(self) -> None:
        """Cancel within a step. May be called from any thread; events already made are still delivered, then CancelledError is raised."""
        ...


@dataclass(frozen=True, kw_only=True)
class EngineStatus:
    """A snapshot."""

    state: Literal["new", "starting", "ready", "down"]
    message: str = ""
    """Why it is down, and what to do."""
    base: str = ""
    """Id of the base model that is used where none is chosen; empty while starting."""
    base_reason: str = ""
    """Why it is that one, as a clause: 'no GPU was found'."""
    base_offer: str = ""
    """Catalogue id of a better base that could be downloaded; empty where there is none."""
    device: str = ""
    device_bytes: int = 0
    """Memory of the device, for a CPU of the computer; 0 where it is not known."""
    value_bytes: int = 4
    """Bytes of a number in its networks."""
    loaded: tuple[str, ...] = ()
    """Names of the models in memory."""
    loaded_bytes: int = 0
    process_id: int = 0
    starts: int = 1
    """Number of starts of the engine, crashes included."""


class Engine(Protocol):
    """Runs tasks. Pictures run one at a time, and maps one at a time; the two do not wait for each other where memory allows."""

    def run(self, task: Task) -> EventStream:
        """Start a task. Its end is StopIteration, a USER_ERRORS exception, or EngineError where the engine itself failed."""
        ...

    def status(self) -> EngineStatus:
        """Return at once, whatever runs."""
        ...

    def unload(self) -> None:
        """Release all models, after the picture that runs."""
        ...

    def start(self) -> None:
        """Start, also again after the engine went down; no effect while it is up. `run` starts it too."""
        ...

    def close(self) -> None:
        """Cancel everything and end."""
        ...
