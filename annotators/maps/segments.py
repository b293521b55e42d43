"""Segmentation as data: the class of every pixel, a legend, and JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotators.base import Image, shown
from annotators.maps.encoders import ADE20K_CLASSES, ADE20K_PALETTE, encode_segmentation
from annotators.sources.images import margins
from models.errors import InputError

NOTHING = -1
"""Id of pixels without a class, which are black."""
MAX_PIXELS = 40_000_000


@dataclass(frozen=True)
class Entry:
    """One class of a legend."""

    id: int
    """Number in ADE20K, from 0."""
    name: str
    colour: tuple[int, int, int]
    """RGB in the map."""
    share: float
    """Share of the picture, 0 to 1."""


@dataclass(frozen=True)
class Segments:
    """The class of every pixel of a picture."""

    classes: NDArray[np.int16] = field(repr=False)
    """(H, W) ADE20K ids 0 to 149, or -1."""

    def draw(self) -> Image:
        """Return the map in the colours of ADE20K, unmixed."""
        return encode_segmentation(self.classes)

    def legend(self) -> list[Entry]:
        """Return the picture's classes, the largest first."""
        ids, counts = np.unique(self.classes, return_counts=True)
        found = [(int(id), int(count)) for id, count in zip(ids, counts, strict=True) if id >= 0]
        return [
            Entry(id, ADE20K_CLASSES[id], _colour(id), round(count / self.classes.size, 4))
            for id, count in sorted(found, key=lambda pair: -pair[1])
        ]

    def padded(self, width: int, height: int) -> Segments:
        """Return the classes in the middle of a larger picture, with no class around them."""
        top, bottom, left, right = margins(self.classes.shape[1], self.classes.shape[0], width, height)
        return Segments(np.pad(self.classes, ((top, bottom), (left, right)), constant_values=NOTHING))

    def to_json(self) -> dict[str, Any]:
        """Return size, legend, and `runs`: [class id, count of pixels], row after row from the top left."""
        height, width = self.classes.shape
        flat = self.classes.ravel()
        starts = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
        legend = [vars(entry) | {"colour": list(entry.colour)} for entry in self.legend()]
        runs = [[int(flat[start]), stop - start] for start, stop in pairwise(starts)]
        return {"palette": "ADE20K", "height": height, "width": width, "legend": legend, "runs": runs}

    @classmethod
    def from_json(cls, content: Any) -> Segments:
        """Return the segments that `to_json` wrote. Raises InputError."""
        try:
            height, width = int(content["height"]), int(content["width"])
            runs = np.array(content["runs"], np.int64).reshape(-1, 2)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"The segmentation is {shown(content)}, but it must have height, width and runs."
            ) from error
        ids, counts = runs.T
        fits = 0 < height * width <= MAX_PIXELS and (counts > 0).all() and counts.sum() == height * width
        if not fits or ids.min() < NOTHING or ids.max() >= len(ADE20K_CLASSES):
            raise InputError(
                f"The segmentation's runs do not fill {width}x{height} pixels with classes from -1 to 149; export it again."
            )
        return cls(np.repeat(ids, counts).astype(np.int16).reshape(height, width))


def _colour(id: int) -> tuple[int, int, int]:
    red, green, blue = ADE20K_PALETTE[id].tolist()
    return red, green, blue
