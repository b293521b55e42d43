"""People and their joints as data: drawn at any size, written and read as OpenPose's JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotators.base import Image, shown
from annotators.images import ResizeMode, check_size, margins
from annotators.sticks import USUAL, Sticks, draw_body, draw_face, draw_hand
from models.errors import InputError

Points = NDArray[np.float64]
"""(N, 3): x, y in pixels of the map (the centre of the first is 0.5, 0.5) and a score; 0 means not found."""

BODY_POINTS, HAND_POINTS, FACE_POINTS = 18, 21, 70
BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""The 18 points among the 25 that OpenPose's own program writes, which adds the middle of the hips and the feet."""
MAX_PEOPLE = 200
MAX_JSON_BYTES = 20_000_000
REACH = 100
"""Limit of a point's distance from the picture, in long sides of the picture."""
LARGEST_FRACTION = 4.0
"""Largest coordinate that is read as a fraction of a side. People cut by the border reach beyond 1, but not that far."""
ABSENT = -1.0
"""Both coordinates of a point that some tools write for one that was not found, whatever its confidence."""
UNIT, PIXELS = "coordinates", "pixels"
"""Field of `Pose.to_json` that makes its coordinates certain; other tools ignore it."""
EXAMPLE = '{"people": [{"pose_keypoints_2d": [x, y, confidence, …]}], "canvas_width": 512, "canvas_height": 768}'

_SIDES = ("canvas_width", "canvas_height")
_KEYS = {
    "body": "pose_keypoints_2d",
    "left_hand": "hand_left_keypoints_2d",
    "right_hand": "hand_right_keypoints_2d",
    "face": "face_keypoints_2d",
}
_COUNTS = {
    "body": (BODY_POINTS, 25),
    "left_hand": (HAND_POINTS,),
    "right_hand": (HAND_POINTS,),
    "face": (FACE_POINTS, 68),
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Person:
    """One person's joints in OpenPose's order; a part that was not found is None."""

    body: Points
    """(18, 3)."""
    left_hand: Points | None = None
    """(21, 3)."""
    right_hand: Points | None = None
    face: Points | None = None
    """(70, 3), or (68, 3) without pupils."""

    @property
    def parts(self) -> dict[str, Points]:
        """Return the parts that are not None, by field."""
        parts = {name: getattr(self, name) for name in _KEYS}
        return {name: points for name, points in parts.items() if points is not None}

    @property
    def found(self) -> Points:
        """Return the points of all parts that were found."""
        points = np.concatenate(list(self.parts.values()))
        return points[points[:, 2] > 0]


@dataclass(frozen=True, eq=False)
class Pose:
    """All people in a picture of this size."""

    people: tuple[Person, ...]
    height: int
    width: int
    sticks: Sticks = USUAL

    def draw(self) -> Image:
        """Return sticks and dots on black, one person over the other."""
        canvas = np.zeros((self.height, self.width, 3), np.uint8)
        for person in self.people:
            draw_body(canvas, person.body, self.sticks)
            for hand in (person.left_hand, person.right_hand):
                if hand is not None:
                    draw_hand(canvas, hand)
            if person.face is not None:
                draw_face(canvas, person.face)
        return canvas

    def resized(self, width: int, height: int, mode: ResizeMode = "crop") -> Pose:
        """Return the pose in a picture of another size, moved as by `images.resize`; points beyond the border stay."""
        across, down = width / self.width, height / self.height
        if mode != "stretch":
            across = down = (max if mode == "crop" else min)(across, down)
        shift = (width - self.width * across) / 2, (height - self.height * down) / 2
        return self._moved((across, down), shift, width, height)

    def _moved(self, scale: tuple[float, float], shift: tuple[float, float], width: int, height: int) -> Pose:
        def moved(points: Points) -> Points:
            return np.where(points[:, 2:] > 0, points * (*scale, 1) + (*shift, 0), points)

        people = [Person(**{name: moved(points) for name, points in person.parts.items()}) for person in self.people]
        return replace(self, people=tuple(people), width=width, height=height)

    def cropped(self, left: int, top: int, right: int, bottom: int) -> Pose:
        """Return the pose in a box of the picture, which may stick out; points beyond the border stay."""
        return self._moved((1, 1), (-left, -top), right - left, bottom - top)

    def padded(self, width: int, height: int) -> Pose:
        """Return the pose in the middle of a larger picture, moved by whole pixels."""
        top, _, left, _ = margins(self.width, self.height, width, height)
        return self._moved((1, 1), (left, top), width, height)

    def to_json(self) -> dict[str, Any]:
        """Return the pose in OpenPose's form: x, y and confidence in one list, in pixels."""
        people = [
            {key: points.ravel().tolist() if points is not None else [] for key, points in _rows(person)}
            for person in self.people
        ]
        return {"people": people, "canvas_height": self.height, "canvas_width": self.width, UNIT: PIXELS}

    @classmethod
    def from_json(cls, value: object, name: str = "The pose", size: tuple[int, int] | None = None) -> Pose:
        """Return a pose from JSON of `to_json` or other tools: in pixels or fractions of the sides, or in a list of one pose.

        `size` is the width and height in pixels of the picture that is taken where the JSON names none, as OpenPose's own
        program does. Raises InputError, whose message calls the file `name`.
        """
        frame = _frame(value, name)
        width, height = size if size and not has_size(frame) else (_side(frame, key, name) for key in _SIDES)
        check_size(width, height, name)
        entries = frame.get("people")
        if not isinstance(entries, list):
            raise InputError(f'{name} has no list "people"; a pose looks like {EXAMPLE}.')
        if len(entries) > MAX_PEOPLE:
            raise InputError(f"{name} has {len(entries)} people; the limit is {MAX_PEOPLE}, leave some out.")
        people = [_person(entry, f"Person {number} of {name}") for number, entry in enumerate(entries, 1)]
        if frame.get(UNIT) != PIXELS:
            people = [_without_absent(person) for person in people]
        found = np.concatenate([np.zeros((0, 3)), *(person.found for person in people)])
        are_fractions = frame.get(UNIT) != PIXELS and np.abs(found[:, :2]).max(initial=0) <= LARGEST_FRACTION
        scale = (width, height, 1) if are_fractions else (1, 1, 1)
        if np.abs(found[:, :2] * scale[:2]).max(initial=0) > REACH * max(width, height):
            raise InputError(f"{name} has points far outside its {width}x{height} pixels; check the canvas size.")
        scaled = [Person(**{part: points * scale for part, points in person.parts.items()}) for person in people]
        return cls(tuple(scaled), height, width)


def parse_pose(text: str | bytes, name: str = "The pose", size: tuple[int, int] | None = None) -> Pose:
    """Return a JSON text as a pose; `size` is as in `Pose.from_json`. Raises InputError."""
    return Pose.from_json(read_json(text, name), name, size)


def read_json(text: str | bytes, name: str = "The pose") -> object:
    """Return the value of a JSON text that should be a pose. Raises InputError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise InputError(f"{name} is not JSON{where}; a pose looks like {EXAMPLE}.") from None


def load_pose(path: Path) -> Pose:
    """Return a JSON file as a pose. Raises InputError."""
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            limit = MAX_JSON_BYTES / 1e6
            raise InputError(f"{path.name} has {size / 1e6:.0f} MB; the limit for a pose is {limit:.0f} MB.")
        return parse_pose(path.read_bytes(), path.name)
    except FileNotFoundError:
        raise InputError(f"There is no file {path.name}; check its name and folder.") from None
    except OSError as error:
        raise InputError(f"{path.name} cannot be read ({error.strerror}); choose a JSON file.") from error


def _rows(person: Person) -> list[tuple[str, Points | None]]:
    return [(key, getattr(person, part)) for part, key in _KEYS.items()]


def _frame(value: object, name: str) -> Mapping[str, Any]:
    """Return the one pose's object."""
    if isinstance(value, list) and len(value) != 1:
        raise InputError(f"{name} is a list of {len(value)} poses; keep one of them.")
    frame = value[0] if isinstance(value, list) else value
    if not isinstance(frame, dict):
        raise InputError(f"{name} is {shown(frame)}, which is not a pose; a pose looks like {EXAMPLE}.")
    return frame


def has_size(value: object) -> bool:
    """Return whether JSON of a pose names the size of its picture, in full or in part."""
    frame = value[0] if isinstance(value, list) and len(value) == 1 else value
    return isinstance(frame, dict) and any(key in frame for key in _SIDES)


def _without_absent(person: Person) -> Person:
    """Return the person with zeros for the points of tools that mark what was not found by its place."""
    parts = {
        name: np.where((points[:, :2] == ABSENT).all(axis=1, keepdims=True), 0.0, points)
        for name, points in person.parts.items()
    }
    return Person(**parts)


def _side(frame: Mapping[str, Any], key: str, name: str) -> int:
    side = frame.get(key)
    if isinstance(side, bool) or not isinstance(side, int | float) or not 1 <= side < 1e6 or side != int(side):
        given = f'"{key}" {shown(side)}' if key in frame else f'no "{key}"'
        raise InputError(f"{name} has {given}; it must be the size in pixels of the picture that the points belong to.")
    return int(side)


def _person(entry: object, name: str) -> Person:
    if not isinstance(entry, dict):
        raise InputError(f"{name} is {shown(entry)}, but it must be an object with {', '.join(_KEYS.values())}.")
    parts = {part: _points(entry.get(key), _COUNTS[part], f"{key} of {name}") for part, key in _KEYS.items()}
    body = parts.pop("body")
    body = np.zeros((BODY_POINTS, 3)) if body is None else body[list(BODY_25)] if len(body) == 25 else body
    return Person(body=body, **parts)


def _points(numbers: object, counts: Sequence[int], name: str) -> Points | None:
    """Return a flat list as (N, 3); None where it is missing or empty."""
    if numbers is None or numbers == []:
        return None
    allowed = " or ".join(str(3 * count) for count in counts)
    if not isinstance(numbers, list):
        raise InputError(f"{name} is {shown(numbers)}, but it must be a list of {allowed} numbers.")
    if len(numbers) not in [3 * count for count in counts]:
        raise InputError(
            f"{name} has {len(numbers)} numbers, but it must have {allowed}: x, y, confidence of each point."
        )
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | float) or not _is_small(number):
            raise InputError(f"{name} contains {shown(number)}, but it must contain numbers only.")
    return np.array(numbers, np.float64).reshape(-1, 3)


def _is_small(number: float) -> bool:
    """Return whether a number is finite, and an integer small enough for a float."""
    return (isinstance(number, int) or math.isfinite(number)) and abs(number) < 1e12
