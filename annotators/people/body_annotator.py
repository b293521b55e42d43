"""Base classes of the annotators of people: which people and parts are drawn, and how thick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from annotators.base import Image, param
from annotators.maps.control_map import DataAnnotator
from annotators.people.poses import Person, Pose
from annotators.people.sticks import Sticks
from annotators.runtime import Runtime
from models.errors import InputError


def score_threshold(default: float) -> Any:
    """Declare the field `score_threshold`; each annotator scores joints on its own scale."""
    return param(default, "Lower draws less certain joints.", minimum=0.05, maximum=0.95, step=0.05)


@dataclass(frozen=True)
class BodyAnnotator(DataAnnotator):
    """An annotator of bodies. A subclass implements `people`."""

    kind = "pose"
    data_type = Pose

    most_people: int = param(20, "Max people: keeps the largest.", minimum=1, maximum=100, step=1)
    person: int = param(
        0, "Draws only this person, counted from the left; 0 draws all.", minimum=0, maximum=100, step=1
    )
    sticks: str = param(
        "usual",
        "Thick is for ControlNets trained with thick limbs: xinsir's for SDXL.",
        choices=("usual", "thick"),
    )
    stick_width: float = param(
        0.0, "Half width of a limb; 0 follows the map's size and the sticks.", minimum=0.0, maximum=64.0, step=0.5, unit="px"
    )  # fmt: skip

    def people(self, source_image: Image, runtime: Runtime) -> Sequence[Person]:
        """Return all people in the picture, in its pixels."""
        raise NotImplementedError

    def detect(self, source_image: Image, runtime: Runtime) -> Pose:
        """Return the people that the parameters choose, from left to right."""
        height, width = source_image.shape[:2]
        drawn = map(self.drawn_parts, self.people(source_image, runtime))
        people = [person for person in drawn if len(person.found)]
        return self.choose(Pose(tuple(_from_left(people)), height, width))

    def choose(self, pose: Pose) -> Pose:
        """Return the people and parts to draw, in the order of the pose. Raises InputError where there is no such person."""
        people = [person for person in map(self.drawn_parts, pose.people) if len(person.found)]
        largest = sorted(people, key=_extent, reverse=True)[: self.most_people]
        people = [person for person in people if person in largest]
        if self.person and people:
            people = _from_left(people)
            if self.person > len(people):
                count = "1 person was" if len(people) == 1 else f"{len(people)} people were"
                raise InputError(f"person is {self.person}, but {count} found; choose one of them, or 0 for all.")
            people = [people[self.person - 1]]
        return Pose(tuple(people), pose.height, pose.width, self._sticks)

    def read(self, content: Any) -> Pose:
        """Return a pose from OpenPose's JSON, which has no place for the sticks, with this annotator's."""
        return replace(Pose.from_json(content), sticks=self._sticks)

    @property
    def _sticks(self) -> Sticks:
        return Sticks(self.sticks == "thick", self.stick_width)

    def drawn_parts(self, person: Person) -> Person:
        """Return the person with the parts that are drawn."""
        return person


@dataclass(frozen=True)
class PoseAnnotator(BodyAnnotator):
    """An annotator of bodies, fingers and faces. This base class finds nobody itself; it draws poses given as data."""

    id = "pose"
    title = "Pose"

    body: bool = param(True, "Draws bodies.")
    hands: bool = param(True, "Draws fingers.")
    faces: bool = param(True, "Draws faces.")

    def drawn_parts(self, person: Person) -> Person:
        """Return the person without the parts that are switched off."""
        return Person(
            body=person.body if self.body else np.zeros_like(person.body),
            left_hand=person.left_hand if self.hands else None,
            right_hand=person.right_hand if self.hands else None,
            face=person.face if self.faces else None,
        )


def _from_left(people: Sequence[Person]) -> list[Person]:
    return sorted(people, key=lambda person: float(person.found[:, 0].mean()))


def _extent(person: Person) -> float:
    """Return the diagonal of the box around a person, in pixels."""
    return float(np.hypot(*np.ptp(person.found[:, :2], axis=0)))
