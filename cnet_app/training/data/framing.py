"""How pairs are brought to the sizes that a network is trained at: the same crop and mirror for picture and map."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from annotators.base import Image
from annotators.maps.encoders import resize_map
from annotators.maps.kinds import MapKind
from annotators.people.poses import Pose
from annotators.sources.images import resize

BUCKET_MULTIPLE = 64
"""Of the sides: three halvings of latents that are an eighth of the picture."""
LONGEST = 2.0
"""Largest ratio of the sides of a bucket."""
MIDDLE = 0.5


@dataclass(frozen=True)
class Framing:
    """One view of a pair."""

    width: int
    height: int
    left: float = MIDDLE
    """Place of the crop, from 0 at the left border to 1 at the right."""
    top: float = MIDDLE
    mirrored: bool = False


def bucket_of(width: int, height: int, side: int, keeps_aspect: bool = True) -> tuple[int, int]:
    """Return width and height, multiples of 64 px, of nearly the area side × side and the picture's aspect."""
    if not keeps_aspect:
        return side, side
    aspect = min(max(width / height, 1 / LONGEST), LONGEST)
    ideal = side * math.sqrt(aspect), side / math.sqrt(aspect)
    wide, high = (max(BUCKET_MULTIPLE, round(one / BUCKET_MULTIPLE) * BUCKET_MULTIPLE) for one in ideal)
    return wide, high


def frame_image(image: Image, framing: Framing) -> Image:
    """Return the view of a picture."""
    return _mirrored(resize(_cut(image, framing), framing.width, framing.height, "stretch"), framing)


def frame_control(control: Image, framing: Framing, kind: MapKind, pose: Pose | None = None) -> Image:
    """Return the same view of its map, which may have another size; a mirrored normal points the other way.

    `pose` holds the people that the map was drawn from; they are drawn again where the view is mirrored, so that left and
    right joints change places.
    """
    if framing.mirrored and pose is not None:
        return _mirrored_pose(pose, control.shape[1], control.shape[0], framing)
    made = resize_map(_cut(control, framing), kind, framing.width, framing.height, "stretch")
    made = _mirrored(made, framing)
    if framing.mirrored and kind.id == "normal":
        made = made.copy()
        made[..., 0] = 255 - made[..., 0]
    return made


def _mirrored_pose(pose: Pose, width: int, height: int, framing: Framing) -> Image:
    left, top, right, bottom = _box(width, height, framing)
    turned = pose.resized(width, height, "stretch").cropped(left, top, right, bottom).mirrored()
    return turned.resized(framing.width, framing.height, "stretch").draw()


def can_mirror(kind: MapKind, pose: Pose | None) -> bool:
    """Return whether a map may be mirrored: a drawn pose alone does not show which side is which."""
    return kind.id != "pose" or pose is not None


def _cut(image: Image, framing: Framing) -> Image:
    left, top, right, bottom = _box(image.shape[1], image.shape[0], framing)
    return image[top:bottom, left:right]


def _box(width: int, height: int, framing: Framing) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the largest part of the frame's aspect, at the framing's place."""
    scale = max(framing.width / width, framing.height / height)
    wide, high = min(width, max(1, round(framing.width / scale))), min(height, max(1, round(framing.height / scale)))
    left, top = round((width - wide) * framing.left), round((height - high) * framing.top)
    return left, top, left + wide, top + high


def _mirrored(image: Image, framing: Framing) -> Image:
    return np.ascontiguousarray(image[:, ::-1]) if framing.mirrored else image
