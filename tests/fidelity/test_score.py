"""The score of a result: annotated again, and compared with its control image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from annotators.base import Image
from annotators.canny import Canny
from annotators.people import BodyAnnotator
from annotators.poses import Person, Pose
from annotators.runtime import Runtime
from cnet_app.embedded.world import create_scene
from cnet_app.fidelity.score import score, shipped_annotator
from cnet_app.registry.conditions import CONDITIONS
from models.catalog import entry
from models.errors import InputError

BODY = np.stack([np.full(18, 40.0), np.linspace(10, 110, 18), np.ones(18)], axis=1)
POSE = Pose((Person(body=BODY),), height=128, width=128)
MAP, BLANK = POSE.draw(), np.zeros((128, 128, 3), np.uint8)


@dataclass(frozen=True)
class Finder(BodyAnnotator):
    """Finds one person, `shift` pixels to the right of BODY, at twice the map's size."""

    id = "finder"
    title = "Finder"
    shift: float = 0.0

    def people(self, source_image: Image, runtime: Runtime | None = None) -> list[Person]:
        """One person."""
        assert source_image.shape == (256, 256, 3)
        return [Person(body=BODY * (2, 2, 1) + (self.shift, 0, 0))]


@pytest.mark.parametrize(("shift", "value"), [(0.0, 1.0), (19.0, 1.0), (21.0, 0.0)])
def test_people_are_scored_as_data_at_the_results_size(shift: float, value: float) -> None:
    found = score("openpose", MAP, np.zeros((256, 256, 3), np.uint8), annotator=Finder(shift=shift), pose=POSE)
    assert found is not None
    assert (found.measure.id, found.value) == ("pck", value)


@pytest.mark.parametrize("pose", [None, Pose((), 128, 128)], ids=["missing", "empty"])
def test_a_pose_map_without_people_is_refused(pose: Pose | None) -> None:
    with pytest.raises(InputError, match="OpenPose is scored by its people.*missing or empty"):
        score("openpose", MAP, BLANK, annotator=Finder(), pose=pose)


def test_an_annotator_that_finds_no_people_is_refused_for_a_pose() -> None:
    with pytest.raises(InputError, match="The annotator is canny.*finds people"):
        score("openpose", MAP, BLANK, annotator=Canny(), pose=POSE)


def test_a_picture_follows_its_own_map_and_another_does_not() -> None:
    scene, other = create_scene(3, 192).image, create_scene(4, 192).image
    control = Canny()(scene)
    own, strange = score("canny", control, scene), score("canny", control, other)
    assert own is not None and strange is not None
    assert own.measure.id == "edge_f1"
    assert own.value == 1.0
    assert strange.value < 0.5


def test_a_map_of_another_size_is_brought_to_the_results() -> None:
    scene = create_scene(3, 192).image
    larger = cv2.resize(Canny()(scene), (384, 384), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    found = score("canny", larger, scene)
    assert found is not None
    assert found.value > 0.99


@pytest.mark.parametrize("id", ["shuffle", "ip2p"])
def test_a_condition_without_a_measure_has_no_score(id: str) -> None:
    assert score(id, BLANK, BLANK) is None


@pytest.mark.parametrize("id", [row.id for row in CONDITIONS])
def test_the_default_annotator_is_the_conditions_own_and_needs_no_download(id: str) -> None:
    kind = shipped_annotator(id)
    assert kind.id in next(row.annotators for row in CONDITIONS if row.id == id)
    assert not [weights for weights in kind.weights if entry(weights).repo]
