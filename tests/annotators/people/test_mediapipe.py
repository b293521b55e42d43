"""MediaPipe's networks on photos whose joints were marked by hand, on scenes whose joints are known, and the rules around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from annotators.base import Image
from annotators.mediapipe import BODY_POINTS, MIRRORED, Body, MediaPipePose, find_hands, is_same, refine, windows
from annotators.networks.loading import weights_folder
from annotators.people.mediapipe_networks import (
    Network,
    Region,
    load_body_networks,
    load_face_networks,
    load_hand_networks,
    overlapping,
)
from annotators.people.poses import Person, Points
from annotators.runtime import Runtime
from annotators.sources.images import resize
from cnet_app.embedded.world import create_scene
from cnet_app.fidelity.measures import people_pck
from models.errors import DamagedError

pytestmark = pytest.mark.slow

ASTRONAUT = {0: (224, 126), 2: (90, 255), 5: (322, 262), 14: (203, 101), 15: (247, 104), 16: (178, 117), 17: (272, 122)}
"""Nose, shoulders, eyes and ears, by eye; the suit hides the shoulders' joints, the hair most of the ears."""
REACH = {0: 8, 2: 25, 5: 25, 14: 8, 15: 8, 16: 15, 17: 15}
"""Pixels that a joint may differ by."""
FACE = {8: (222, 179), 30: (224, 126), 36: (193, 101), 45: (259, 104), 48: (203, 139), 54: (247, 140), 68: (203.5, 101),
        69: (246.5, 103.5)}  # fmt: skip
"""Chin, tip of the nose, outer corners of the eyes, corners of the mouth, pupils."""
LEFT_RIGHT = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
"""Each joint's number in a mirrored photo."""


@pytest.fixture(scope="module")
def loaded() -> Iterator[Runtime]:
    """The CPU, with the networks that the tests of this module have loaded."""
    runtime = Runtime()
    yield runtime
    runtime.networks.release()


@pytest.fixture(scope="module")
def astronaut() -> Image:
    return np.asarray(data.astronaut())


def _people(photo: Image, runtime: Runtime, **values: Any) -> tuple[Person, ...]:
    return MediaPipePose(**values).detect(np.ascontiguousarray(photo), runtime).people


def _body(photo: Image, runtime: Runtime) -> Points:
    (person,) = _people(photo, runtime, hands=False, faces=False)
    return person.body


def _distances(body: Points, other: Points) -> Points:
    both = (body[:, 2] > 0) & (other[:, 2] > 0)
    assert both.sum() >= 7
    return np.linalg.norm(body[both, :2] - other[both, :2], axis=1)


def test_a_photo_has_the_joints_that_a_person_sees(astronaut: Image, loaded: Runtime) -> None:
    (person,) = _people(astronaut, loaded)
    for joint, place in ASTRONAUT.items():
        assert person.body[joint, 2] >= 0.5
        assert np.linalg.norm(person.body[joint, :2] - place) <= REACH[joint], joint
    assert not person.body[8:14, 2].any()  # hips and legs are below the photo
    assert person.face is not None
    for point, place in FACE.items():
        assert np.linalg.norm(person.face[point, :2] - place) <= 4, point
    assert person.left_hand is None
    assert person.right_hand is None


def test_a_mirrored_photo_has_the_mirrored_joints(astronaut: Image, loaded: Runtime) -> None:
    mirrored = _body(astronaut[:, ::-1], loaded)[LEFT_RIGHT]
    back = np.where(mirrored[:, 2:] > 0, [512, 0, 0] + mirrored * [-1, 1, 1], 0)
    assert _distances(_body(astronaut, loaded), back).max() <= 15


@pytest.mark.parametrize("scale", [0.5, 2])
def test_joints_follow_the_size_of_the_photo(astronaut: Image, loaded: Runtime, scale: float) -> None:
    side = round(512 * scale)
    other = _body(resize(astronaut, side, side), loaded) * [1 / scale, 1 / scale, 1]
    distances = _distances(_body(astronaut, loaded), other)
    assert np.median(distances) <= 8
    assert distances.max() <= 15


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_photo_has_the_turned_joints(astronaut: Image, loaded: Runtime, turns: int) -> None:
    turned = _body(np.rot90(astronaut, turns), loaded)
    for _ in range(turns):
        turned = np.where(turned[:, 2:] > 0, np.column_stack([512 - turned[:, 1], turned[:, 0], turned[:, 2]]), 0)
    assert np.median(_distances(_body(astronaut, loaded), turned)) <= 12


def test_the_man_with_the_camera_is_seen_from_the_side(loaded: Runtime) -> None:
    photo = cv2.cvtColor(np.asarray(data.camera()), cv2.COLOR_GRAY2RGB)
    body = _body(np.asarray(photo, np.uint8), loaded)
    for joint, place in {0: (248, 165), 2: (112, 178), 8: (60, 335), 16: (190, 140)}.items():
        assert np.linalg.norm(body[joint, :2] - place) <= 30, joint


@pytest.mark.parametrize("name", ["coffee", "rocket", "chelsea", "brick"])
def test_nobody_is_seen_where_nobody_is(name: str, loaded: Runtime) -> None:
    photo = np.asarray(getattr(data, name)())
    assert _people(np.dstack([photo] * 3) if photo.ndim == 2 else photo, loaded) == ()


def test_people_beside_each_other_are_all_found(astronaut: Image, loaded: Runtime) -> None:
    collage = np.hstack([astronaut, astronaut[:, 40:488][:, ::-1]])
    people = _people(collage, loaded, search="whole", hands=False)
    assert len(people) == 2
    for person, noses in zip(people, ((224, 126), (512 + 448 - 184, 126)), strict=True):
        assert np.linalg.norm(person.body[0, :2] - noses) <= 12
        assert person.face is not None
    assert len(_people(collage, loaded, search="whole", hands=False, faces=False, most_people=1)) == 1


def test_parts_of_the_photo_show_smaller_people(astronaut: Image, loaded: Runtime) -> None:
    table = resize(np.asarray(data.coffee()), 1200, 800)
    table[60:310, 100:350] = resize(astronaut, 250, 250)
    assert _people(table, loaded, search="whole", hands=False, faces=False) == ()
    (person,) = _people(table, loaded, search="halves", hands=False, faces=False)
    assert np.linalg.norm(person.body[0, :2] - [100 + 224 * 250 / 512, 60 + 126 * 250 / 512]) <= 8


def test_an_uncertain_person_is_not_drawn(astronaut: Image, loaded: Runtime) -> None:
    assert _people(astronaut, loaded, person_threshold=0.95) == ()
    assert not MediaPipePose(person_threshold=0.95)(astronaut, loaded).any()


def test_parts_that_are_switched_off_load_no_networks(astronaut: Image, runtime: Runtime) -> None:
    (person,) = _people(astronaut, runtime, hands=False, faces=False)
    assert person.face is person.left_hand is None
    assert runtime.networks.holding() == 1


def test_figures_of_the_world_have_their_joints(loaded: Runtime) -> None:
    """Shaded figures of the procedural scenes, whose true joints are known: PCK within a tenth of their height."""
    scenes = [scene for seed in range(1000, 1040) if (scene := create_scene(seed, 256)).people]
    shaded = [scene for scene in scenes if "shaded" in scene.caption]
    assert len(shaded) >= 5
    found = [_people(scene.image, loaded, hands=False, faces=False) for scene in shaded]
    scores = [people_pck(s.people, [p.body for p in people]) for s, people in zip(shaded, found, strict=True)]
    assert np.mean(scores) >= 0.85


@pytest.mark.parametrize("size", [(8, 8), (8, 700), (3000, 40)])
def test_pictures_of_extreme_sizes_have_nobody(size: tuple[int, int], loaded: Runtime) -> None:
    assert _people(np.full((*size, 3), 90, np.uint8), loaded) == ()


def test_a_region_is_cut_out_upright() -> None:
    photo = np.zeros((200, 300, 3), np.uint8)
    photo[90:110, 195:205] = 255  # right of the centre, at (200, 100)
    region = Region.along(np.array([150.0, 100.0]), 200.0, np.array([150.0, 100.0]), np.array([180.0, 100.0]), 90)
    assert np.allclose(region.to_picture(np.array([[0.5, 0.25]])), [[200, 100]])
    for side in (200, 100, 50):
        bright = np.argwhere(region.crop(photo, side, cv2.BORDER_CONSTANT)[..., 0] > 127) + 0.5
        assert np.allclose(bright.mean(axis=0) / side, [0.25, 0.5], atol=0.01)
    moved = region.moved(-0.25, 2)
    assert np.allclose(moved.centre, [200, 100])
    assert moved.side == 400


def test_anchors_are_as_many_as_the_outputs_rows() -> None:
    folder = weights_folder("mediapipe_pose")
    detectors = {load_body_networks("cpu", folder)[0]: 2254, load_hand_networks("cpu", folder)[1]: 2016,
                 load_face_networks("cpu", folder)[0]: 896}  # fmt: skip
    for detector, count in detectors.items():
        anchors = detector.anchors()
        assert anchors.shape == (count, 2)
        assert np.allclose(anchors[0], anchors[1])
        first = -(-detector.network.side // 8)
        assert np.allclose(anchors[2] - anchors[0], [1 / first, 0])
        assert np.allclose(anchors[-1], 1 - anchors[0] * first / -(-detector.network.side // detector.strides[-1]))


def test_of_boxes_that_overlap_the_surest_comes_first() -> None:
    boxes = np.array([[(0, 0), (10, 10)], [(1, 1), (11, 11)], [(30, 0), (40, 10)]], float)
    groups = [group.tolist() for group in overlapping(boxes, np.array([0.4, 0.9, 0.5]))]
    assert groups == [[1, 0], [2]]


def test_windows_cover_the_photo() -> None:
    for shape in ((512, 512, 3), (300, 512, 3), (512, 100, 3)):
        for part in (1, 2, 3):
            covered = np.zeros(shape[:2], bool)
            for window in windows(np.zeros(shape, np.uint8), part):
                low, high = (np.maximum(window.centre + half * window.side / 2, 0).astype(int) for half in (-1, 1))
                covered[low[1] : high[1], low[0] : high[0]] = True
            assert covered.all()


def test_a_joint_moves_to_the_centre_of_its_heat() -> None:
    heat = np.zeros((64, 64, 3))
    heat[30:33, 40:43, 0] = 0.8
    heat[30, 40, 1] = 0.4
    places, heights = refine(np.array([[40.0, 30.0], [40.0, 30.0], [-5.0, 3.0]]) / 64, heat)
    assert np.allclose(places * 64, [[41, 31], [40, 30], [-5, 3]])
    assert np.allclose(heights, [0.8, 0.4, 0])


def test_mirrored_numbers_exchange_left_and_right() -> None:
    assert [MIRRORED[number] for number in MIRRORED] == list(range(BODY_POINTS))
    assert MIRRORED[11] == 12 and MIRRORED[2] == 5 and MIRRORED[32] == 31


def _standing(x: float) -> Body:
    points = np.column_stack([np.full(BODY_POINTS, x), np.linspace(50, 350, BODY_POINTS), np.ones(BODY_POINTS)])
    points[:11, 0] += np.linspace(-10, 10, 11)
    return Body(points, Region(np.array([x, 200.0]), 400.0), 1.0, 0.8, np.zeros((256, 256), bool))


def test_one_person_is_found_once() -> None:
    assert is_same(_standing(100), _standing(110))
    assert not is_same(_standing(100), _standing(220))


@pytest.mark.parametrize(("handedness", "kept"), [(0.9, 1), (0.1, 0)])
def test_one_hand_found_from_both_wrists_is_the_side_that_the_network_names(handedness: float, kept: int) -> None:
    """Both wrists are in one place, so that both arms find the same hand."""
    session: Any = None

    class Hand(Network):
        def __call__(self, *_: Any, **__: Any) -> dict[str, Any]:
            ends = np.array([112.0, 112.0, 112.0, 60.0])
            points = np.tile(np.linspace(60, 160, 21)[:, None], 3).ravel()
            return {"crop": ends, "landmarks": points, "presence": np.ones(1), "handedness": np.array([handedness])}

    network = Hand(session, Path(), 224, 0)
    body = _standing(100)
    points = body.points.copy()
    points[[15, 16], :2], points[[17, 18, 19, 20], :2] = (100, 200), (100, 220)
    nothing: Any = None
    hands = find_hands(network, nothing, network, np.zeros((400, 400, 3), np.uint8), replace(body, points=points))
    assert hands[1 - kept] is None
    hand = hands[kept]
    assert hand is not None
    assert hand.shape == (21, 3)


def test_another_network_in_the_file_is_an_error(tmp_path: Path) -> None:
    folder = weights_folder("mediapipe_pose")
    for name in ("pose_detection.onnx", "pose_landmark_full.onnx"):
        (tmp_path / name).write_bytes((folder / "hand_recrop.onnx").read_bytes())
    with pytest.raises(DamagedError, match=r"pose_detection\.onnx .* holds another network"):
        load_body_networks("cpu", tmp_path)
    (tmp_path / "pose_detection.onnx").write_bytes(b"nothing")
    with pytest.raises(DamagedError, match=r"pose_detection\.onnx .* is damaged"):
        load_body_networks("cpu", tmp_path)
