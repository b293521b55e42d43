"""Pictures of any size: networks work in steps of eight pixels, so edges are repeated to the next one and cut off again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

STEP = 8
"""Pixels of a picture to one latent."""


def padded_side(side: int) -> int:
    """The next multiple of STEP."""
    return -(-side // STEP) * STEP


def pad(pixels: NDArray[Any]) -> NDArray[Any]:
    """(H, W, …) with its last row and column repeated until both sides are multiples of STEP."""
    height, width = pixels.shape[:2]
    beside = [(0, 0)] * (pixels.ndim - 2)
    return np.pad(pixels, [(0, padded_side(height) - height), (0, padded_side(width) - width), *beside], mode="edge")
