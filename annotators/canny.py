"""Canny: hard edges, one pixel wide."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from annotators.base import Annotator, Image, InputError, param
from annotators.maps import lines


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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low_threshold > self.high_threshold:
            raise InputError(
                f"low_threshold is {self.low_threshold}, above high_threshold, {self.high_threshold}; "
                "make it smaller, or raise high_threshold."
            )

    def __call__(self, source_image: Image) -> Image:
        """White lines on black."""
        return lines(cv2.Canny(source_image, self.low_threshold, self.high_threshold) > 0)
