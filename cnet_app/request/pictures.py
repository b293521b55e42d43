"""Pictures as the PNG bytes that travel inside a request."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from annotators.sources.images import load_image, load_noted, load_start, resize
from annotators.sources.roles import MASK, PHOTO, WEIGHTS, Role

START, HOLE = "initial_image", "inpaint_mask"
"""Fields of a request: the picture to start from, and the mask that a hole in it is."""
HOLE_IS_MASK = (
    "The picture to start from is transparent in parts, which are the mask: they are painted, the rest stays."
)
HOLE_IS_FILLED = (
    "The picture to start from is transparent in parts, which were filled from around them; the mask is the one given."
)
PICTURE_ROLES: Mapping[str, Role] = MappingProxyType({HOLE: MASK, "mask": MASK, "weight_map": WEIGHTS, "image": PHOTO})
"""Of the other fields that hold a picture."""


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) RGB uint8 to PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def read_field(field: str, source: Path | bytes) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return a file as the PNG of a request's field, and notes. Raises InputError.

    A hole in a picture to start from is its inpaint_mask.
    """
    if field != START:
        image, notes = load_noted(source, role=PICTURE_ROLES[field])
        return {field: encode_png(image)}, notes
    start, notes = load_start(source)
    pixels = {START: encode_png(start.image)}
    return (pixels if start.hole is None else pixels | {HOLE: encode_png(start.hole)}), notes


def join_start(start: Mapping[str, bytes], mask: bytes | None) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return the fields of `read_field` with a mask that was given, which counts in place of a hole; and a note on it."""
    if HOLE not in start:
        return dict(start) | ({HOLE: mask} if mask else {}), ()
    if mask:
        return {**start, HOLE: mask}, (HOLE_IS_FILLED,)
    return dict(start), (HOLE_IS_MASK,)


def picture_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of the picture as it is used: upright."""
    height, width = load_image(data).shape[:2]
    return width, height


def white_pixels(mask: bytes, width: int, height: int) -> NDArray[np.bool_]:
    """Return (H, W) of a PNG at this size: True where it is white."""
    return resize(load_image(mask, role=MASK), width, height, mode="crop", nearest=True).max(axis=2) > 127
