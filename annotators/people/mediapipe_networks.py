"""MediaPipe's networks and their inputs: squares cut out of a photo, turned as the person is.

Constants are MediaPipe's except where a comment names another source; see annotators/mediapipe.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image
from annotators.networks.onnx_networks import load_session, other_network, run

Array = NDArray[np.float64]

OVERLAP = 0.3
"""Intersection over union above which two boxes are one."""


@dataclass(frozen=True, eq=False)
class Region:
    """A square in the picture, turned about its centre."""

    centre: Array
    """x, y in pixels."""
    side: float
    angle: float = 0.0
    """Radians, clockwise as seen."""

    @classmethod
    def along(cls, centre: Array, side: float, start: Array, end: Array, upright: float) -> Region:
        """Return the region in which the direction from start to end is `upright` degrees, counter-clockwise from the right."""
        across, down = end - start
        return cls(centre, side, float(np.radians(upright) - np.arctan2(-down, across)))

    def moved(self, down: float, scale: float = 1) -> Region:
        """Return the region moved along its own vertical by a part of its side, then enlarged."""
        return Region(self.centre + self.axes[:, 1] * down, self.side * scale, self.angle)

    @property
    def axes(self) -> Array:
        """(2, 2): its horizontal and vertical sides as columns, in pixels."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return self.side * np.array([[cosine, -sine], [sine, cosine]])

    def to_picture(self, places: Array) -> Array:
        """Convert (…, 2) from parts of the side, 0 to 1, to the picture's pixels."""
        return self.centre + (places - 0.5) @ self.axes.T

    def crop(self, photo: Image, side: int, border: int) -> Image:
        """Return the region as a picture of side x side pixels; `border` is OpenCV's rule for what lies outside the photo."""
        # Shrunk by means first, so that the fine detail of a large photo does not alias.
        coarser = max(1.0, self.side / side)
        size = [max(1, round(length / coarser)) for length in photo.shape[1::-1]]
        shrunk = cv2.resize(photo, size, interpolation=cv2.INTER_AREA) if coarser > 1 else photo
        scale = np.array(shrunk.shape[1::-1]) / photo.shape[1::-1]
        step = self.axes * scale[:, None] / side
        # The centre of the first pixel, which OpenCV counts as 0 and this project as 0.5.
        first = self.to_picture(np.zeros(2)) * scale + step.sum(axis=1) / 2 - 0.5
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        pixels = cv2.warpAffine(shrunk, np.column_stack([step, first]), (side, side), flags=flags, borderMode=border)
        return np.asarray(pixels, np.uint8)


@dataclass(frozen=True, eq=False)
class Network:
    """A network, and the input it takes: a square RGB picture with values from `lowest` to 1."""

    session: Any
    path: Path
    side: int
    lowest: int

    def __call__(
        self, photo: Image, region: Region, border: int = cv2.BORDER_REPLICATE, mirrored: bool = False
    ) -> dict[str, Array]:
        """Return the outputs for the part of the photo, by name."""
        crop = region.crop(photo, self.side, border)
        crop = crop[:, ::-1] if mirrored else crop
        values = crop.astype(np.float32) / 255 * (1 - self.lowest) + self.lowest
        names = [output.name for output in self.session.get_outputs()]
        outputs = run(self.session, self.path, values[None].astype(np.float32))
        return {name: values[0].astype(np.float64) for name, values in zip(names, outputs, strict=True)}


@dataclass(frozen=True, eq=False)
class Detector:
    """A network that scores boxes around the cells of several grids."""

    network: Network
    strides: tuple[int, ...]
    """Pixels of the input between the cells of each grid."""

    def __call__(self, photo: Image, window: Region, least: float) -> list[Detection]:
        """Return what it finds in a window, the surest first; boxes of one thing are averaged, weighted by their scores."""
        output = self.network(photo, window, cv2.BORDER_CONSTANT)
        scores = sigmoid(output["scores"][:, 0])
        found = np.flatnonzero(scores >= least)
        rows = output["boxes"].reshape(len(scores), -1, 2)[found] / self.network.side
        cells, scores = self.anchors()[found], scores[found]
        centres, halves, points = rows[:, 0] + cells, rows[:, 1] / 2, rows[:, 2:] + cells[:, None]
        boxes = np.stack([centres - halves, centres + halves], axis=1)
        places = window.to_picture(np.concatenate([boxes, points], axis=1))
        groups = overlapping(boxes, scores)
        means = [(np.average(places[group], axis=0, weights=scores[group]), group[0]) for group in groups]
        return [Detection(mean[:2], mean[2:], float(scores[first])) for mean, first in means]

    def anchors(self) -> Array:
        """(N, 2): the centres of the cells, as parts of the side, in the order of the network's output."""
        parts: list[Array] = []
        for stride in sorted(set(self.strides)):
            count = -(-self.network.side // stride)
            rows, columns = np.divmod(np.arange(count**2), count)
            # Two anchors in each cell, and of grids with equal strides one after the other in the same cell.
            parts.append(
                np.repeat(np.column_stack([columns, rows]) + 0.5, 2 * self.strides.count(stride), axis=0) / count
            )
        return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class Detection:
    """A box with key points, in the picture's pixels."""

    box: Array
    """(2, 2): upper left and lower right."""
    points: Array
    """(K, 2)."""
    score: float


def load_body_networks(device: str, folder: Path) -> tuple[Detector, Network]:
    """Return the detector of heads, and the network of joints."""
    finder = _load(device, folder / "pose_detection.onnx", 224, -1, "boxes", "scores")
    joints = _load(device, folder / "pose_landmark_full.onnx", 256, 0, "landmarks", "presence", "heatmap", "mask")
    return Detector(finder, (8, 16, 32, 32, 32)), joints


def load_hand_networks(device: str, folder: Path) -> tuple[Network, Detector, Network]:
    """Return the network that places a hand's square, the detector of palms, and the network of finger joints."""
    recrop = _load(device, folder / "hand_recrop.onnx", 256, 0, "crop")
    palms = _load(device, folder / "palm_detection_full.onnx", 192, 0, "boxes", "scores")
    fingers = _load(device, folder / "hand_landmark_full.onnx", 224, 0, "landmarks", "presence", "handedness")
    return recrop, Detector(palms, (8, 16, 16, 16)), fingers


def load_face_networks(device: str, folder: Path) -> tuple[Detector, Network]:
    """Return the detector of faces, and the network of the mesh."""
    faces = _load(device, folder / "face_detection_short_range.onnx", 128, -1, "boxes", "scores")
    mesh = _load(device, folder / "face_landmark_with_attention.onnx", 192, 0, "landmarks", "presence")
    return Detector(faces, (8, 16, 16, 16)), mesh


def _load(device: str, path: Path, side: int, lowest: int, *outputs: str) -> Network:
    session = load_session(device, path, threads=1)  # networks this small gain nothing from more
    if not {output.name for output in session.get_outputs()}.issuperset(outputs):
        raise other_network(path)
    return Network(session, path, side, lowest)


def overlapping(boxes: Array, scores: Array) -> Iterator[NDArray[np.int64]]:
    """Yield groups of boxes, (N, 2, 2), that overlap the surest one of their group; its number comes first."""
    low, high = boxes[:, 0], boxes[:, 1]
    areas = (high - low).prod(axis=1)
    left = np.argsort(-scores, kind="stable")
    while len(left):
        first = left[0]
        shared = np.maximum(np.minimum(high[first], high[left]) - np.maximum(low[first], low[left]), 0).prod(axis=1)
        same = shared > OVERLAP * (areas[first] + areas[left] - shared)
        same[0] = True
        yield left[same]
        left = left[~same]


def sigmoid(logits: Array) -> Array:
    """Return probabilities."""
    return 1 / (1 + np.exp(-np.clip(logits, -100, 100)))
