"""ControlMap: the pixels that a ControlNet reads, how they were made, and what is wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np

from annotators.base import Annotator, Image, NetworkAnnotator, parameters
from annotators.maps.encoders import is_blank
from annotators.maps.kinds import KINDS, MapKind
from annotators.maps.recognise import Repair
from annotators.runtime import Runtime
from annotators.sources.images import ResizeMode, fit_inside, pad, resize
from annotators.sources.picture_files import MIN_SIDE


class MapData(Protocol):
    """Data that a map is drawn from: people with their joints, or the class of every pixel."""

    def draw(self) -> Image:
        """Return the map."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the data in the form that other tools read."""
        ...

    def padded(self, width: int, height: int) -> MapData:
        """Return the data in the middle of a larger picture."""
        ...

    @classmethod
    def from_json(cls, content: Any, /) -> MapData:
        """Return the data that `to_json` wrote. Raises InputError."""
        ...


@dataclass(frozen=True)
class DataAnnotator(NetworkAnnotator):
    """An annotator that detects data, then draws it. A subclass implements `detect`."""

    data_type: ClassVar[type[MapData]]
    """The type that `detect` returns."""

    def detect(self, source_image: Image, runtime: Runtime) -> MapData:
        """Return what is in the picture, (H, W, 3) RGB uint8."""
        raise NotImplementedError

    def read(self, content: Any) -> MapData:
        """Return data that this annotator detected from its JSON. Raises InputError."""
        return self.data_type.from_json(content)

    def doubt(self, data: MapData) -> str:
        """Return a warning where what was detected is probably wrong, else an empty text."""
        return ""

    def annotate(self, source_image: Image, runtime: Runtime) -> Image:
        """Return the detected data, drawn at the picture's size."""
        return self.detect(source_image, runtime).draw()


@dataclass(frozen=True, kw_only=True)
class ControlMap:
    """A control image and its origin."""

    pixels: Image = field(repr=False)
    """(H, W, 3) RGB, read-only."""
    kind: MapKind
    """The kind of map: polarity, channels, palette."""
    annotator: str | None = None
    """Its id; None for a map of the user's own."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    source_sha256: str | None = None
    """Hash of the source image's shape and pixels."""
    data: MapData | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()
    """Sentences for the user about a map that may not work."""
    repairs: tuple[Repair, ...] = ()
    """Repairs of what the warnings name."""

    @property
    def seed(self) -> int | None:
        """The annotator's parameter `seed`, where it has one."""
        return self.parameters.get("seed")


FAINT = 24
"""Grey level; lines that are all darker have no effect."""
MADE_UP = "The picture has one colour only, so the map shows nothing real; choose another picture."


def make_map(annotator: Annotator, source_image: Image, runtime: Runtime | None = None) -> ControlMap:
    """Return the annotator's map of a picture, (H, W, 3) RGB uint8; a map without effect has a warning.

    `runtime` is used as by `Annotator.__call__`.
    """
    return complete_map(annotator, source_image, *run_annotator(annotator, source_image, runtime))


def run_annotator(
    annotator: Annotator, source_image: Image, runtime: Runtime | None = None
) -> tuple[Image, MapData | None]:
    """Return the pixels of the annotator's map, and what was detected, where the annotator detects anything."""
    if not isinstance(annotator, DataAnnotator):
        return annotator(source_image, runtime), None
    data = annotator.detect(source_image, runtime or Runtime())
    return data.draw(), data


def complete_map(annotator: Annotator, source_image: Image, pixels: Image, data: MapData | None) -> ControlMap:
    """Return the map of an annotator's output, with a warning where it has no effect or is probably wrong."""
    kind = KINDS[annotator.kind]
    faint = kind.polarity == "white on black" and pixels.max() < FAINT
    warning = kind.nothing if is_blank(pixels) or faint else MADE_UP if is_blank(source_image) else ""
    if not warning and data and isinstance(annotator, DataAnnotator):
        warning = annotator.doubt(data)
    return describe_map(annotator, pixels, sha256_of(source_image), data, (warning,) if warning else ())


def make_map_at(
    make: Callable[[Image], ControlMap], source_image: Image, width: int, height: int, mode: ResizeMode = "crop"
) -> ControlMap:
    """Return the map that `make` makes of a picture, at another size. The picture is resized first, so that lines stay thin.

    With mode "pad", the map is padded, not the picture, whose border would be an edge in the map. `source_sha256` is the
    resized picture's.
    """
    if mode != "pad":
        return make(resize(source_image, width, height, mode))
    inside = fit_inside(source_image.shape[1], source_image.shape[0], width, height)
    size = (max(side, MIN_SIDE) for side in inside)
    made = make(resize(source_image, *size, mode="stretch"))
    data = made.data.padded(width, height) if made.data else None
    pixels = data.draw() if data else pad(made.pixels, width, height, made.kind.background)
    pixels.flags.writeable = False
    return replace(made, pixels=pixels, data=data)


def describe_map(
    annotator: Annotator, pixels: Image, source_sha256: str, data: MapData | None, warnings: tuple[str, ...]
) -> ControlMap:
    """Return the record of a map that the annotator made, now or earlier."""
    pixels.flags.writeable = False  # shared by the cache and all readers
    return ControlMap(
        pixels=pixels,
        kind=KINDS[annotator.kind],
        annotator=annotator.id,
        parameters=MappingProxyType({name: getattr(annotator, name) for name in parameters(type(annotator))}),
        source_sha256=source_sha256,
        data=data,
        warnings=warnings,
    )


def sha256_of(image: Image) -> str:
    """Return the hash of a picture's shape and pixels, which is the same in every file format."""
    return hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()
