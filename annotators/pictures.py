"""Maps that are pictures themselves: unchanged, with less detail, blurred, grey, in colour cells, or shuffled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Filter, Image, param

MAX_SEED = 2**32 - 1
GRID_CELL = 64
"""Pixels of a colour cell for a short side of 512: the size that the T2I-Adapters for colours were trained with."""


@dataclass(frozen=True)
class AsItIs(Filter):
    """The picture unchanged, for ControlNets that read a whole picture or one with a masked part."""

    id = "as_it_is"
    title = "Picture (as it is)"
    kind = "picture"

    def annotate(self, source_image: Image) -> Image:
        """Return a copy of the picture."""
        return source_image.copy()


@dataclass(frozen=True)
class Tile(Filter):
    """The picture without its finest detail, which the ControlNet then adds."""

    id = "tile"
    title = "Picture (less detail)"
    kind = "picture"

    down_sampling_rate: float = param(
        1.0, "Shrinks the picture this many times, then enlarges it again; 1 keeps all detail.",
        minimum=1.0, maximum=8.0, step=0.5,
    )  # fmt: skip

    def annotate(self, source_image: Image) -> Image:
        """Return a picture of the same size."""
        return _through_smaller(source_image, self.down_sampling_rate, cv2.INTER_CUBIC)


@dataclass(frozen=True)
class Blur(Filter):
    """The picture out of focus."""

    id = "blur"
    title = "Picture (blurred)"
    kind = "picture"

    sigma: float = param(
        9.0, "Width of the blur for a short side of 512 px.", minimum=0.5, maximum=64.0, step=0.5, unit="px"
    )

    def annotate(self, source_image: Image) -> Image:
        """Return a picture of the same size."""
        sigma = self.sigma * min(source_image.shape[:2]) / 512
        return np.asarray(cv2.GaussianBlur(source_image, (0, 0), max(sigma, 0.1)), np.uint8)


@dataclass(frozen=True)
class Shuffle(Filter):
    """The picture in swirls: colours and textures stay, places change."""

    id = "shuffle"
    title = "Shuffle"
    kind = "picture"

    seed: int = param(0, "New seed, new swirl.", minimum=0, maximum=MAX_SEED, step=1)
    cell: int = param(256, "Swirl size for a short side of 512 px.", minimum=32, maximum=512, step=16, unit="px")

    def annotate(self, source_image: Image) -> Image:
        """Return a picture whose pixels come from places that drift smoothly over the source image."""
        height, width = source_image.shape[:2]
        rng = np.random.default_rng(self.seed)
        cell = self.cell * min(height, width) / 512
        x = _drift(rng, height, width, cell) * np.float32(width - 1)
        y = _drift(rng, height, width, cell) * np.float32(height - 1)
        return np.asarray(cv2.remap(source_image, x, y, cv2.INTER_LINEAR), np.uint8)


@dataclass(frozen=True)
class RecolorLuminance(Filter):
    """The picture's brightness, without its colours."""

    id = "recolor_luminance"
    title = "Grey (luminance)"
    kind = "picture"

    gamma: float = param(1.0, "Below 1 brightens the map, above 1 darkens it.", minimum=0.1, maximum=5.0, step=0.05)

    def annotate(self, source_image: Image) -> Image:
        """Return L of Lab as grey."""
        return _grey(cv2.cvtColor(source_image, cv2.COLOR_RGB2LAB)[..., 0], self.gamma)


@dataclass(frozen=True)
class RecolorIntensity(RecolorLuminance):
    """The strongest channel of each pixel, without its colour."""

    id = "recolor_intensity"
    title = "Grey (intensity)"

    def annotate(self, source_image: Image) -> Image:
        """Return V of HSV as grey."""
        return _grey(source_image.max(axis=2), self.gamma)


@dataclass(frozen=True)
class ColorGrid(Filter):
    """The picture in cells of one colour each."""

    id = "color_grid"
    title = "Color grid"
    kind = "picture"

    cell: int = param(GRID_CELL, "Cell size for a short side of 512 px.", minimum=8, maximum=256, step=8, unit="px")

    def annotate(self, source_image: Image) -> Image:
        """Return cells in the mean colour of their pixels, with hard borders."""
        return _through_smaller(source_image, self.cell * min(source_image.shape[:2]) / 512, cv2.INTER_NEAREST)


def _through_smaller(image: Image, factor: float, back: int) -> Image:
    """Return the picture shrunk `factor` times, then enlarged to its size by OpenCV's interpolation `back`."""
    height, width = image.shape[:2]
    small = max(round(width / factor), 1), max(round(height / factor), 1)
    if small == (width, height):
        return image.copy()
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=back), np.uint8)


def _drift(rng: np.random.Generator, height: int, width: int, cell: float) -> NDArray[np.float32]:
    """Return (H, W) smooth values from 0 to 1: cubics between random numbers that are a cell apart."""
    nodes = rng.random((round(height / cell) + 3, round(width / cell) + 3), np.float32)
    large = cv2.resize(nodes, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
    top, left = (int(rng.integers(0, max(size, 1))) for size in (large.shape[0] - height, large.shape[1] - width))
    part = large[top : top + height, left : left + width]
    return (part - part.min()) / np.float32(max(float(np.ptp(part)), 1e-6))


def _grey(values: NDArray[Any], gamma: float) -> Image:
    """Return (H, W) values 0 to 255 as an RGB picture, with their brightness bent by gamma."""
    bent = 255 * (np.arange(256) / 255) ** gamma
    return np.repeat(np.rint(bent).astype(np.uint8)[values][..., None], 3, axis=2)
