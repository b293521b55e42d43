"""What the runner runs. Tests put a fake here, and nowhere else."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from cnet_app.registry.conditions import condition
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models import weights
from models.catalog import TITLES, Family
from models.errors import InputError
from models.own import known_rows

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
        on_note: Callable[[str], None],
        cancelled: Callable[[], bool],
    ) -> list[NDArray[np.uint8]]: ...


FileProgress = Callable[[str, int, int | None], None]
"""Called with a file's name, bytes done, and bytes in all where known; may raise to stop."""


@dataclass(frozen=True)
class Engine:
    """Everything that needs torch, behind functions that are called in the worker's thread alone."""

    choose_base: Callable[[], tuple[str, str]]
    """The id of the base model to start with, and why, as a clause: 'there is no GPU'."""
    load_base: Callable[[str, Any], Any]
    """From its id and a rung of the memory ladder, None for the first that fits. Has `family` and `rung`."""
    load_controlnet: Callable[[str, Any], Any]
    """From its id, for a loaded base."""
    generate: Generate
    load_vae: Callable[[str, Any], Any] = lambda id, base: None
    """From its id, for a loaded base."""
    fetch: Callable[[str, FileProgress], object] = lambda id, progress: None
    """Brings the files of an id to this disk, where a download tells how far it is."""
    size_of: Callable[[Any], int] = lambda thing: 1
    """Bytes of a loaded thing."""
    budget: Callable[[], int] = lambda: sys.maxsize
    """Bytes that loaded things may take together."""
    next_rung: Callable[[Any], Any] = lambda base: None
    """What a base that did not fit is loaded with instead; None where nothing is left to give up."""
    make_room: Callable[[], bool] = lambda: False
    """Lets go what is no part of a picture: networks of annotators. Whether there was any."""
    release: Callable[[], object] = gc.collect
    """Gives memory back that nothing holds any more."""
    describe: Callable[[Any, GenerationRequest], Mapping[str, str]] = lambda base, request: {}
    """How a request's pictures are made on a loaded base, in words for their recipe: sampler, device, number format, versions."""


def create_engine(settings: Settings) -> Engine:
    """The real one. torch is imported by the first call, not here."""

    @cache
    def workshop() -> Any:
        from cnet_app.engine.workshop import Workshop

        return Workshop(settings)

    def fetch(id: str, progress: FileProgress) -> None:
        row = next((row for row in known_rows() if row.id == id), None)
        if row is not None:
            weights.fetch_row(row, lambda file: progress(file.name, file.done, file.size))

    return Engine(
        choose_base=lambda: workshop().choose_base(),
        load_base=lambda id, rung: workshop().load_base(id, rung),
        load_controlnet=lambda id, base: workshop().load_controlnet(id, base),
        generate=lambda *given, **watch: workshop().generate(*given, **watch),
        load_vae=lambda id, base: workshop().load_vae(id, base),
        fetch=fetch,
        size_of=lambda thing: workshop().size_of(thing),
        budget=lambda: workshop().budget(),
        next_rung=lambda base: workshop().next_rung(base),
        make_room=lambda: workshop().make_room(),
        release=lambda: workshop().release(),
        describe=lambda base, request: workshop().describe(base, request),
    )


def controlnet_id(unit: ControlUnit, family: str) -> str:
    """The unit's own ControlNet, else the one the registry names for the base's family; InputError where there is none."""
    if unit.controlnet:
        return unit.controlnet
    row = condition(unit.condition)
    if family not in row.controlnets:
        raise InputError(
            f"{row.title} has no ControlNet for {TITLES[cast(Family, family)]}; choose a base model that has one: "
            f"{' or '.join(title for known, title in TITLES.items() if known in row.controlnets)}."
        )
    return row.controlnets[family]
