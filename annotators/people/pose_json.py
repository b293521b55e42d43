"""People out of the JSON of OpenPose and of the tools that write alike, which differ in points, keys, units and gaps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from annotators.base import shown
from annotators.sources.picture_files import check_size
from models.errors import InputError

Points = NDArray[np.float64]
"""(N, 3): x, y in pixels of the map (the centre of the first is 0.5, 0.5) and a score; 0 means not found."""
Parts = dict[str, Points]
"""Points by the part of a person: body, left_hand, right_hand, face."""

BODY_POINTS, HAND_POINTS, FACE_POINTS = 18, 21, 70
BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""The 18 points among the 25 that OpenPose's own program writes, which adds the middle of the hips and the feet."""
COCO_17 = (0, 0, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""The 18 points among COCO's 17, which have no neck; the neck is between COCO's shoulders, 5 and 6."""
NECK, SHOULDERS = 1, (2, 5)
MAX_PEOPLE = 200
REACH = 100
"""Limit of a point's distance from the picture, in long sides of the picture."""
LARGEST_FRACTION = 4.0
"""Largest coordinate that is read as a fraction of a side. People cut by the border reach beyond 1, but not that far."""
BORDER = 0.05
"""Border around the points of a file that names no size, as a share of their extent."""
UNIT, PIXELS = "coordinates", "pixels"
"""Field of `Pose.to_json` that makes its coordinates certain; other tools ignore it."""
EXAMPLE = '{"people": [{"pose_keypoints_2d": [x, y, confidence, …]}], "canvas_width": 512, "canvas_height": 768}'

SIDES = ("canvas_width", "canvas_height")
KEYS = {
    "body": "pose_keypoints_2d",
    "left_hand": "hand_left_keypoints_2d",
    "right_hand": "hand_right_keypoints_2d",
    "face": "face_keypoints_2d",
}
_COUNTS = {
    "body": (BODY_POINTS, 25, 17),
    "left_hand": (HAND_POINTS,),
    "right_hand": (HAND_POINTS,),
    "face": (FACE_POINTS, 68),
}


@dataclass(frozen=True)
class ReadPose:
    """The content of a file of people."""

    people: tuple[Parts, ...]
    """Points in pixels; a body is (18, 3), all zeros where it was not found."""
    width: int
    height: int
    left_out: tuple[str, ...] = ()
    """Sentences on the parts that cannot be understood."""
    notes: tuple[str, ...] = ()
    """Sentences on what was assumed, and on points that do not count."""


def read_people(value: object, name: str, size: tuple[int, int] | None = None, by_extent: bool = False) -> ReadPose:
    """Return the people of a JSON value: in pixels or in fractions of the sides, or in a list of poses, whose first counts.

    `size` is the width and height in pixels that are taken where the JSON names none; with `by_extent` these are else the
    extent of its points. A part that cannot be understood is left out. Raises InputError, whose message calls the file `name`.
    """
    left_out: list[str] = []
    frame, notes = _frame(value, name)
    entries = _entries(frame, name)
    people = _read_entries(entries, name, left_out)
    if left_out and not people:
        raise InputError(left_out[0])
    is_certain = frame.get(UNIT) == PIXELS
    found = found_points(people)
    are_fractions = not is_certain and np.abs(found[:, :2]).max(initial=0) <= LARGEST_FRACTION
    if not has_size(frame) and size is None and by_extent and len(found) and not are_fractions:
        size = _extent(found)
        notes.append(
            f"{name} does not name its picture's size: {size[0]}x{size[1]} pixels were taken, around its points."
        )
    width, height = size if size and not has_size(frame) else (_side(frame, key, name) for key in SIDES)
    check_size(width, height, name)
    scale = (width, height, 1) if are_fractions else (1, 1, 1)
    if np.abs(found[:, :2] * scale[:2]).max(initial=0) > REACH * max(width, height):
        raise InputError(f"{name} has points far outside its {width}x{height} pixels; check the canvas size.")
    people = [{part: points * scale for part, points in parts.items()} for parts in people]
    if not is_certain:
        people = [_without_outside(parts, width, height) for parts in people]
        lost = len(found) - len(found_points(people))
        if lost:
            subject = "1 point" if lost == 1 else f"{lost} points"
            notes.append(f"{name} has {subject} outside its {width}x{height} pixels, which count as not found.")
    return ReadPose(tuple(people), width, height, tuple(left_out), tuple(notes))


def found_points(people: Sequence[Parts]) -> Points:
    """Return all points of all people that were found, (N, 3)."""
    points = np.concatenate([np.zeros((0, 3)), *(points for parts in people for points in parts.values())])
    return points[points[:, 2] > 0]


def has_size(value: object) -> bool:
    """Return whether JSON of a pose names the size of its picture, in full or in part."""
    frame = cast("list[object]", value)[0] if isinstance(value, list) and value else value
    return isinstance(frame, dict) and any(key in frame for key in SIDES)


def _frame(value: object, name: str) -> tuple[Mapping[str, Any], list[str]]:
    """Return the object of one pose, the first of a list; and a note on the others."""
    frames = cast("list[object]", value) if isinstance(value, list) else [value]
    if not frames:
        raise InputError(f"{name} is a list of 0 poses; give one.")
    frame = frames[0]
    if not isinstance(frame, dict):
        raise InputError(f"{name} is {shown(frame)}, which is not a pose; a pose looks like {EXAMPLE}.")
    notes = [f"{name} is a list of {len(frames)} poses; the first is used."] if len(frames) > 1 else []
    return cast("Mapping[str, Any]", frame), notes


def _entries(frame: Mapping[str, Any], name: str) -> list[object]:
    entries = frame.get("people")
    if not isinstance(entries, list):
        if frame.get("animals"):
            raise InputError(f"{name} holds animals, whose points are others; give a pose of people.")
        raise InputError(f'{name} has no list "people"; a pose looks like {EXAMPLE}.')
    people = cast("list[object]", entries)
    if len(people) > MAX_PEOPLE:
        raise InputError(f"{name} has {len(people)} people; the limit is {MAX_PEOPLE}, leave some out.")
    return people


def _read_entries(entries: Sequence[object], name: str, left_out: list[str]) -> list[Parts]:
    """Return the people that can be understood, each without the parts that cannot."""
    people: list[Parts] = []
    for number, entry in enumerate(entries, 1):
        owner = f"Person {number} of {name}"
        if not isinstance(entry, dict):
            left_out.append(f"{owner} is {shown(entry)}, but it must be an object with {', '.join(KEYS.values())}.")
            continue
        before = len(left_out)
        parts = _parts(cast("Mapping[str, Any]", entry), owner, left_out)
        if len(left_out) == before or found_points([parts]).size:
            people.append(parts)
    return people


def _parts(entry: Mapping[str, Any], owner: str, left_out: list[str]) -> Parts:
    parts: Parts = {}
    for part, key in KEYS.items():
        given = entry.get(key, entry.get(key.removesuffix("_2d")))  # OpenPose before version 1.3 has no suffix
        try:
            points = _points(given, _COUNTS[part], f"{key} of {owner}")
        except InputError as error:
            left_out.append(str(error))
            continue
        if points is not None:
            parts[part] = points
    body = parts.get("body", np.zeros((BODY_POINTS, 3)))
    return {**parts, "body": _openpose_body(body)}


def _openpose_body(body: Points) -> Points:
    """Return a body of 17, 18 or 25 points as the 18."""
    if len(body) == 25:
        return body[list(BODY_25)]
    if len(body) != 17:
        return body
    body = body[list(COCO_17)]
    ends = body[list(SHOULDERS)]
    body[NECK] = (*ends[:, :2].mean(axis=0), ends[:, 2].min()) if (ends[:, 2] > 0).all() else (0, 0, 0)
    return body


def _points(numbers: object, counts: Sequence[int], name: str) -> Points | None:
    """Return a list of points, flat or of triples, as (N, 3); None where it is missing, empty or null throughout."""
    if numbers is None:
        return None
    allowed = " or ".join(str(3 * count) for count in counts)
    if not isinstance(numbers, list):
        raise InputError(f"{name} is {shown(numbers)}, but it must be a list of {allowed} numbers.")
    flat = _without_null_points(_flat(cast("list[object]", numbers)))
    if not flat:
        return None
    if len(flat) not in [3 * count for count in counts]:
        raise InputError(f"{name} has {len(flat)} numbers, but it must have {allowed}: x, y, confidence of each point.")
    for number in flat:
        if isinstance(number, bool) or not isinstance(number, int | float) or not _is_small(number):
            raise InputError(f"{name} contains {shown(number)}, but it must contain numbers only.")
    return np.array(flat, np.float64).reshape(-1, 3)


def _flat(numbers: Sequence[object]) -> list[object]:
    """Return the numbers of a flat list, or of a list of points; null in it stands for a point."""
    if not any(isinstance(number, list) for number in numbers):
        return list(numbers)
    points = (cast("list[object]", point) if isinstance(point, list) else [point] * 3 for point in numbers)
    return [number for point in points for number in point]


def _without_null_points(numbers: list[object]) -> list[object]:
    """Return the numbers with zeros for each point without coordinates; none where no point has any."""
    if len(numbers) % 3:
        return numbers
    triples = [numbers[place : place + 3] for place in range(0, len(numbers), 3)]
    if all(triple == [None, None, None] for triple in triples):
        return []
    return [number for triple in triples for number in ([0.0] * 3 if triple[:2] == [None, None] else triple)]


def _is_small(number: float) -> bool:
    """Return whether a number is finite, and an integer small enough for a float."""
    return (isinstance(number, int) or math.isfinite(number)) and abs(number) < 1e12


def _without_outside(parts: Parts, width: int, height: int) -> Parts:
    """Return the parts with zeros for points outside the picture, or in its corner, as tools mark those that were not found."""

    def inside(points: Points) -> Points:
        places = points[:, :2]
        is_inside = ((places >= 0) & (places <= (width, height))).all(axis=1) & (places != 0).any(axis=1)
        return np.where(is_inside[:, None], points, 0.0)

    return {part: inside(points) for part, points in parts.items()}


def _extent(found: Points) -> tuple[int, int]:
    """Return the width and height in pixels of a picture from its corner to a little beyond the last of the points."""
    spans = np.ptp(found[:, :2], axis=0)
    width, height = np.ceil(found[:, :2].max(axis=0) + BORDER * max(spans.max(), 1)).astype(int)
    return int(width), int(height)


def _side(frame: Mapping[str, Any], key: str, name: str) -> int:
    side = frame.get(key)
    if isinstance(side, bool) or not isinstance(side, int | float) or not 1 <= side < 1e6 or side != int(side):
        given = f'"{key}" {shown(side)}' if key in frame else f'no "{key}"'
        hint = "" if key in frame else "; add it, or give the size (--size)"
        raise InputError(f"{name} has {given}, the size in pixels of the picture that the points belong to{hint}.")
    return int(side)
