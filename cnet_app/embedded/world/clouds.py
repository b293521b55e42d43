"""Soft blotches, as generated pictures have them: annotators and judges must tolerate them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

CELL = 16
"""Distance between blotches in px."""


def clouded(image: NDArray[np.uint8], rng: np.random.Generator, strength: float) -> NDArray[np.uint8]:
    """Return an (H, W, 3) picture with blotches in every channel, of a standard deviation of `strength` grey levels."""
    height, width = image.shape[:2]
    coarse = rng.normal(0, strength, (height // CELL, width // CELL, 3)).astype(np.float32)
    blotches = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + blotches, 0, 255).astype(np.uint8)
