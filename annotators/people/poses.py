"""People and their joints as data: drawn at any size, written and read as OpenPose's JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from annotators.base import Image
from annotators.people.pose_json import EXAMPLE, KEYS, PIXELS, UNIT, Points, ReadPose, read_people
from annotators.people.sticks import USUAL, Sticks, draw_body, draw_face, draw_hand
from annotators.sources.images import ResizeMode, margins
from annotators.sources.picture_files import read_bytes, readable_name
from models.errors import InputError

MAX_JSON_BYTES = 20_000_000
MIRRORED_BODY = (0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16)
"""For each of OpenPose's joints the one on the other side."""
MIRRORED_FACE = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65, 69, 68,
)  # fmt: skip
"""The same of the face's points: jaw, brows, nose, eyes, mouth, pupils."""


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
        parts = {name: getattr(self, name) for name in KEYS}
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

    def mirrored(self) -> Pose:
        """Return the pose of the mirrored picture, in which a left hand is a right one."""

        def mirror(points: Points, order: tuple[int, ...] | None = None) -> Points:
            seen = points[:, 2:] > 0
            turned = np.where(seen, points * (-1, 1, 1) + (self.width, 0, 0), points)
            return turned if order is None else turned[[place for place in order if place < len(points)]]

        def mirror_person(person: Person) -> Person:
            left, right = (hand if hand is None else mirror(hand) for hand in (person.left_hand, person.right_hand))
            face = None if person.face is None else mirror(person.face, MIRRORED_FACE)
            return Person(body=mirror(person.body, MIRRORED_BODY), left_hand=right, right_hand=left, face=face)

        return replace(self, people=tuple(map(mirror_person, self.people)))

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
        """Return a pose from JSON of `to_json` or other tools, all of which must be understood; as `read_pose` otherwise."""
        if isinstance(value, list) and len(value) > 1:
            raise InputError(f"{name} is a list of {len(value)} poses; keep one of them.")
        read = read_people(value, name, size)
        if read.left_out:
            raise InputError(read.left_out[0])
        return pose_of(read)


def pose_of(read: ReadPose) -> Pose:
    """Return the pose of a file's people."""
    return Pose(tuple(Person(**parts) for parts in read.people), read.height, read.width)


def read_pose(
    value: object, name: str = "The pose", size: tuple[int, int] | None = None, by_extent: bool = False
) -> tuple[Pose, tuple[str, ...]]:
    """Return a pose from JSON of any tool, and a sentence for each part that was left out or not taken as it is.

    Coordinates are in pixels or fractions of the sides; of a list of poses the first counts. `size` is the width and
    height in pixels that are taken where the JSON names none, as OpenPose's own program does; with `by_extent` they are
    else the extent of its points. Raises InputError, whose message calls the file `name`.
    """
    read = read_people(value, name, size, by_extent)
    left_out = tuple(f"{text.removesuffix('.')}; it was left out." for text in read.left_out)
    return pose_of(read), (*left_out, *read.notes)


def parse_pose(text: str | bytes, name: str = "The pose", size: tuple[int, int] | None = None) -> Pose:
    """Return a JSON text as a pose; `size` is as in `read_pose`. Raises InputError."""
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
    return load_noted_pose(path)[0]


def load_noted_pose(path: Path, size: tuple[int, int] | None = None) -> tuple[Pose, tuple[str, ...]]:
    """Return a JSON file as a pose, and notes, as `read_pose`; without any size it has the extent of its points."""
    name = readable_name(path.name)
    data = read_bytes(path, name, MAX_JSON_BYTES, "JSON")
    return read_pose(read_json(data, name), name, size, by_extent=True)


def _rows(person: Person) -> list[tuple[str, Points | None]]:
    return [(key, getattr(person, part)) for part, key in KEYS.items()]
