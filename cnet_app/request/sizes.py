"""The size of a picture that follows the aspect of a photo."""

from __future__ import annotations

import math

from annotators.base import Image
from annotators.people.poses import Pose
from cnet_app.request.generation import REQUEST_LIMITS

MAX_RATIO = 3.0
"""Long side to short side of a picture; a longer photo is cropped, padded or stretched to it."""
COARSE = 64
"""Sides are multiples of it, where a model is at its best, or of the family's `side_multiple`, which is finer."""
TOLERANCE = 0.02
"""Largest relative change of the photo's aspect by rounding to COARSE."""
SPARE = 1.1
"""Largest share of the budget that a size may take."""


def fit_budget(width: int, height: int, side: int, multiple: int) -> tuple[int, int]:
    """Return a size of the photo's aspect that has about side² pixels; its sides are multiples of COARSE or of `multiple`."""
    ratio = min(max(width / height, 1 / MAX_RATIO), MAX_RATIO)
    wide, high = (_rounded(side * factor, COARSE) for factor in (math.sqrt(ratio), 1 / math.sqrt(ratio)))
    if abs(wide / high / ratio - 1) <= TOLERANCE and wide * high <= SPARE * side * side:
        return wide, high
    return _rounded(side * math.sqrt(ratio), multiple), _rounded(side / math.sqrt(ratio), multiple)


def _rounded(side: float, multiple: int) -> int:
    lowest, highest = REQUEST_LIMITS["width"].minimum or multiple, REQUEST_LIMITS["width"].maximum or math.inf
    return int(min(max(round(side / multiple) * multiple, lowest), highest))


def size_of(source: Image | Pose) -> tuple[int, int]:
    """Return width and height of a picture, or of the canvas of a pose."""
    if isinstance(source, Pose):
        return source.width, source.height
    return source.shape[1], source.shape[0]
