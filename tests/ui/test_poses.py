"""People that the page edits: every tool's file is read, and all of them are drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from annotators.people.poses import Pose
from annotators.people.sticks import Sticks
from cnet_app.ui.calls.context import Context, Visitor
from cnet_app.ui.calls.draft.frame import Frame
from cnet_app.ui.calls.draft.maps import make_layer_map
from cnet_app.ui.calls.draft.poses import read_pose
from models.errors import InputError
from tests.ui.conftest import Caller

FRAME = {"width": 256, "height": 192, "fit": "crop"}
ROW = [n for joint in range(18) for n in (40.0 + 5 * joint, 20.25 + 7 * joint, 1.0)]
PERSON = {
    "pose_keypoints_2d": ROW,
    "hand_left_keypoints_2d": [],
    "hand_right_keypoints_2d": [],
    "face_keypoints_2d": [],
}
SIZE = {"canvas_width": 256, "canvas_height": 192}
BODY_25 = [*ROW[:24], 9.0, 9.0, 1.0, *ROW[24:], *[9.0] * 18]
FRACTIONS = [n / side for n, side in zip(ROW, (256, 192, 1) * 18, strict=True)]


@pytest.fixture
def context(caller: Caller) -> Context:
    return caller.context


def _read(context: Context, content: object, **more: object) -> Mapping[str, Any]:
    values = {"text": json.dumps(content), "name": "people.json", "frame": FRAME}
    return read_pose(context, Visitor("one"), values | more)


@pytest.mark.parametrize(
    ("content", "notes"),
    [
        ({"people": [PERSON], **SIZE}, 0),
        ([{"people": [PERSON], **SIZE}], 0),
        ({"people": [{"pose_keypoints_2d": BODY_25}], **SIZE}, 0),
        ({"people": [PERSON | {"hand_left_keypoints_2d": None, "face_keypoints_2d": None}], **SIZE}, 0),
        ({"people": [{"pose_keypoints_2d": FRACTIONS}], **SIZE}, 0),
        ({"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": BODY_25, "pose_keypoints_3d": []}]}, 1),
    ],
    ids=["coco", "list", "body_25", "null", "fractions", "no size"],
)
def test_files_of_every_tool_become_the_same_people(context: Context, content: object, notes: int) -> None:
    read = _read(context, content)
    (person,) = read["pose"]["people"]
    assert person["pose_keypoints_2d"] == pytest.approx(ROW, abs=1e-9)
    assert {key: person[key] for key in PERSON if key != "pose_keypoints_2d"} == {
        key: [] for key in PERSON if key != "pose_keypoints_2d"
    }
    assert (read["pose"]["canvas_width"], read["pose"]["canvas_height"]) == (256, 192)
    assert len(read["notes"]) == notes
    assert _read(context, read["pose"])["pose"] == read["pose"]


def test_an_uploaded_file_is_read_and_others_are_not(caller: Caller) -> None:
    path = caller.folder / "people.json"
    path.write_text(json.dumps({"people": [PERSON], **SIZE}))
    read = caller("pose", path=str(path), frame=FRAME)
    assert read["pose"]["people"][0]["pose_keypoints_2d"] == ROW
    assert "choose it again" in caller("pose", path="/etc/hostname", frame=FRAME)["error"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"people": [PERSON] * 101, **SIZE}, "people.json has 101 people; the limit is 100"),
        ({"people": [{"pose_keypoints_2d": ROW[:-1]}], **SIZE}, "has 53 numbers"),
        ({"people": [PERSON], "canvas_width": 256}, 'people.json has no "canvas_height"'),
    ],
)
def test_what_is_no_pose_is_refused(context: Context, content: object, told: str) -> None:
    with pytest.raises(InputError, match=told):
        _read(context, content)


def test_a_text_of_20_mb_is_refused(context: Context) -> None:
    with pytest.raises(InputError, match="21 MB; the limit for a pose is 20 MB"):
        read_pose(context, Visitor("one"), {"text": "[" * 21_000_000, "frame": FRAME})


def test_edited_people_are_drawn_with_the_sticks_of_the_layer_and_in_their_order(context: Context) -> None:
    pose = {"people": [_shifted(100), PERSON], **SIZE}
    chosen = {"score_threshold": 0.6, "person": 2, "most_people": 1, "stick_width": 3.0, "hands": False}
    layer = {"condition": "openpose", "source": "pose", "pose": pose, "parameters": chosen}
    made = make_layer_map(context, layer, None, Frame(256, 192)).made
    expected = Pose(Pose.from_json(pose).people, 192, 256, Sticks(half_width=3.0))
    assert np.array_equal(made.pixels, expected.draw())


def _shifted(by: float) -> dict[str, Any]:
    return PERSON | {"pose_keypoints_2d": [n + (by if index % 3 == 0 else 0) for index, n in enumerate(ROW)]}
