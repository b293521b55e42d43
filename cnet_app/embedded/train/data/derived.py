"""Control images that are derived from the picture while training: line art, and pictures as maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image
from annotators.lineart import LineArtStandard
from annotators.pictures import ColorGrid, RecolorLuminance, Tile

VAGUE, GREY, CELLS = 0.4, 0.2, 0.15
"""Shares of the kinds. The rest has a part taken out, which takes the longest to learn."""


def pictorial_hint(image: Image, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the picture (H, W, 3) blurred, grey, or in cells; or with -1 where a part is taken out, as for inpainting."""
    kind = rng.random()
    if kind < VAGUE:
        return _unit(Tile(down_sampling_rate=float(rng.uniform(1, 8)))(image))
    if kind < VAGUE + GREY:
        return _unit(RecolorLuminance()(image))
    if kind < VAGUE + GREY + CELLS:
        return _unit(ColorGrid(cell=int(rng.choice([32, 64, 128])))(image))
    hint = _unit(image)
    hint[_hole(image.shape[0], image.shape[1], rng)] = -1
    return hint


def line_art_hint(image: Image, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return line art (H, W, 3) of a random width."""
    return _unit(LineArtStandard(sigma=round(rng.uniform(2, 10), 1))(image))


def _unit(image: Image) -> NDArray[np.float32]:
    """Convert uint8 to [0, 1]."""
    return image.astype(np.float32) / np.float32(255)


def _hole(height: int, width: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a mask (H, W) of one to three boxes or ellipses, each a tenth to a half of the side."""
    mask = np.zeros((height, width), np.uint8)
    for _ in range(rng.integers(1, 4)):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        wide, high = (int(side * rng.uniform(0.05, 0.25)) for side in (width, height))
        if rng.random() < 0.5:
            cv2.rectangle(mask, (x - wide, y - high), (x + wide, y + high), 1, -1)
        else:
            cv2.ellipse(mask, (x, y), (wide, high), 0, 0, 360, 1, -1)
    return mask.astype(np.bool_)


DERIVED: Mapping[str, Callable[[Image, np.random.Generator], NDArray[np.float32]]] = MappingProxyType(
    {"picture": pictorial_hint, "lineart": line_art_hint}
)
"""Name of an embedded ControlNet to the function that makes its hint of a picture: (H, W, 3) in [0, 1]."""
