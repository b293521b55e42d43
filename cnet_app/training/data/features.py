"""What the doctor keeps of a pair: small pictures, hashes and shares, read once. Loads no torch.

Pictures are read fast and small, not as training reads them: colour profiles and transparency do not matter here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.kinds import KINDS, KindId
from annotators.maps import ADE20K_COLOURS, colour_codes, is_blank
from cnet_app.training.data.pairs import Pair, Source
from models.errors import InputError

SIDE = 64
"""Of the small pictures of edges, in px."""
THUMBNAIL = 9
"""Side of the grey thumbnail by which equal pictures are found, in px."""
Edges = NDArray[np.float32]
"""(SIDE, SIDE): mean 0, length 1; zeros where there is nothing."""
JPEG = b"\xff\xd8"


@dataclass(frozen=True)
class Half:
    """A picture or a map."""

    width: int
    height: int
    sha256: str
    """Of its file."""
    edges: Edges
    thumbnail: NDArray[np.uint8]
    """(THUMBNAIL, THUMBNAIL) grey."""


@dataclass(frozen=True)
class Looks:
    """Properties of a map that belong to its kind."""

    blank: bool
    is_jpeg: bool
    brightness: float
    """Mean of the grey map, 0 to 1."""
    downwards: float
    """Correlation of grey and height: 1 where it grows brighter towards the bottom."""
    red_over_blue: float
    """Mean of red minus mean of blue, -1 to 1."""
    off_palette: float
    """Share of pixels in no colour of the palette, 0 to 1; 0 for maps without one."""
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
    try:
        image, _ = _half(pair.image, lines=False)
        if pair.control is None:
            return Features(image=image)
        control, pixels = _half(pair.control, lines=KINDS[kind].polarity == "white on black")
        return Features(image, control, _looks(pixels, kind, pair.control.read()[:2] == JPEG))
    except InputError as error:
        return Features(fault=str(error))


def _half(source: Source, lines: bool) -> tuple[Half, NDArray[np.uint8]]:
    """Return the features and the pixels, (H, W, 3) RGB. `lines` takes bright pixels as edges, else differences are."""
    data = source.read()
    pixels = _decode(data, source)
    height, width = pixels.shape[:2]
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (4 * SIDE, 4 * SIDE), interpolation=cv2.INTER_AREA)
    edges = small.astype(np.float32) if lines else _differences(cv2.resize(pixels, (4 * SIDE, 4 * SIDE), interpolation=cv2.INTER_AREA))  # fmt: skip
    thumbnail = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    half = Half(width, height, hashlib.sha256(data).hexdigest(), _normalised(edges), np.asarray(thumbnail, np.uint8))
    return half, pixels


def _decode(data: bytes, source: Source) -> NDArray[np.uint8]:
    pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if pixels is None or not _is_whole(data):
        raise InputError(f"{source.title} cannot be read as a picture; replace it, or remove the pair.")
    return pixels


def _is_whole(data: bytes) -> bool:
    """A cut PNG or JPEG is decoded to its end all the same, in grey or black."""
    if data.startswith(b"\x89PNG"):
        return data.rstrip(b"\0")[-12:-4].endswith(b"IEND") or b"IEND" in data[-64:]
    return not data.startswith(JPEG) or b"\xff\xd9" in data[-64:]


def _differences(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the largest difference to the right and lower neighbours over the channels."""
    values = pixels.astype(np.float32)
    across = np.abs(np.diff(values, axis=1, append=values[:, -1:])).max(axis=2)
    down = np.abs(np.diff(values, axis=0, append=values[-1:])).max(axis=2)
    return np.minimum(np.maximum(across, down), 64)


def _normalised(edges: NDArray[np.float32]) -> Edges:
    """Widened by a blur, so that a pixel's difference does not matter."""
    small = cv2.resize(cv2.GaussianBlur(edges, (0, 0), 2.5), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    centred = np.asarray(small, np.float32) - float(np.mean(small))
    length = float(np.linalg.norm(centred))
    return centred / length if length > 1e-6 else np.zeros_like(centred)


def _looks(pixels: NDArray[np.uint8], kind: KindId, is_jpeg: bool) -> Looks:
    small = np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32) / 255
    grey = small.mean(axis=2)
    rows = grey.mean(axis=1)
    heights = np.linspace(-1, 1, SIDE)
    spread = float(rows.std())
    downwards = float(np.mean((rows - rows.mean()) * heights) / (spread * heights.std())) if spread > 1e-4 else 0.0
    labels = KINDS[kind].palette == "ADE20K"
    return Looks(
        blank=is_blank(pixels),
        is_jpeg=is_jpeg,
        brightness=float(grey.mean()),
        downwards=downwards,
        red_over_blue=float(small[..., 0].mean() - small[..., 2].mean()),
        off_palette=_off_palette(pixels) if labels else 0.0,
        off_palette_as_bgr=_off_palette(pixels[..., ::-1]) if labels else 0.0,
    )


def _off_palette(pixels: NDArray[np.uint8]) -> float:
    """Of every second pixel in both directions."""
    codes = colour_codes(np.ascontiguousarray(pixels[::2, ::2]))
    found, counts = np.unique(codes, return_counts=True)
    known = np.isin(found, colour_codes(ADE20K_COLOURS))
    return float(counts[~known].sum() / codes.size)
