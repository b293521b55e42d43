"""Boxes of the hands and the face of a body, and the points in OpenPose's heat maps of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.people.pose_json import FACE_POINTS, HAND_POINTS, Points

RIGHT_ARM, LEFT_ARM = (2, 3, 4), (5, 6, 7)
"""Shoulder, elbow, wrist."""
NOSE, EYES, EARS = 0, (14, 15), (16, 17)
SMALLEST_BOX = 20
"""Pixels; a smaller part shows no detail. This and the numbers below are from OpenPose (handDetector.cpp), for faces from
ControlNet's code."""
HAND_MAP, HAND_BLUR, HAND_HEAT, FACE_HEAT = 128, 3.0, 0.05, 0.05


class Box(NamedTuple):
    """A square of the picture, in pixels; the part beyond the border is cut off."""

    x: int
    y: int
    side: int


def hand_box(body: Points, arm: tuple[int, int, int], height: int, width: int) -> Box | None:
    """Return the box around the end of a forearm; None where a joint of the arm is missing, or the box is too small."""
    if not (body[list(arm), 2] > 0).all():
        return None
    shoulder, elbow, wrist = body[list(arm), :2]
    forearm, upper_arm = math.dist(wrist, elbow), math.dist(elbow, shoulder)
    side = 1.5 * max(forearm, 0.9 * upper_arm)
    x, y = np.maximum(wrist + 0.33 * (wrist - elbow) - side / 2, 0)
    return _box(x, y, min(side, width - x, height - y))


def face_box(body: Points, height: int, width: int) -> Box | None:
    """Return the box around the nose, sized by eyes and ears; None where these are missing, or the box is too small."""
    nose = body[NOSE]
    reach = max(
        factor * float(np.abs(body[point, :2] - nose[:2]).max()) if body[point, 2] > 0 else 0.0
        for points, factor in ((EYES, 3.0), (EARS, 1.5))
        for point in points
    )
    if nose[2] == 0 or reach == 0:
        return None
    x, y = np.maximum(nose[:2] - reach, 0)
    # A face at the border gets a smaller box only where not even half of it fits.
    sides = [left if left < reach else 2 * reach for left in (width - x, height - y)]
    return _box(x, y, min(sides))


def _box(x: float, y: float, side: float) -> Box | None:
    return Box(int(x), int(y), int(side)) if side >= SMALLEST_BOX else None


def hand_points(heat: NDArray[np.float32], height: int, width: int) -> Points:
    """Heat (128, 128, 21 or more) of a crop of this size → (21, 3) in its pixels.

    A joint is at the maximum of its map, within the connected spot with the largest sum.
    """
    smooth = np.asarray(cv2.GaussianBlur(heat, (0, 0), HAND_BLUR, borderType=cv2.BORDER_REFLECT))
    points = np.zeros((HAND_POINTS, 3))
    for joint in range(HAND_POINTS):
        count, spots = cv2.connectedComponents((smooth[..., joint] > HAND_HEAT).astype(np.uint8), connectivity=8)
        if count < 2:
            continue
        warmth = heat[..., joint]
        spot = 1 + int(np.argmax(np.bincount(spots.ravel(), warmth.ravel(), count)[1:]))
        row, column = np.unravel_index(np.argmax(np.where(spots == spot, warmth, -np.inf)), warmth.shape)
        place = (column + 0.5) * width / heat.shape[1], (row + 0.5) * height / heat.shape[0]
        points[joint] = *place, max(float(warmth[row, column]), 0.0)
    return points


def face_points(heat: NDArray[np.float32], height: int, width: int) -> Points:
    """Heat (70 or more, h, w) of a crop of this size → (70, 3) in its pixels.

    The map's corners are the centres of the crop's corner pixels. The network's last map is the background, not a point.
    """
    flat = heat[:FACE_POINTS].reshape(FACE_POINTS, -1)
    rows, columns = np.unravel_index(flat.argmax(axis=1), heat.shape[1:])
    points = np.column_stack(
        [
            columns * (width - 1) / (heat.shape[2] - 1) + 0.5,
            rows * (height - 1) / (heat.shape[1] - 1) + 0.5,
            flat.max(axis=1),
        ]
    ).astype(np.float64)
    points[points[:, 2] <= FACE_HEAT] = 0
    return points
