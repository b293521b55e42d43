"""What every annotator of people shares: who is drawn, which parts, and how thick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from annotators.base import Image, param
from annotators.control_map import DataAnnotator
from annotators.poses import Person, Pose
from annotators.sticks import Sticks
from models.errors import InputError


def score_threshold(default: float) -> Any:
    """Each annotator has a scale of its own for how sure it is."""
    return param(default, "How sure a joint must be to be drawn.", minimum=0.05, maximum=0.95, step=0.05)


@dataclass(frozen=True)
class BodyAnnotator(DataAnnotator):
    """Finds bodies. A subclass says where."""

    kind = "pose"
    data_type = Pose

    most_people: int = param(20, "Draw at most so many people; the largest stay.", minimum=1, maximum=100, step=1)
    person: int = param(
        0, "Draw only this person, counted from the left; 0 draws everybody.", minimum=0, maximum=100, step=1
    )
    sticks: str = param(
        "usual",
        "Thick is for ControlNets that were trained with thick limbs: those of xinsir for SDXL.",
        choices=("usual", "thick"),
    )
    stick_width: float = param(
        0.0, "Half width of a limb; 0 goes by the map's size and the sticks.", minimum=0.0, maximum=64.0, step=0.5, unit="px"
    )  # fmt: skip

    def people(self, source_image: Image) -> Sequence[Person]:
        """Everybody on the picture, in its pixels."""
        raise NotImplementedError

    def detect(self, source_image: Image) -> Pose:
        """Whom the parameters ask for."""
        height, width = source_image.shape[:2]
        return self.choose(Pose(tuple(self.people(source_image)), height, width))

    def choose(self, pose: Pose) -> Pose:
        """What of a pose is drawn, from left to right. InputError where the person asked for is not there."""
        people = sorted(
            (person for person in map(self.shown, pose.people) if len(person.seen)), key=_extent, reverse=True
        )
        people = sorted(people[: self.most_people], key=lambda person: float(person.seen[:, 0].mean()))
        if self.person and people:
            if self.person > len(people):
                count = "1 person was" if len(people) == 1 else f"{len(people)} people were"
                raise InputError(f"person is {self.person}, but {count} found; choose one of them, or 0 for everybody.")
            people = [people[self.person - 1]]
        return Pose(tuple(people), pose.height, pose.width, self._drawn_with)

    def read(self, content: Any) -> Pose:
        """With the sticks that OpenPose's JSON has no words for."""
        return replace(Pose.from_json(content), sticks=self._drawn_with)

    @property
    def _drawn_with(self) -> Sticks:
        return Sticks(self.sticks == "thick", self.stick_width)

    def shown(self, person: Person) -> Person:
        """The parts of a person that are drawn."""
        return person


@dataclass(frozen=True)
class PoseAnnotator(BodyAnnotator):
    """Finds fingers and faces too. Alone it finds nobody, and draws poses that are brought."""

    id = "pose"
    title = "Pose"

    body: bool = param(True, "Draw bodies.")
    hands: bool = param(True, "Draw fingers.")
    faces: bool = param(True, "Draw faces.")

    def shown(self, person: Person) -> Person:
        """Without the parts that are switched off."""
        return Person(
            body=person.body if self.body else np.zeros_like(person.body),
            left_hand=person.left_hand if self.hands else None,
            right_hand=person.right_hand if self.hands else None,
            face=person.face if self.faces else None,
        )


def _extent(person: Person) -> float:
    """Diagonal of the box around a person, in pixels."""
    return float(np.hypot(*np.ptp(person.seen[:, :2], axis=0)))
