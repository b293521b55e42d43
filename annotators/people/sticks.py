"""Drawing of people on pose maps: coloured sticks and dots at any size, as in the training of the ControlNets."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image

# OpenPose's COCO-18 body: nose, neck, right arm (3), left arm (3), right leg (3), left leg (3), eyes, ears.
LIMBS: tuple[tuple[int, int], ...] = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13),
    (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
POSE_COLOURS: tuple[tuple[int, int, int], ...] = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85),
    (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255),
    (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
LIMB_BRIGHTNESS = 0.6
STICK_AT_512 = 4.0
"""Half width of a limb and radius of a joint, in pixels of a map with a short side of 512."""
FINGER_AT_512, KNUCKLE_AT_512, FACE_AT_512 = 2.0, 4.0, 3.0
"""Width of a finger's bone, radius of its joints, radius of a dot of the face."""
FINGERS = tuple((0 if i % 4 == 1 else i - 1, i) for i in range(1, 21))
"""Five fingers of four bones each, from the wrist (point 0)."""
FINGER_COLOURS = tuple(
    tuple(round(255 * part) for part in colorsys.hsv_to_rgb(i / len(FINGERS), 1, 1)) for i in range(len(FINGERS))
)
KNUCKLE_COLOUR, FACE_COLOUR = (0, 0, 255), (255, 255, 255)
SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Sticks:
    """Thickness of a drawn body. Fingers and faces have one thickness."""

    thick: bool = False
    """As in the training of xinsir's ControlNets for SDXL."""
    half_width: float = 0.0
    """Pixels of the map; 0 follows the map's size."""

    def radius(self, height: int, width: int) -> float:
        """Return half width of a limb and radius of a joint, in pixels of a map of this size, as OpenCV counts them."""
        if self.half_width:
            return self.half_width
        if not self.thick:
            # OpenCV fills an outline half a pixel wider, at every size.
            return max(0.75, (STICK_AT_512 + 0.5) * min(height, width) / 512 - 0.5)
        # The rule of xinsir's model cards: 4 px below 500 px of the long side, 8 from there, 12 from 1000, 16 from 2000 …
        long_side = max(height, width)
        return STICK_AT_512 * (1 if long_side < 500 else min(2 + long_side // 1000, 7))


USUAL = Sticks()


def draw_pose(people: Sequence[NDArray[Any]], height: int, width: int, sticks: Sticks = USUAL) -> Image:
    """Return bodies as coloured sticks on black.

    Each person is (18, 3): x, y in pixels of the map (the centre of the first is 0.5, 0.5) and a score; a point with score 0
    is not drawn.
    """
    canvas = np.zeros((height, width, 3), np.uint8)
    for person in people:
        draw_body(canvas, person, sticks)
    return canvas


def draw_body(canvas: Image, body: NDArray[Any], sticks: Sticks = USUAL) -> None:
    """Draw a body, (18, 3), onto the canvas: limbs at 0.6 of their brightness, then joints in full colour."""
    radius = sticks.radius(*canvas.shape[:2])
    points = _from_centres(body)
    for (start, end), colour in zip(LIMBS, POSE_COLOURS, strict=False):
        if points[start, 2] > 0 and points[end, 2] > 0:
            polygon = _limb(points[start, :2], points[end, :2], radius)
            dark = tuple(int(channel * LIMB_BRIGHTNESS) for channel in colour)
            cv2.fillConvexPoly(canvas, _fixed(polygon), dark, shift=SUBPIXEL_BITS)
    for point, colour in zip(points, POSE_COLOURS, strict=True):
        _dot(canvas, point, radius, colour)


def draw_hand(canvas: Image, hand: NDArray[Any]) -> None:
    """Draw a hand, (21, 3), onto the canvas: bones in the colours of the rainbow, joints blue."""
    pixel = min(canvas.shape[:2]) / 512
    points = _from_centres(hand)
    for (start, end), colour in zip(FINGERS, FINGER_COLOURS, strict=True):
        if points[start, 2] > 0 and points[end, 2] > 0:
            first, last = _fixed(points[[start, end], :2]).tolist()
            cv2.line(canvas, first, last, colour, max(1, round(FINGER_AT_512 * pixel)), cv2.LINE_8, SUBPIXEL_BITS)
    for point in points:
        _dot(canvas, point, max(0.75, KNUCKLE_AT_512 * pixel), KNUCKLE_COLOUR)


def draw_face(canvas: Image, face: NDArray[Any]) -> None:
    """Draw a face, (N, 3), onto the canvas as white dots."""
    radius = max(0.75, FACE_AT_512 * min(canvas.shape[:2]) / 512)
    for point in _from_centres(face):
        _dot(canvas, point, radius, FACE_COLOUR)


def _from_centres(points: NDArray[Any]) -> NDArray[np.float64]:
    """Convert points to OpenCV's coordinates, whose origin is a pixel's centre."""
    return np.asarray(points, np.float64) - [0.5, 0.5, 0]


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint(points * (1 << SUBPIXEL_BITS)).astype(np.int32)


def _dot(canvas: Image, point: NDArray[np.float64], radius: float, colour: tuple[int, ...]) -> None:
    if point[2] > 0:
        unit = 1 << SUBPIXEL_BITS
        cv2.circle(canvas, _fixed(point[:2]).tolist(), round(radius * unit), colour, -1, cv2.LINE_8, SUBPIXEL_BITS)


def _limb(start: NDArray[np.float64], end: NDArray[np.float64], half_width: float) -> NDArray[np.float64]:
    """Return the (32, 2) outline of the ellipse from joint to joint."""
    along = (end - start) / 2
    length = max(float(np.hypot(*along)), 1e-6)
    across = np.array([-along[1], along[0]]) * (half_width / length)
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)[:, None]
    return (start + end) / 2 + np.cos(angle) * along + np.sin(angle) * across
