"""What the runner runs. Tests put a fake here, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cnet_app.conditions import condition
from cnet_app.errors import InputError
from cnet_app.requests import ControlUnit, GenerationRequest
from models import weights
from models.catalog import CATALOG

if TYPE_CHECKING:
    from cnet_app.settings import Settings


class Progress(Protocol):
    """One finished step of a picture."""

    @property
    def step(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def norms(self) -> Callable[[], list[list[float]]]: ...
    @property
    def preview(self) -> Callable[[], NDArray[np.uint8]]: ...


class Generate(Protocol):
    """The pictures of a request, (H, W, 3) RGB uint8."""

    def __call__(
        self,
        base: Any,
        controlnets: Sequence[Any],
        request: GenerationRequest,
        *,
        on_step: Callable[[Any], None],
        cancelled: Callable[[], bool],
    ) -> list[NDArray[np.uint8]]: ...


FileProgress = Callable[[str, int, int | None], None]
"""Called with a file's name, bytes done, and bytes in all where known; may raise to stop."""


@dataclass(frozen=True)
class Engine:
    """Everything that needs torch, behind functions that are called in the worker's thread alone."""

    choose_base: Callable[[], tuple[str, str]]
    """The id of the base model to start with, and why, as a clause: 'there is no GPU'."""
    load_base: Callable[[str], Any]
    """Has `family`."""
    load_controlnet: Callable[[str, Any], Any]
    """From its id, for a loaded base."""
    generate: Generate
    fetch: Callable[[str, FileProgress], object] = lambda id, progress: None
    """Brings the files of an id to this disk, where a download tells how far it is."""


def create_engine(settings: Settings) -> Engine:
    """The real one. torch is imported by the first call, not here."""

    def choose_base() -> tuple[str, str]:
        if settings.base:
            return settings.base, "it was chosen at the start"
        from models.loader import default_base

        return default_base()

    def load_base(id: str) -> Any:
        from models import loader

        return loader.load_base(id, *loader.choose_device(settings.device))

    def load_controlnet(id: str, base: Any) -> Any:
        from models import loader

        return loader.load_controlnet(id, base.family, base.device, base.dtype)

    def generate(base: Any, controlnets: Sequence[Any], request: GenerationRequest, **watch: Any) -> Any:
        from cnet_app.diffusion import pipeline

        return pipeline.generate(base, controlnets, request, **watch)

    def fetch(id: str, progress: FileProgress) -> None:
        if any(row.id == id for row in CATALOG):
            weights.fetch(id, progress)

    return Engine(choose_base, load_base, load_controlnet, generate, fetch)


def controlnet_id(unit: ControlUnit, family: str) -> str:
    """The unit's own ControlNet, else the one the registry names for the base's family; InputError where there is none."""
    if unit.controlnet:
        return unit.controlnet
    row = condition(unit.condition)
    if family not in row.controlnets:
        raise InputError(
            f"{row.title} has no ControlNet for the family {family}; choose another base model, "
            f"of one of the families: {', '.join(row.controlnets)}."
        )
    return row.controlnets[family]
