"""Pictures as the PNG bytes that travel inside a request."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from annotators.images import load_image, resize


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) RGB uint8 to PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def picture_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of the picture as it is used: upright."""
    height, width = load_image(data).shape[:2]
    return width, height


def white_pixels(mask: bytes, width: int, height: int) -> NDArray[np.bool_]:
    """Return (H, W) of a PNG at this size: True where it is white."""
    return resize(load_image(mask), width, height, mode="crop", nearest=True).max(axis=2) > 127
