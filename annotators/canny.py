"""Canny: hard edges, one pixel wide."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from annotators.base import Filter, Image, param
from annotators.maps.encoders import lines

STRONG = 0.12
"""Share of the pixels whose gradient is above the high threshold."""
LOW_SHARE = 0.4
"""Low threshold over high threshold."""
LEAST = 60.0
"""Smallest high threshold; gradients below it are a camera's noise."""


@dataclass(frozen=True)
class Canny(Filter):
    """Edges where the brightness gradient peaks above `high_threshold`, followed while it stays above `low_threshold`."""

    id = "canny"
    title = "Canny"
    kind = "lines"
    ordered = (("low_threshold", "high_threshold"),)

    low_threshold: int = param(100, "Lower keeps fainter lines.", minimum=1, maximum=255, step=1)
    high_threshold: int = param(200, "Lower finds more edges.", minimum=1, maximum=255, step=1)

    automatic: bool = param(False, "Set both thresholds automatically.")

    def annotate(self, source_image: Image) -> Image:
        """Return white lines on black."""
        low, high = picture_thresholds(source_image) if self.automatic else (self.low_threshold, self.high_threshold)
        return lines(cv2.Canny(source_image, low, high))

    def unused(self) -> frozenset[str]:
        """Return both thresholds where they are set automatically."""
        return frozenset({"low_threshold", "high_threshold"} if self.automatic else ())


def picture_thresholds(image: Image) -> tuple[float, float]:
    """Return a low and a high threshold from the picture's own gradients, by shares as in MATLAB's `edge`.

    The gradients of a share STRONG of all pixels are above the high threshold; the low one is LOW_SHARE of it.
    """
    x, y = (cv2.Sobel(image, cv2.CV_16S, *order).astype(np.int32) for order in ((1, 0), (0, 1)))
    strength = (np.abs(x) + np.abs(y)).max(axis=2)  # as in OpenCV's Canny: the strongest channel, without a root
    high = max(LEAST, float(np.quantile(strength, 1 - STRONG)))
    return LOW_SHARE * high, high
