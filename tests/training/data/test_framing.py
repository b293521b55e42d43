"""Picture and map stay together under every crop and mirror; normals and people are mirrored as what they are."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.base import Image
from annotators.maps.encoders import encode_normal, lines
from annotators.maps.kinds import KINDS
from annotators.people.poses import Person, Pose
from annotators.people.sticks import POSE_COLOURS
from cnet_app.training.data.framing import Framing, bucket_of, can_mirror, frame_control, frame_image

PLACES = st.floats(0, 1)


def crossed(width: int, height: int, across: int, down: int) -> Image:
    """Return white on black, thick enough to survive a resize."""
    image = np.zeros((height, width, 3), np.uint8)
    cv2.line(image, (across - 9, down), (across + 9, down), (255, 255, 255), 3)
    cv2.line(image, (across, down - 9), (across, down + 9), (255, 255, 255), 3)
    return image


def centre(image: Image) -> tuple[float, float] | None:
    """Return the middle of what is bright; None without it."""
    rows, columns = np.nonzero(image[..., 0] > 90)
    return (float(columns.mean()), float(rows.mean())) if len(rows) else None


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(120, 300), st.integers(120, 300)),
    place=st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)),
    crop=st.tuples(PLACES, PLACES),
    mirrored=st.booleans(),
    kind=st.sampled_from(["soft_lines", "depth", "labels", "picture"]),
    larger=st.integers(1, 2),
    target=st.sampled_from([(128, 128), (192, 128), (64, 128)]),
)
def test_a_cross_is_at_one_place_in_picture_and_map(
    size: tuple[int, int],
    place: tuple[float, float],
    crop: tuple[float, float],
    mirrored: bool,
    kind: str,
    larger: int,
    target: tuple[int, int],
) -> None:
    width, height = size
    image = crossed(width, height, round(place[0] * width), round(place[1] * height))
    control = cv2.resize(image, None, fx=larger, fy=larger, interpolation=cv2.INTER_NEAREST)
    framing = Framing(*target, *crop, mirrored)
    one, two = frame_image(image, framing), frame_control(np.asarray(control, np.uint8), framing, KINDS[kind])  # pyright: ignore[reportArgumentType]
    assert one.shape == two.shape == (target[1], target[0], 3)
    if (at := centre(one)) is not None and (also := centre(two)) is not None:
        assert np.hypot(at[0] - also[0], at[1] - also[1]) < 2.5


def test_a_mirrored_view_is_the_view_of_the_mirrored_picture() -> None:
    image = crossed(200, 120, 60, 40)
    plain = frame_image(image[:, ::-1], Framing(64, 64, left=1 - 0.25))
    assert np.array_equal(frame_image(image, Framing(64, 64, left=0.25, mirrored=True)), plain)
    assert centre(plain) is not None


def test_a_mirrored_normal_points_the_other_way() -> None:
    vectors = np.zeros((64, 64, 3), np.float32)
    angle = np.linspace(-1.2, 0.7, 64, dtype=np.float32)
    vectors[..., 0], vectors[..., 2] = np.sin(angle), np.cos(angle)
    opposite = vectors[:, ::-1] * np.array([-1, 1, 1], np.float32)
    made = frame_control(encode_normal(vectors), Framing(64, 64, mirrored=True), KINDS["normal"])
    assert np.abs(made.astype(int) - encode_normal(opposite).astype(int)).max() <= 1


def body_at(points: dict[int, tuple[float, float]]) -> Pose:
    body = np.zeros((18, 3))
    for joint, (across, down) in points.items():
        body[joint] = (across, down, 1)
    return Pose((Person(body=body),), 128, 128)


def test_a_mirrored_pose_changes_left_and_right() -> None:
    right_wrist, left_wrist = 4, 7
    pose = body_at({right_wrist: (20.5, 64.5), left_wrist: (100.5, 64.5)})
    framing = Framing(128, 128, mirrored=True)
    made = frame_control(pose.draw(), framing, KINDS["pose"], pose)
    assert tuple(made[64, 127 - 100]) == POSE_COLOURS[right_wrist]  # what was a left wrist is a right one now
    assert tuple(made[64, 127 - 20]) == POSE_COLOURS[left_wrist]
    turned_over = frame_control(pose.draw(), framing, KINDS["pose"])
    assert tuple(turned_over[64, 127 - 20]) == POSE_COLOURS[right_wrist]  # a drawing alone is wrong: `can_mirror`


def test_a_mirrored_crop_of_a_pose_lies_where_its_picture_does() -> None:
    pose = Pose(body_at({0: (30.5, 50.5)}).people, 128, 256)
    image = np.zeros((128, 256, 3), np.uint8)
    cv2.circle(image, (30, 50), 4, (255, 255, 255), -1)
    framing = Framing(64, 64, left=0.1, mirrored=True)
    one = centre(frame_image(image, framing))
    two = centre(frame_control(pose.draw(), framing, KINDS["pose"], pose))
    assert one and two and np.hypot(one[0] - two[0], one[1] - two[1]) < 1.5


def test_thin_lines_stay_thin() -> None:
    mask = np.zeros((256, 256), bool)
    mask[:, 100] = True
    made = frame_control(lines(mask), Framing(128, 128), KINDS["lines"])
    assert (made[..., 0] == 255).sum(axis=1).max() == 1 and set(np.unique(made)) == {0, 255}


def test_which_maps_may_be_mirrored() -> None:
    assert can_mirror(KINDS["lines"], None) and not can_mirror(KINDS["pose"], None)
    assert can_mirror(KINDS["pose"], body_at({}))


@pytest.mark.parametrize(("size", "bucket"), [((512, 512), (256, 256)), ((1024, 512), (384, 192)), ((4000, 100), (384, 192)), ((10, 30), (192, 384)), ((640, 480), (320, 192))])  # fmt: skip
def test_buckets_keep_aspect_and_area(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    assert bucket_of(*size, 256) == bucket
    assert bucket_of(*size, 256, keeps_aspect=False) == (256, 256)


@given(st.integers(8, 8000), st.integers(8, 8000), st.integers(64, 1024))
def test_buckets_are_multiples_of_the_trained_area(width: int, height: int, side: int) -> None:
    wide, high = bucket_of(width, height, side)
    assert wide % 64 == high % 64 == 0
    assert 0.4 < wide * high / side**2 < 2.3
