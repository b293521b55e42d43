"""What the doctor keeps of a pair: small pictures and shares, each file read once. Loads no torch.

Plain files are decoded by OpenCV, which is quicker; all others, and those it cannot decode, as training reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image
from annotators.maps.encoders import ADE20K_COLOURS, colour_codes, is_blank
from annotators.maps.kinds import KINDS, KindId, MapKind
from annotators.maps.map_files import map_role
from annotators.people.sticks import LIMB_BRIGHTNESS, POSE_COLOURS
from annotators.sources.images import load_image
from annotators.sources.roles import PHOTO, Role
from cnet_app.training.data.pairs import Pair, Source, size_of
from models.errors import InputError

SIDE = 64
"""Of the small pictures of edges, in px."""
MIDDLE_SIDE = 128
"""Side at which edges are taken, in px: finer texture is averaged away."""
THUMBNAIL = 32
"""Side of the thumbnail by which equal pictures are found, in px."""
REDUCED = 4 * MIDDLE_SIDE
"""A JPEG whose sides are all twice as long, or more, is decoded at a part of its size."""
EDGE = 64
"""Difference of neighbours, in grey levels, from which an edge is as strong as any."""
SPREAD = 2.5
"""Of the blur that makes the width of an edge unimportant, in px of MIDDLE_SIDE."""
STROKE = np.ones((7, 7), np.uint8)
"""A dark line at MIDDLE_SIDE that disappears under it is a stroke, not an area."""
JPEG, PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
Edges = NDArray[np.uint8]
"""(SIDE, SIDE), 0 to 255, blurred."""


@dataclass(frozen=True)
class Half:
    """A picture or a map."""

    width: int
    height: int
    edges: Edges
    thumbnail: Image
    """(THUMBNAIL, THUMBNAIL, 3) RGB."""


@dataclass(frozen=True)
class Looks:
    """Properties of a map that belong to its kind; those of other kinds are 0."""

    blank: bool
    is_jpeg: bool
    brightness: float
    """Mean of the grey map, 0 to 1."""
    brightness_without_strokes: float
    """The same after dark strokes are filled: near 1 for black lines on white."""
    brightness_off_strokes: float
    """The same after dark strokes are widened: 0 where no white area is wider than a stroke."""
    downwards: float
    """From -1 to 1: of the columns, those that grow brighter towards the bottom less those that grow darker."""
    swapped_channels: float
    """From -1 to 1: above 0 where red and blue are exchanged, by a rule of each kind."""
    off_palette: float
    """Share of pixels in no colour of the palette, 0 to 1."""
    off_palette_as_bgr: float
    """The same with red and blue exchanged."""


@dataclass(frozen=True)
class Features:
    """One pair; a half that cannot be read is None, and `fault` says why."""

    image: Half | None = None
    control: Half | None = None
    looks: Looks | None = None
    fault: str = ""


def features_of(pair: Pair, kind: KindId) -> Features:
    """Return the features of a pair."""
    row = KINDS[kind]
    image = None
    try:
        image = _half(pair.image, *_read(pair.image, pair.image.read(), PHOTO), lines=False)
        if pair.control is None:
            return Features(image)
        data = pair.control.read()
        pixels, size = _read(pair.control, data, map_role(row))
        looks = _looks(pixels, row, data.startswith(JPEG))
        if looks.off_palette and not looks.is_jpeg:  # class numbers, or the colours of another tool
            pixels = load_image(data, pair.control.title, map_role(row))
            looks = _looks(pixels, row, is_jpeg=False)
        return Features(image, _half(pair.control, pixels, size, row.polarity == "white on black"), looks)
    except InputError as error:
        return Features(image, fault=str(error))


def _read(source: Source, data: bytes, role: Role) -> tuple[Image, tuple[int, int]]:
    """Return the pixels, perhaps smaller than the file's, and the file's width and height. Raises InputError."""
    if data.startswith(JPEG) and data.rstrip(b"\0")[-2:] == b"\xff\xd9":
        width, height = size_of(data, source.title)
        factor = min(width, height) // REDUCED
        if (pixels := _decoded(data, _reduction(0 if role.nearest else factor))) is not None:
            return pixels, (width, height)
    if _is_plain_png(data) and (pixels := _decoded(data, cv2.IMREAD_COLOR_RGB)) is not None:
        return pixels, (pixels.shape[1], pixels.shape[0])
    pixels = load_image(data, source.title, role)
    return pixels, (pixels.shape[1], pixels.shape[0])


def _reduction(factor: int) -> int:
    """Return OpenCV's flag for a JPEG at 1/2, 1/4 or 1/8 of its size."""
    rgb = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
    return next((flag for least, flag in rgb.items() if factor >= least), cv2.IMREAD_COLOR)


def _decoded(data: bytes, flag: int) -> Image | None:
    pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    return pixels if pixels is None or flag == cv2.IMREAD_COLOR_RGB else pixels[..., ::-1]


def _is_plain_png(data: bytes) -> bool:
    """Return whether a whole PNG has 8 bits, grey or RGB, and no transparency, which a kind of map may read its own way."""
    plain = data[24:26] in (b"\x08\x00", b"\x08\x02") and b"tRNS" not in data[:1024]
    return plain and data.startswith(PNG) and data[-8:-4] == b"IEND"


def _half(source: Source, pixels: Image, size: tuple[int, int], lines: bool) -> Half:
    """Return the features of a picture. `lines` takes bright pixels as edges, else differences of neighbours are."""
    middle = _small(pixels, MIDDLE_SIDE)
    edges = cv2.cvtColor(middle, cv2.COLOR_RGB2GRAY) if lines else _differences(middle)
    blurred = cv2.resize(cv2.GaussianBlur(edges, (0, 0), SPREAD), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return Half(*size, np.asarray(blurred, np.uint8), _small(middle, THUMBNAIL))


def _small(pixels: Image, side: int) -> Image:
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _differences(pixels: Image) -> NDArray[np.uint8]:
    """Return the largest difference to the right and lower neighbours over the channels, 255 from EDGE on."""
    across, down = np.zeros_like(pixels), np.zeros_like(pixels)
    across[:, :-1] = cv2.absdiff(pixels[:, :-1], pixels[:, 1:])
    down[:-1] = cv2.absdiff(pixels[:-1], pixels[1:])
    channels = cv2.split(cv2.max(across, down))
    strongest = cv2.max(cv2.max(channels[0], channels[1]), channels[2])
    return np.asarray(cv2.convertScaleAbs(strongest, alpha=255 / EDGE), np.uint8)


def _looks(pixels: Image, kind: MapKind, is_jpeg: bool) -> Looks:
    middle = _small(pixels, MIDDLE_SIDE)
    grey = np.asarray(cv2.cvtColor(middle, cv2.COLOR_RGB2GRAY), np.uint8)
    labels = kind.palette == "ADE20K"
    return Looks(
        blank=is_blank(pixels),
        is_jpeg=is_jpeg,
        brightness=float(grey.mean()) / 255,
        brightness_without_strokes=float(cv2.dilate(grey, STROKE).mean()) / 255,
        brightness_off_strokes=float(cv2.erode(grey, STROKE).mean()) / 255,
        downwards=_downwards(grey) if kind.id == "depth" else 0.0,
        swapped_channels=_swapped_channels(pixels if kind.id == "pose" else middle, kind),
        off_palette=_off_palette(pixels) if labels else 0.0,
        off_palette_as_bgr=_off_palette(pixels[..., ::-1]) if labels else 0.0,
    )


def _downwards(grey: NDArray[np.uint8]) -> float:
    """By column, so that one near thing at the top does not count for the whole map."""
    third = MIDDLE_SIDE // 3
    top, bottom = (part.astype(np.float32).mean(axis=0) for part in (grey[:third], grey[-third:]))
    return float(np.mean(bottom > top + 8) - np.mean(bottom < top - 8))


def _swapped_channels(pixels: Image, kind: MapKind) -> float:
    if kind.id == "normal":
        return _swapped_normals(pixels)
    return _swapped_sticks(pixels) if kind.id == "pose" else 0.0


def _swapped_normals(pixels: Image) -> float:
    """Surfaces face the viewer: blue is never below its middle, and red is on both sides of it."""
    seen = pixels[pixels.max(axis=2) > 16].astype(np.float32) / 255
    if not len(seen):
        return 0.0
    red, blue = seen[:, 0], seen[:, 2]
    lowest_red, lowest_blue = (float(np.quantile(channel, 0.03)) for channel in (red, blue))
    more = float((red - blue).mean())
    certain = lowest_red >= 0.45 and (more > 0.3 or (more > 0.05 and lowest_blue < 0.4))
    return more if certain else min(more, 0.0)


def _swapped_sticks(pixels: Image) -> float:
    """The limb from the neck to the right shoulder is red and meets orange joints; a red limb that meets blue ones is not it."""
    orange, limb = POSE_COLOURS[1], [int(channel * LIMB_BRIGHTNESS) for channel in POSE_COLOURS[0]]
    shoulder = np.asarray(cv2.dilate(_near(pixels, limb), np.ones((9, 9), np.uint8)), np.uint8)
    right, wrong = (int(np.count_nonzero(_near(pixels, colour) & shoulder)) for colour in (orange, orange[::-1]))
    return (wrong - right) / max(1, wrong + right)


def _near(pixels: Image, colour: Any) -> NDArray[np.uint8]:
    low, high = (np.clip(np.asarray(colour, int) + step, 0, 255) for step in (-24, 24))
    return np.asarray(cv2.inRange(pixels, low, high), np.uint8)


def _off_palette(pixels: Image) -> float:
    """Of every fourth pixel in both directions."""
    codes = colour_codes(np.ascontiguousarray(pixels[2::4, 2::4]))
    found, counts = np.unique(codes, return_counts=True)
    known = np.isin(found, colour_codes(ADE20K_COLOURS))
    return float(counts[~known].sum() / codes.size)
