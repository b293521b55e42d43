"""DWPose: whole bodies with fingers and faces (Yang et al., 2023), by two networks in ONNX files.

YOLOX finds a box around each person, and the whole-body network 133 points in each box.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image, param
from annotators.networks.loading import weights_folder
from annotators.networks.onnx_networks import load_session, other_network, run
from annotators.people.body_annotator import PoseAnnotator, score_threshold
from annotators.people.poses import Person, Points
from annotators.runtime import Runtime

Boxes = NDArray[np.float64]
"""(N, 4): left, top, right, bottom in pixels."""

FINDER, ESTIMATOR = "yolox_l.onnx", "dw-ll_ucoco_384.onnx"
# The finder's input and output, as in YOLOX's training and DWPose's demo.
FINDER_SIDE, FINDER_GREY, FINDER_STRIDES = 640, 114, (8, 16, 32)
PERSON_CLASS, OVERLAP = 5, 0.45
"""Column of the person class's score, after box and objectness; largest intersection over union of two boxes."""
# The estimator's input and output, as in its training configuration.
CROP_WIDTH, CROP_HEIGHT, MARGIN, BINS = 288, 384, 1.25, 2
"""Pixels of the input, enlargement of the box, and bins per pixel of the output."""
MEAN, SPREAD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
WHOLE_BODY = 133

# COCO-WholeBody's points: 17 of the body, 6 of the feet, 68 of the face, 21 of each hand.
BODY_FROM = (0, 5, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""OpenPose's 18 points by their numbers in COCO-WholeBody; the neck (the second) is the middle of 5 and 6."""
SHOULDERS, NECK, EYES = (5, 6), 1, (2, 1)
FACE, LEFT_HAND, RIGHT_HAND = slice(23, 91), slice(91, 112), slice(112, 133)


@dataclass(frozen=True)
class DWPose(PoseAnnotator):
    """Bodies, fingers and faces of all people, by two networks."""

    id = "dwpose"
    title = "DWPose"
    weights = ("dwpose",)
    library = "onnxruntime"
    note = "Apache-2.0; commercial use of its training photos (COCO-WholeBody) is disputed."

    person_threshold: float = param(0.3, "Lower finds less certain people.", minimum=0.05, maximum=0.95, step=0.05)
    score_threshold: float = score_threshold(0.3)

    def people(self, source_image: Image, runtime: Runtime) -> list[Person]:
        """Return the largest people."""
        folder = weights_folder(self.weights[0])
        finder, estimator = folder / FINDER, folder / ESTIMATOR
        boxes = find_boxes(runtime.load(load_finder, finder), finder, source_image, self.person_threshold)
        size = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
        largest = boxes[np.argsort(-size, kind="stable")[: self.most_people]]
        session = runtime.load(load_estimator, estimator) if len(largest) else None
        found = [find_points(session, estimator, source_image, box) for box in largest]
        return [to_person(np.where(points[:, 2:] >= self.score_threshold, points, 0)) for points in found]


def load_finder(device: str, path: Path) -> Any:
    """Return the session of YOLOX."""
    return load_session(device, path)


def load_estimator(device: str, path: Path) -> Any:
    """Return the session of the whole-body network."""
    return load_session(device, path)


def find_boxes(session: Any, path: Path, photo: Image, threshold: float) -> Boxes:
    """(H, W, 3) RGB → a box around each person, the best score first."""
    canvas, scale = _letterbox(photo)
    output = run(session, path, canvas[..., ::-1].astype(np.float32).transpose(2, 0, 1)[None])[0]  # blue first
    corners, strides = _cells()
    if output.ndim != 3 or output.shape[:2] != (1, len(corners)) or output.shape[2] <= PERSON_CLASS:
        raise other_network(path)
    values = output[0].astype(np.float64)
    scores = values[:, 4] * values[:, PERSON_CLASS]
    rows = np.flatnonzero(scores > threshold)
    centres = (values[rows, :2] + corners[rows]) * strides[rows]
    halves = np.exp(np.clip(values[rows, 2:4], -2, 10)) * strides[rows] / 2
    boxes = np.hstack([centres - halves, centres + halves]) / scale
    return boxes[_best(boxes, scores[rows])]


def _letterbox(photo: Image) -> tuple[Image, float]:
    """Return the picture in the upper left of a grey square, and its scale."""
    height, width = photo.shape[:2]
    scale = FINDER_SIDE / max(height, width)
    size = max(1, int(width * scale)), max(1, int(height * scale))
    canvas = np.full((FINDER_SIDE, FINDER_SIDE, 3), FINDER_GREY, np.uint8)
    canvas[: size[1], : size[0]] = cv2.resize(photo, size, interpolation=cv2.INTER_LINEAR)
    return canvas, scale


def _cells() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return column and row (N, 2) of the cell of every row of the finder's output, and the cells' sides in pixels (N, 1)."""
    grids = [np.mgrid[: FINDER_SIDE // s, : FINDER_SIDE // s][::-1].reshape(2, -1).T for s in FINDER_STRIDES]
    strides = [np.full((len(grid), 1), s) for grid, s in zip(grids, FINDER_STRIDES, strict=True)]
    return np.concatenate(grids).astype(np.float64), np.concatenate(strides).astype(np.float64)


def _best(boxes: Boxes, scores: NDArray[np.float64]) -> list[int]:
    """Return the numbers of the boxes without those that overlap a box of a higher score."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    left = np.argsort(-scores, kind="stable")
    best: list[int] = []
    while len(left):
        first, left = int(left[0]), left[1:]
        best.append(first)
        low = np.maximum(boxes[first, :2], boxes[left, :2])
        high = np.minimum(boxes[first, 2:], boxes[left, 2:])
        shared = np.maximum(high - low, 0).prod(axis=1)
        left = left[shared <= OVERLAP * (areas[first] + areas[left] - shared)]
    return best


def find_points(session: Any, path: Path, photo: Image, box: NDArray[np.float64]) -> Points:
    """Return the (133, 3) points of COCO-WholeBody of the person in the box: x, y in the picture's pixels, and the score."""
    centre = (box[:2] + box[2:]) / 2
    scale = MARGIN * max((box[2] - box[0]) / CROP_WIDTH, (box[3] - box[1]) / CROP_HEIGHT)
    corner = centre - np.array([CROP_WIDTH, CROP_HEIGHT]) / 2 * scale
    output = run(session, path, _crop(photo, corner, scale))
    shapes = [(1, WHOLE_BODY, BINS * side) for side in (CROP_WIDTH, CROP_HEIGHT)]
    if [part.shape for part in output] != shapes:
        raise other_network(path)
    places = np.column_stack([part[0].argmax(axis=1) for part in output]) / BINS
    scores = np.minimum(*(part[0].max(axis=1) for part in output))
    points = np.column_stack([corner + (places + 0.5) * scale, scores]).astype(np.float64)
    return np.where(points[:, 2:] > 0, points, 0)


def _crop(photo: Image, corner: NDArray[np.float64], scale: float) -> NDArray[np.float32]:
    """Return (1, 3, 384, 288): the part of the picture that begins at this corner, black beyond its border."""
    shift = (corner - 0.5) / scale + 0.5  # OpenCV counts from a pixel's centre
    matrix = np.array([[1 / scale, 0, -shift[0]], [0, 1 / scale, -shift[1]]])
    crop = np.asarray(cv2.warpAffine(photo, matrix, (CROP_WIDTH, CROP_HEIGHT), flags=cv2.INTER_LINEAR))
    return ((crop - np.array(MEAN)) / SPREAD).astype(np.float32).transpose(2, 0, 1)[None]


def to_person(points: Points) -> Person:
    """(133, 3), with zeros where a point was not found → a person in OpenPose's order."""
    body = points[list(BODY_FROM)]
    shoulders = points[list(SHOULDERS)]
    body[NECK] = shoulders.mean(axis=0) if shoulders[:, 2].all() else 0
    body[NECK, 2] = shoulders[:, 2].min()
    face = np.concatenate([points[FACE], points[list(EYES)]])  # its last two points are the pupils
    hands = (points[LEFT_HAND], points[RIGHT_HAND])
    left, right, face = (part if part[:, 2].any() else None for part in (*hands, face))
    return Person(body=body, left_hand=left, right_hand=right, face=face)
