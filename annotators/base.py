"""What an annotator is, and how it declares its parameters: once, with default, bounds, unit and help."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from annotators.kinds import KindId
from models.errors import InputError

Image = NDArray[np.uint8]
"""(H, W, 3) RGB, 0 to 255."""


def shown(value: object) -> str:
    """A given value as a message shows it: cut where it is long."""
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What forms, command line, checks and docs know of one field. Numbers have bounds, words have choices."""

    default: float | int | bool | str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()

    def check(self, name: str, value: object) -> float | int | bool | str:
        """The value in the default's type; raises InputError where it is of another kind or out of bounds."""
        if isinstance(self.default, bool):
            if isinstance(value, bool):
                return value
            raise InputError(f"{name} is {shown(value)}, but it must be true or false.")
        if isinstance(self.default, str):
            if value in self.choices:
                return cast(str, value)
            raise InputError(f"{name} is {shown(value)}, but it must be one of: {', '.join(self.choices)}.")
        endless = isinstance(value, float) and not math.isfinite(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or endless:
            raise InputError(f"{name} is {shown(value)}, but it must be a number{self.range_text()}.")
        if isinstance(self.default, int) and value != int(value):
            raise InputError(f"{name} is {shown(value)}, but it must be a whole number{self.range_text()}.")
        below = self.minimum is not None and value < self.minimum
        above = self.maximum is not None and value > self.maximum
        if below or above:
            raise InputError(f"{name} is {shown(value)}, but it must be{self.range_text()}.")
        return type(self.default)(value)

    def range_text(self) -> str:
        """' from 0 to 255 px', or nothing without bounds."""
        unit = f" {self.unit}" if self.unit else ""
        if self.minimum is not None and self.maximum is not None:
            return f" from {_plain(self.minimum)} to {_plain(self.maximum)}{unit}"
        if self.minimum is not None:
            return f" at least {_plain(self.minimum)}{unit}"
        return f" at most {_plain(self.maximum)}{unit}" if self.maximum is not None else ""


def _plain(number: float) -> str:
    """'0.7', '4294967295': whole numbers in full, never as 4.29e+09."""
    return str(int(number)) if number == int(number) else f"{number:g}"


def param(
    default: float | int | bool | str,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    step: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field that is an annotator's parameter."""
    declared = Parameter(
        default=default, help=help, minimum=minimum, maximum=maximum, step=step, unit=unit, choices=choices
    )
    return field(default=default, metadata={"parameter": declared})


def resolution_param(what: str, minimum: int = 128, step: int = 64) -> Any:
    """The field `detect_resolution` of an annotator whose network takes any size; `what` is done at it, as a clause."""
    return param(512, f"Short side at which {what}.", minimum=minimum, maximum=1024, step=step, unit="px")


@dataclass(frozen=True)
class Annotator:
    """Source image to control image. A subclass is a frozen dataclass: fields are parameters, `__call__` the algorithm."""

    id: ClassVar[str]
    title: ClassVar[str]
    kind: ClassVar[KindId]
    """How its maps are to be read: a key of annotators.kinds.KINDS."""
    weights: ClassVar[tuple[str, ...]] = ()
    """Catalogue ids (models/catalog.py) of the files it needs; empty means it runs anywhere at once."""
    library: ClassVar[str] = ""
    """The package of its network, where that is not part of this project; imported on use."""
    note: ClassVar[str] = ""
    """One sentence a user should know before choosing it: limits, licence."""

    def __post_init__(self) -> None:
        for name, parameter in parameters(type(self)).items():
            object.__setattr__(self, name, parameter.check(name, getattr(self, name)))

    def __call__(self, source_image: Image) -> Image:
        """(H, W, 3) RGB uint8 in, the control image of the same size out."""
        raise NotImplementedError

    def needs(self) -> tuple[str, ...]:
        """Catalogue ids of the files it needs as its parameters are."""
        return self.weights


def parameters(annotator: type[Annotator]) -> dict[str, Parameter]:
    """Declared parameters by name, in order."""
    return {f.name: f.metadata["parameter"] for f in fields(annotator) if "parameter" in f.metadata}


def create(annotator: type[Annotator], values: Mapping[str, object] | None = None) -> Annotator:
    """An annotator from plain values; an unknown name is an InputError that lists the known ones."""
    known = parameters(annotator)
    unknown = sorted(set(values or {}) - set(known))
    if unknown:
        allowed = ", ".join(known) or "none"
        raise InputError(f"{annotator.id} has no parameter {unknown[0]!r}; its parameters are: {allowed}.")
    return annotator(**dict(values or {}))
