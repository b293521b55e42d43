"""Maps that are pictures: as they are, vague, grey, in cells, or shuffled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Annotator, Image, param

MAX_SEED = 2**32 - 1
GRID_CELL = 64
"""Pixels of a colour cell where the short side is 512: what the adapters for colours were trained with."""


@dataclass(frozen=True)
class AsItIs(Annotator):
    """The picture as it is: its ControlNet reads it so, or takes out what a mask covers."""

    id = "as_it_is"
    title = "Picture (as it is)"
    kind = "picture"

    def __call__(self, source_image: Image) -> Image:
        """The same picture."""
        return source_image.copy()


@dataclass(frozen=True)
class Tile(Annotator):
    """The picture with only the detail that is left at a smaller size, so that its ControlNet paints the detail anew."""

    id = "tile"
    title = "Picture (made vague)"
    kind = "picture"

    down_sampling_rate: float = param(
        1.0, "How many times smaller the picture becomes before it grows again; 1 keeps all detail.",
        minimum=1.0, maximum=8.0, step=0.5,
    )  # fmt: skip

    def __call__(self, source_image: Image) -> Image:
        """A picture of the same size."""
        return _through_smaller(source_image, self.down_sampling_rate, cv2.INTER_CUBIC)


@dataclass(frozen=True)
class Blur(Annotator):
    """The picture out of focus."""

    id = "blur"
    title = "Picture (blurred)"
    kind = "picture"

    sigma: float = param(
        9.0, "Reach of the blur where the short side is 512.", minimum=0.5, maximum=64.0, step=0.5, unit="px"
    )

    def __call__(self, source_image: Image) -> Image:
        """A picture of the same size."""
        sigma = self.sigma * min(source_image.shape[:2]) / 512
        return np.asarray(cv2.GaussianBlur(source_image, (0, 0), max(sigma, 0.1)), np.uint8)


@dataclass(frozen=True)
class Shuffle(Annotator):
    """The picture stirred: its colours and textures stay, its places go."""

    id = "shuffle"
    title = "Shuffle"
    kind = "picture"

    seed: int = param(0, "Another number stirs in another way.", minimum=0, maximum=MAX_SEED, step=1)
    cell: int = param(
        256, "Size of the whirls where the short side is 512.", minimum=32, maximum=512, step=16, unit="px"
    )

    def __call__(self, source_image: Image) -> Image:
        """Each pixel is fetched from a place that drifts smoothly over the whole picture."""
        height, width = source_image.shape[:2]
        rng = np.random.default_rng(self.seed)
        cell = self.cell * min(height, width) / 512
        x = _drift(rng, height, width, cell) * np.float32(width - 1)
        y = _drift(rng, height, width, cell) * np.float32(height - 1)
        return np.asarray(cv2.remap(source_image, x, y, cv2.INTER_LINEAR), np.uint8)


@dataclass(frozen=True)
class RecolorLuminance(Annotator):
    """The picture without its colours: how bright it looks."""

    id = "recolor_luminance"
    title = "Grey (luminance)"
    kind = "picture"

    gamma: float = param(1.0, "Below 1 brightens the map, above 1 darkens it.", minimum=0.1, maximum=5.0, step=0.05)

    def __call__(self, source_image: Image) -> Image:
        """L of Lab, as grey."""
        return _grey(cv2.cvtColor(source_image, cv2.COLOR_RGB2LAB)[..., 0], self.gamma)


@dataclass(frozen=True)
class RecolorIntensity(RecolorLuminance):
    """The picture without its colours: its strongest channel."""

    id = "recolor_intensity"
    title = "Grey (intensity)"

    def __call__(self, source_image: Image) -> Image:
        """V of HSV, as grey."""
        return _grey(source_image.max(axis=2), self.gamma)


@dataclass(frozen=True)
class ColorGrid(Annotator):
    """The picture in cells of one colour each."""

    id = "color_grid"
    title = "Colour grid"
    kind = "picture"

    cell: int = param(
        GRID_CELL, "Size of a cell where the short side is 512.", minimum=8, maximum=256, step=8, unit="px"
    )

    def __call__(self, source_image: Image) -> Image:
        """Mean colours, with hard borders."""
        return _through_smaller(source_image, self.cell * min(source_image.shape[:2]) / 512, cv2.INTER_NEAREST)


def _through_smaller(image: Image, factor: float, back: int) -> Image:
    """The picture so many times smaller, and back at its size."""
    height, width = image.shape[:2]
    small = max(round(width / factor), 1), max(round(height / factor), 1)
    if small == (width, height):
        return image.copy()
    shrunk = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (width, height), interpolation=back), np.uint8)


def _drift(rng: np.random.Generator, height: int, width: int, cell: float) -> NDArray[np.float32]:
    """(H, W) from 0 to 1, smooth: random numbers a cell apart, with cubics between them."""
    nodes = rng.random((round(height / cell) + 3, round(width / cell) + 3), np.float32)
    large = cv2.resize(nodes, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
    top, left = (int(rng.integers(0, max(size, 1))) for size in (large.shape[0] - height, large.shape[1] - width))
    part = large[top : top + height, left : left + width]
    return (part - part.min()) / np.float32(max(float(np.ptp(part)), 1e-6))


def _grey(values: NDArray[Any], gamma: float) -> Image:
    bent = 255 * (np.arange(256) / 255) ** gamma
    return np.repeat(np.rint(bent).astype(np.uint8)[values][..., None], 3, axis=2)
