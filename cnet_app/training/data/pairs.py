"""What every form of a data set is read to: pairs of a picture and its map, with a prompt. Loads no torch."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from PIL import Image as Pillow

from annotators.base import Image
from annotators.maps.kinds import MapKind
from annotators.maps.map_files import map_role
from annotators.sources.images import load_image
from cnet_app.request.plain import Json, Scalar
from models.errors import InputError

HEAD = 1 << 18
"""Bytes in which the size of a picture is named, and which way up it is."""
ORIENTATION = 0x0112
"""EXIF's tag for which way up a picture is."""
TURNED = (5, 6, 7, 8)
"""Its values for a picture that lies on its side."""


@dataclass(frozen=True)
class Source:
    """Bytes of a picture: a file, or a part of one, as in a tar shard."""

    path: Path
    offset: int = 0
    size: int | None = None
    """Bytes from `offset` on; None reads to the end."""
    member: str = ""
    """Name inside the file at `path`; empty for the file itself."""

    @property
    def title(self) -> str:
        """Return the name that a message shows."""
        return f"{self.path.name}:{self.member}" if self.member else self.path.name

    def read(self) -> bytes:
        """Return the bytes; InputError where the file is gone or cannot be read."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                return file.read(-1 if self.size is None else self.size)
        except OSError as error:
            raise self._gone(error) from error

    def stat(self) -> os.stat_result:
        """Return size and time of the file; InputError where it is gone."""
        try:
            return self.path.stat()
        except OSError as error:
            raise self._gone(error) from error

    def _gone(self, error: OSError) -> InputError:
        return InputError(f"{self.path} cannot be read ({error.strerror}); put it back, or check the data set again.")


@dataclass(frozen=True)
class Pair:
    """A picture with its map."""

    name: str
    """Unique within the data set."""
    image: Source
    control: Source | None
    """None where the data set has pictures alone, or this one lacks its map."""
    caption: str = ""
    where: str = ""
    """Where the data set names it, as a message shows it: 'metadata.jsonl, line 3'."""
    control_data: Source | None = None
    """JSON of people or classes that the map was drawn from, where `data build` wrote it; a pose is scored by it alone."""

    @property
    def title(self) -> str:
        """Return where the data set names it, with the file of the picture where a line of a table does."""
        file = self.image.path.name
        return self.where if self.image.member or self.where.endswith(file) else f"{self.where} ({file})"


@dataclass(frozen=True)
class Problem:
    """A fault of a data set."""

    kind: str
    """Id of a row in cnet_app.training.data.doctor.TITLES."""
    where: str
    """File and line."""
    message: str
    """One sentence: what is wrong, and what to do."""
    pair: str = ""
    """Name of the pair; empty where it is the whole data set's."""
    severity: float = 1.0
    """From 0 to 1; the contact sheet begins with the worst."""


@dataclass(frozen=True)
class DataSet:
    """A data set as its files name it; pictures are read when they are needed."""

    folder: Path
    form: str
    """Id of the reader that read it."""
    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...] = ()
    """What the reader could not take, a pair or line each."""
    skipped: Mapping[str, int] = field(default_factory=dict[str, int])
    """Number of files of each ending that are neither pictures nor captions."""
    condition: str | None = None
    """Id of the condition whose maps `data build` made."""
    annotator: str | None = None
    """Id of the annotator that made the maps, where `data build` made them."""
    annotator_parameters: Mapping[str, Scalar] = field(default_factory=dict)


def read_image(pair: Pair) -> Image:
    """Return the picture of a pair, (H, W, 3) RGB; InputError, which names its path and line, where it cannot be read."""
    return load_image(pair.image.read(), _place(pair, pair.image))


def _place(pair: Pair, source: Source) -> str:
    """Return the path of a picture, and where the data set names it, as a message shows them."""
    path = f"{source.path}:{source.member}" if source.member else str(source.path)
    return path if path.endswith(pair.where) else f"{path} ({pair.where})"


def image_size(pair: Pair) -> tuple[int, int]:
    """Return width and height of a pair's picture as `read_image` returns it, from its header alone; InputError."""
    try:
        with pair.image.path.open("rb") as file:
            file.seek(pair.image.offset)
            head = file.read(pair.image.size if pair.image.size is not None else HEAD)
        return size_of(head, _place(pair, pair.image))
    except (OSError, InputError):  # all of it is needed, or there is an error to name
        height, width = read_image(pair).shape[:2]
        return width, height


def size_of(data: bytes, title: str) -> tuple[int, int]:
    """Return width and height of a picture's file when it is upright; InputError."""
    try:
        with Pillow.open(io.BytesIO(data)) as picture:
            width, height = picture.size
            turned = _orientation(picture) in TURNED
            return (height, width) if turned else (width, height)
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
        raise InputError(f"{title} cannot be read as a picture; replace it, or remove the pair.") from error


def _orientation(picture: Pillow.Image) -> int:
    """Of a PNG only what stands before its pixels counts: Pillow would decode it to look further."""
    if picture.format == "PNG" and "exif" not in picture.info:
        return 1
    return picture.getexif().get(ORIENTATION, 1)


def read_control_data(pair: Pair) -> Mapping[str, Json] | None:
    """Return the people or classes that the map of a pair was drawn from; None where they are not known. InputError."""
    if pair.control_data is None:
        return None
    try:
        values: object = json.loads(pair.control_data.read())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{_place(pair, pair.control_data)} is not JSON ({error}); build the data again.") from error
    if not isinstance(values, dict):
        raise InputError(f"{_place(pair, pair.control_data)} holds no JSON object; build the data again.")
    return cast("Mapping[str, Json]", values)


def read_control(pair: Pair, kind: MapKind) -> Image:
    """Return the map of a pair that has one, (H, W, 3) RGB, read as maps of a kind are; InputError as of `read_image`."""
    assert pair.control is not None, f"{pair.name} has no map"
    return load_image(pair.control.read(), _place(pair, pair.control), map_role(kind))
