"""Tile: the picture itself, made vague, so that its ControlNet paints the detail anew."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from annotators.base import Annotator, Image, param


@dataclass(frozen=True)
class Tile(Annotator):
    """The picture with only the detail that is left at a smaller size."""

    id = "tile"
    title = "Picture, made vague"
    kind = "picture"

    down_sampling_rate: float = param(
        1.0, "How many times smaller the picture becomes before it grows again; 1 keeps all detail.",
        minimum=1.0, maximum=8.0, step=0.5,
    )  # fmt: skip

    def __call__(self, source_image: Image) -> Image:
        """A picture of the same size."""
        height, width = source_image.shape[:2]
        small = max(round(width / self.down_sampling_rate), 1), max(round(height / self.down_sampling_rate), 1)
        if small == (width, height):
            return source_image.copy()
        shrunk = cv2.resize(source_image, small, interpolation=cv2.INTER_AREA)
        return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC).astype(source_image.dtype)
