"""Bodies, hands and faces look as their ControlNets were trained to read them."""

from __future__ import annotations

import colorsys
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from annotators.maps.encoders import is_blank
from annotators.networks.loading import aux_module
from annotators.people.sticks import FINGER_COLOURS, LIMBS, POSE_COLOURS, Sticks, draw_face, draw_hand, draw_pose


def _standing(size: float) -> np.ndarray:
    places = [(5, 1), (5, 2), (4, 2), (3, 4), (3, 6), (6, 2), (7, 4), (7, 6), (4, 6), (4, 7.5), (4, 9), (6, 6), (6, 7.5),
              (6, 9), (4.7, 0.7), (5.3, 0.7), (4.4, 0.9), (5.6, 0.9)]  # fmt: skip
    return np.array([(x * size / 10, y * size / 10, 1) for x, y in places])


@pytest.mark.parametrize("size", [128, 512])
def test_a_pose_has_full_joints_over_dark_limbs(size: int) -> None:
    person = _standing(size)
    pose = draw_pose([person], size, size)
    for (x, y, _), colour in zip(person[:14], POSE_COLOURS, strict=False):
        assert tuple(pose[int(y), int(x)]) == colour
    shoulder, elbow = person[2], person[3]
    x, y = ((shoulder + elbow) / 2)[:2]
    assert tuple(pose[int(y), int(x)]) == tuple(int(0.6 * channel) for channel in POSE_COLOURS[LIMBS.index((2, 3))])
    assert 0.01 < pose.any(axis=2).mean() < 0.12


def test_sticks_keep_their_share_of_the_picture() -> None:
    small, large = (draw_pose([_standing(size)], size, size).any(axis=2).mean() for size in (256, 1024))
    assert small == pytest.approx(large, rel=0.15)


def test_points_that_are_not_seen_are_not_drawn() -> None:
    person = _standing(128)
    person[4, 2] = 0
    wrist = POSE_COLOURS[4]
    assert not (draw_pose([person], 128, 128) == wrist).all(axis=2).any()
    person[:, 2] = 0
    assert is_blank(draw_pose([person], 128, 128))
    assert is_blank(draw_pose([], 64, 96))
    assert draw_pose([], 64, 96).shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("sticks", "size", "radius"),
    [
        (Sticks(), (512, 768), 4),
        (Sticks(), (1024, 1024), 8.5),
        (Sticks(thick=True), (400, 400), 4),
        (Sticks(thick=True), (512, 512), 8),
        (Sticks(thick=True), (768, 1024), 12),
        (Sticks(thick=True), (2048, 1024), 16),
        (Sticks(thick=True, half_width=3), (2048, 1024), 3),
    ],
)
def test_how_thick_sticks_are(sticks: Sticks, size: tuple[int, int], radius: float) -> None:
    assert sticks.radius(*size) == radius
    person = np.zeros((18, 3))
    person[[2, 3]] = (size[1] / 4, size[0] / 2, 1), (size[1] * 3 / 4, size[0] / 2, 1)
    column = draw_pose([person], *size, sticks)[:, size[1] // 2].any(axis=1).sum()
    assert column == pytest.approx(2 * radius + 1, abs=1.5)


def test_fingers_and_faces_are_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    colours = SimpleNamespace(hsv_to_rgb=lambda hsv: np.array(colorsys.hsv_to_rgb(*hsv)))
    monkeypatch.setitem(sys.modules, "matplotlib", SimpleNamespace(colors=colours))  # all that it takes from there
    draw = aux_module("open_pose.util")
    keypoint = aux_module("open_pose.body").Keypoint
    rng = np.random.default_rng(0)
    hand, face = (np.column_stack([rng.integers(20, 490, (n, 2)) + 0.5, np.ones(n)]) for n in (21, 70))
    theirs, ours = np.zeros((2, 512, 512, 3), np.uint8)
    draw_hand(ours, hand)
    draw_face(ours, face)
    for points, function in ((hand, draw.draw_handpose), (face, draw.draw_facepose)):
        function(theirs, [keypoint(x / 512, y / 512) for x, y, _ in points])
    different = (np.abs(ours.astype(int) - theirs) > 1).any(axis=2)
    assert different.sum() < 0.08 * theirs.any(axis=2).sum()  # the rims of dots, which lie between pixels here
    assert len(set(FINGER_COLOURS)) == 20
    assert is_blank(theirs) is False


def test_people_beyond_the_border_are_cut() -> None:
    person = _standing(200) - [150, -20, 0]
    whole = draw_pose([_standing(200) - [0, -20, 0]], 200, 200)
    assert np.array_equal(draw_pose([person], 200, 200)[:, :50], whole[:, 150:])
