"""Soft blotches, as generated pictures have them: whoever reads pictures must not be misled by them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

CELL = 16
"""Pixels from one blotch to the next."""


def clouded(image: NDArray[np.uint8], rng: np.random.Generator, strength: float) -> NDArray[np.uint8]:
    """An (H, W, 3) picture under blotches of `strength` grey levels, standard deviation, in every channel."""
    height, width = image.shape[:2]
    coarse = rng.normal(0, strength, (height // CELL, width // CELL, 3)).astype(np.float32)
    blotches = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + blotches, 0, 255).astype(np.uint8)
