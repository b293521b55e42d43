"""Scribbles: bold strokes as a hand would draw them, from a photo or from a canvas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Filter, Image, NetworkAnnotator, param, resolution_param
from annotators.maps.encoders import lines
from annotators.runtime import Runtime
from annotators.softedge import HED, EdgeNetwork, PiDiNet
from models.errors import InputError

SPECK = 30
"""Width plus height, in pixels of a map with a short side of 512, below which a stroke is removed."""


@dataclass(frozen=True)
class ScribbleXDoG(Filter):
    """Strokes where the picture is darker than its surroundings: a difference of two blurs, thresholded."""

    id = "scribble_xdog"
    title = "XDoG"
    kind = "lines"

    threshold: int = param(32, "Lower draws more.", minimum=1, maximum=64, step=1)
    channels: str = param(
        "any",
        "Which of red, green and blue must be darker. Other programs need every one, which draws far less.",
        choices=("any", "every"),
    )

    def annotate(self, source_image: Image) -> Image:
        """Return white strokes on black. The blurs are 0.5 and 5 px for a short side of 512 px."""
        pixel = min(source_image.shape[:2]) / 512
        photo = source_image.astype(np.float32)
        fine = cv2.GaussianBlur(photo, (0, 0), max(0.5, 0.5 * pixel))
        coarse = cv2.GaussianBlur(photo, (0, 0), max(1.0, 5.0 * pixel))
        darker = coarse - fine
        any_one = self.channels == "any"
        strokes = 2 * (darker.max(axis=2) if any_one else darker.min(axis=2)) > self.threshold
        smallest = SPECK * (2 if any_one else 1)  # any channel draws more specks
        return lines(_without_specks(strokes, smallest=round(smallest * pixel)))


def _without_specks(strokes: NDArray[np.bool_], smallest: int) -> NDArray[np.bool_]:
    """Return the connected strokes whose box has a width plus height of at least `smallest` px."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(strokes.astype(np.uint8), connectivity=8)
    size = stats[:, cv2.CC_STAT_WIDTH] + stats[:, cv2.CC_STAT_HEIGHT]
    return strokes & (size >= smallest)[np.asarray(labels, np.intp)]


@dataclass(frozen=True)
class Ink(Filter):
    """A drawing on paper as a map: dark pixels become strokes."""

    id = "threshold"
    title = "Drawing on paper (ink)"
    kind = "lines"
    note = "For pictures that are drawings already."
    reads_drawings = True

    threshold: int = param(127, "Pixels darker than this are ink.", minimum=1, maximum=255, step=1)

    def annotate(self, source_image: Image) -> Image:
        """Return white strokes on black."""
        return lines(source_image.min(axis=2) < self.threshold)


@dataclass(frozen=True)
class RidgeScribble(NetworkAnnotator):
    """Bold strokes along the ridges of a network's soft edges."""

    kind = "lines"
    network: ClassVar[type[EdgeNetwork]]

    detect_resolution: int = resolution_param("edges are found")
    threshold: int = param(127, "Lower draws more.", minimum=1, maximum=254, step=1)

    def annotate(self, source_image: Image, runtime: Runtime) -> Image:
        """Return white strokes on black."""
        edges = self.network(detect_resolution=self.detect_resolution).edges(source_image, runtime)
        return scribble_from_softedge(255 * edges, self.threshold)


@dataclass(frozen=True)
class ScribbleHED(RidgeScribble):
    """Strokes along HED's edges."""

    id = "scribble_hed"
    title = "HED"
    weights = ("hed",)
    library = "controlnet_aux"
    network = HED


@dataclass(frozen=True)
class ScribblePiDiNet(RidgeScribble):
    """Strokes along PiDiNet's edges."""

    id = "scribble_pidinet"
    title = "PiDiNet"
    weights = ("pidinet",)
    library = "controlnet_aux"
    note = PiDiNet.note
    network = PiDiNet


def scribble_from_softedge(soft_edge: NDArray[Any], threshold: int = 127) -> Image:
    """(H, W) soft edges, white on black → bold strokes along their ridges, as in the original's fake scribble."""
    pixel = min(soft_edge.shape) / 512
    smooth = cv2.GaussianBlur(soft_edge.astype(np.float32), (0, 0), max(1.0, 3 * pixel))
    ridge = np.zeros(smooth.shape, np.bool_)
    for line in (np.diag([1, 1, 1]), np.fliplr(np.diag([1, 1, 1])), _ROW, _ROW.T):
        ridge |= cv2.dilate(smooth, line.astype(np.uint8)) == smooth
    strokes = np.where(ridge & (smooth > threshold), 255, 0).astype(np.float32)
    return lines(cv2.GaussianBlur(strokes, (0, 0), max(1.0, 3 * pixel)) > 4)


_ROW = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0]])


def scribble_from_canvas(drawn: NDArray[Any]) -> Image:
    """Return a drawing as white strokes on black. Raises InputError where nothing is drawn.

    (H, W, 4) is a layer whose alpha is the ink, (H, W) a mask, (H, W, 3) dark ink on white paper.
    """
    if drawn.ndim == 3 and drawn.shape[2] == 3:
        ink = drawn.min(axis=2) < 127
    else:
        ink = (drawn[..., 3] if drawn.ndim == 3 else drawn) > 127
    if not ink.any():
        raise InputError("Nothing is drawn yet: draw a few lines on the canvas, then generate.")
    return lines(ink)
