"""ControlMap: the pixels a ControlNet reads, and all that is known of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import numpy as np

from annotators.base import Annotator, Image, parameters
from annotators.kinds import KINDS, MapKind
from annotators.maps import is_blank
from annotators.recognise import Repair


class MapData(Protocol):
    """What a map was drawn from, where that is more than pixels: people and their joints, classes and their names."""

    def draw(self) -> Image:
        """The map."""
        ...

    def to_json(self) -> dict[str, Any]:
        """In the form other tools read."""
        ...

    @classmethod
    def from_json(cls, content: Any, /) -> MapData:
        """What `to_json` gave; InputError for everything else."""
        ...


@dataclass(frozen=True)
class DataAnnotator(Annotator):
    """An annotator that finds things, and draws what it found."""

    data_type: ClassVar[type[MapData]]
    """What `detect` gives."""

    def detect(self, source_image: Image) -> MapData:
        """(H, W, 3) RGB uint8 in, what is on it out."""
        raise NotImplementedError

    def read(self, content: Any) -> MapData:
        """What this annotator found, out of its JSON; InputError for everything else."""
        return self.data_type.from_json(content)

    def __call__(self, source_image: Image) -> Image:
        """What was found, drawn at the picture's size."""
        return self.detect(source_image).draw()


@dataclass(frozen=True, kw_only=True)
class ControlMap:
    """A control image and where it comes from."""

    pixels: Image = field(repr=False)
    """(H, W, 3) RGB, read only."""
    kind: MapKind
    """How the pixels are to be read: polarity, channels, palette."""
    annotator: str | None = None
    """None: the map was brought, not made."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    source_sha256: str | None = None
    """Of the picture's shape and pixels."""
    data: MapData | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()
    """Sentences for the user; the map is made all the same."""
    repairs: tuple[Repair, ...] = ()
    """What would take out what the warnings say."""

    @property
    def seed(self) -> int | None:
        """Of the annotator's chance, where it takes any."""
        return self.parameters.get("seed")


FAINT = 24
"""Grey levels: lines no brighter than this steer nothing."""
MADE_UP = "The picture has one colour only, so whatever the map shows is made up; take another picture."


def make_map(annotator: Annotator, source_image: Image) -> ControlMap:
    """What the annotator makes of the picture, (H, W, 3) RGB uint8; one that steers nothing has a warning."""
    data = annotator.detect(source_image) if isinstance(annotator, DataAnnotator) else None
    pixels = data.draw() if data else annotator(source_image)
    kind = KINDS[annotator.kind]
    faint = kind.polarity == "white on black" and pixels.max() < FAINT
    told = kind.nothing if is_blank(pixels) or faint else MADE_UP if is_blank(source_image) else ""
    return describe_map(annotator, pixels, sha256_of(source_image), data, (told,) if told else ())


def describe_map(
    annotator: Annotator, pixels: Image, source_sha256: str, data: MapData | None, warnings: tuple[str, ...]
) -> ControlMap:
    """A map that the annotator made, now or earlier."""
    pixels.flags.writeable = False  # one array serves all who ask
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
    """Of a picture's shape and pixels: the same for the same picture, whatever file it came from."""
    return hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()
