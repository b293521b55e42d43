"""Annotators and the declaration of their parameters: default, bounds, unit and help, each stated once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from annotators.maps.kinds import KindId
from annotators.runtime import Runtime
from models.errors import InputError

Image = NDArray[np.uint8]
"""(H, W, 3) RGB, 0 to 255."""


def shown(value: object) -> str:
    """Return a value as a message shows it, cut where it is long."""
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """Declaration of one field, for forms, command line, checks and docs. Numbers have bounds, texts have choices."""

    default: float | int | bool | str
    help: str
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()

    def check(self, name: str, value: object) -> float | int | bool | str:
        """Return the value in the default's type. Raises InputError where it is of another type or out of bounds."""
        if isinstance(self.default, bool):
            if isinstance(value, bool):
                return value
            raise InputError(f"{name} is {shown(value)}, but it must be true or false.")
        if isinstance(self.default, str):
            if value in self.choices:
                return cast(str, value)
            raise InputError(f"{name} is {shown(value)}, but it must be one of: {', '.join(self.choices)}.")
        infinite = isinstance(value, float) and not math.isfinite(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or infinite:
            raise InputError(f"{name} is {shown(value)}, but it must be a number{self.range_text()}.")
        if isinstance(self.default, int) and value != int(value):
            raise InputError(f"{name} is {shown(value)}, but it must be a whole number{self.range_text()}.")
        below = self.minimum is not None and value < self.minimum
        above = self.maximum is not None and value > self.maximum
        if below or above:
            raise InputError(f"{name} is {shown(value)}, but it must be{self.range_text()}.")
        return type(self.default)(value)

    def range_text(self) -> str:
        """Return the bounds as a message states them: ' from 0 to 255 px', or '' without bounds."""
        unit = f" {self.unit}" if self.unit else ""
        if self.minimum is not None and self.maximum is not None:
            return f" from {_plain(self.minimum)} to {_plain(self.maximum)}{unit}"
        if self.minimum is not None:
            return f" at least {_plain(self.minimum)}{unit}"
        return f" at most {_plain(self.maximum)}{unit}" if self.maximum is not None else ""


def _plain(number: float) -> str:
    """Return '0.7' or '4294967295': whole numbers in full, never as 4.29e+09."""
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
    """Declare a dataclass field as a parameter of an annotator."""
    declared = Parameter(
        default=default, help=help, minimum=minimum, maximum=maximum, step=step, unit=unit, choices=choices
    )
    return field(default=default, metadata={"parameter": declared})


def resolution_param(what: str, minimum: int = 128, step: int = 64) -> Any:
    """Declare the field `detect_resolution` of a network that takes any size. `what` is done at it: 'lines are found'."""
    return param(512, f"Short side at which {what}.", minimum=minimum, maximum=1024, step=step, unit="px")


@dataclass(frozen=True)
class Annotator:
    """Source image to control image. A subclass is a frozen dataclass whose fields are the parameters.

    It extends Filter, NetworkAnnotator or control_map.DataAnnotator, not this class.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    kind: ClassVar[KindId]
    """The kind of its maps, a key of annotators.maps.kinds.KINDS."""
    weights: ClassVar[tuple[str, ...]] = ()
    """Catalogue ids (models/catalogue/catalog.py) of the files it needs; empty where it needs none."""
    library: ClassVar[str] = ""
    """Package of its network, where that is not part of this project; imported on use."""
    note: ClassVar[str] = ""
    """Limits and licence that a user should know before choosing it, in one or two sentences."""
    ordered: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of parameters of which the first must not be above the second."""
    reads_drawings: ClassVar[bool] = False
    """Whether it expects a drawing on paper, not a photo."""
    needs_network: ClassVar[bool]
    """Whether it runs a network; without one it never imports torch, transformers or onnxruntime."""

    def __post_init__(self) -> None:
        for name, parameter in parameters(type(self)).items():
            object.__setattr__(self, name, parameter.check(name, getattr(self, name)))
        for low, high in self.ordered:
            if {low, high}.isdisjoint(self.unused()) and getattr(self, low) > getattr(self, high):
                low_words, high_words = low.replace("_", " "), high.replace("_", " ")
                raise InputError(
                    f"The {low_words} is {shown(getattr(self, low))}, above the {high_words}, "
                    f"{shown(getattr(self, high))}; lower the first or raise the second."
                )

    def __call__(self, source_image: Image, runtime: Runtime | None = None) -> Image:
        """Return the control image of a picture; both are (H, W, 3) RGB uint8 of one size.

        A network runs on the device of `runtime` and stays loaded there. Without a runtime it is loaded on the CPU for this
        call alone.
        """
        raise NotImplementedError

    def needs(self) -> tuple[str, ...]:
        """Return the catalogue ids of the files that it needs with its parameters."""
        return self.weights

    def unused(self) -> frozenset[str]:
        """Return the names of the parameters that have no effect with the values of the others."""
        return frozenset()


@dataclass(frozen=True)
class Filter(Annotator):
    """An annotator that computes its map from the pixels, without a network. A subclass implements `annotate`."""

    needs_network = False

    def __call__(self, source_image: Image, runtime: Runtime | None = None) -> Image:
        """Return the control image of a picture; both are (H, W, 3) RGB uint8 of one size. `runtime` is not used."""
        return self.annotate(source_image)

    def annotate(self, source_image: Image) -> Image:
        """Return the control image."""
        raise NotImplementedError


@dataclass(frozen=True)
class NetworkAnnotator(Annotator):
    """An annotator that runs a network. A subclass implements `annotate`."""

    needs_network = True

    def __call__(self, source_image: Image, runtime: Runtime | None = None) -> Image:
        return self.annotate(source_image, runtime or Runtime())

    def annotate(self, source_image: Image, runtime: Runtime) -> Image:
        """Return the control image, made on the runtime's device."""
        raise NotImplementedError


def parameters(annotator: type[Annotator]) -> dict[str, Parameter]:
    """Return the declared parameters by name, in order."""
    return {f.name: f.metadata["parameter"] for f in fields(annotator) if "parameter" in f.metadata}


def create(annotator: type[Annotator], values: Mapping[str, object] | None = None) -> Annotator:
    """Return an annotator with parameters from plain values. Raises InputError, which for an unknown name lists the known."""
    known = parameters(annotator)
    unknown = sorted(set(values or {}) - set(known))
    if unknown:
        allowed = ", ".join(known) or "none"
        raise InputError(f"{annotator.id} has no parameter {unknown[0]!r}; its parameters are: {allowed}.")
    return annotator(**dict(values or {}))
