"""Canny: hard edges, one pixel wide."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from annotators.base import Annotator, Image, param
from annotators.maps import lines
from models.errors import InputError

STRONG = 0.12
"""Share of the pixels whose gradient is above the high threshold."""
LOW_SHARE = 0.4
LEAST = 60.0
"""Below it lies the noise of a camera."""


@dataclass(frozen=True)
class Canny(Annotator):
    """Edges where the brightness gradient peaks above `high_threshold`, followed while it stays above the low one."""

    id = "canny"
    title = "Canny"
    kind = "lines"

    low_threshold: int = param(
        100, "Where an edge that has begun may go on; lower keeps fainter lines.", minimum=1, maximum=255, step=1
    )
    high_threshold: int = param(
        200, "What an edge needs to begin; lower finds more edges.", minimum=1, maximum=255, step=1
    )

    automatic: bool = param(False, "Take both thresholds from the picture; the two numbers then count for nothing.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low_threshold > self.high_threshold:
            raise InputError(
                f"The low threshold is {self.low_threshold}, above the high threshold, {self.high_threshold}; "
                "make it smaller, or raise the other."
            )

    def __call__(self, source_image: Image) -> Image:
        """White lines on black."""
        low, high = picture_thresholds(source_image) if self.automatic else (self.low_threshold, self.high_threshold)
        return lines(cv2.Canny(source_image, low, high))


def picture_thresholds(image: Image) -> tuple[float, float]:
    """Thresholds after the picture's own gradients, by shares as MATLAB's `edge` does, with fewer strong ones.

    The high one leaves STRONG of the pixels that have any gradient, the low one is LOW_SHARE of it.
    """
    x, y = (cv2.Sobel(image, cv2.CV_16S, *order).astype(np.int32) for order in ((1, 0), (0, 1)))
    strength = (np.abs(x) + np.abs(y)).max(axis=2)  # as OpenCV's own: the strongest channel, without a root
    high = max(LEAST, float(np.quantile(strength, 1 - STRONG)))
    return LOW_SHARE * high, high
