"""OpenPose's post-processing beside controlnet_aux's, on maps of known people; and the annotator around it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from annotators.maps.control_map import make_map
from annotators.networks.loading import aux_module
from annotators.openpose import (
    OpenPose,
    find_face,
    find_hand,
    load_body_network,
    load_face_network,
    load_hand_network,
    read_fields,
    resize_smoothly,
)
from annotators.people.affinity import JOINTS, bodies_from_fields, find_peaks
from annotators.people.openpose_parts import LEFT_ARM, RIGHT_ARM, face_box, hand_box
from annotators.people.poses import Points, Pose
from annotators.runtime import Runtime
from benchmarks.data.drawn_fields import Preset, draw_fields, library_bodies, standing
from tests.annotators.networks.thin import save_thin, thin

HEIGHT, WIDTH = 512, 512
INPUT = 184, 184
"""Height and width of the network's input for a picture of this size."""
SCALE = (WIDTH / INPUT[1], HEIGHT / INPUT[0], 1)


def _partly(person: Points, *hidden: int) -> Points:
    person[list(hidden), 2] = 0
    return person


SCENES: dict[str, list[Points]] = {
    "one": [standing(20, 15, 150, 1)],
    "two": [standing(-25, 15, 150, 2), standing(60, 30, 140, 3)],
    "three": [standing(-30, 10, 130, 4), standing(30, 40, 110, 5), standing(75, 15, 130, 6)],
    "partly hidden": [
        _partly(standing(-25, 15, 150, 7), 3, 4, 12, 13),
        _partly(standing(60, 15, 150, 8), 0, 14, 15, 16, 17),
    ],
    "crossing": [standing(20, 15, 150, 9), standing(55, 20, 150, 10)],
    "cut by the border": [standing(-75, 15, 150, 11), standing(80, 80, 150, 12)],
    "tiny": [standing(60, 60, 60, 13)],
}


def _in_picture(person: Points) -> bool:
    x, y = person[:, 0], person[:, 1]
    return bool(((x > 4) & (x < INPUT[1] - 4) & (y > 4) & (y < INPUT[0] - 4)).all())


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_bodies_are_the_librarys(name: str) -> None:
    people = SCENES[name]
    heat, fields = draw_fields(people, *INPUT)
    photo = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    began = time.process_time()
    theirs, shown = library_bodies(heat, fields, photo)
    theirs_took, began = time.process_time() - began, time.process_time()
    ours = [body * SCALE for body in bodies_from_fields(heat, fields, *INPUT)]
    assert time.process_time() - began < 0.5 * theirs_took
    assert len(ours) == len(theirs) == len(people)
    for body, other in zip(ours, theirs, strict=True):
        assert ((body[:, 2] > 0) == (other[:, 2] > 0)).all()
        found = body[:, 2] > 0
        assert np.linalg.norm((body - other)[found, :2], axis=1).max() < 1
        assert np.abs((body - other)[found, 2]).max() < 0.01
    network = Preset(lambda data: [torch.zeros(1, n, 23, 23) for n in (38, 19)])
    read_fields(network, resize_smoothly(photo, *INPUT[::-1]), "cpu")
    assert torch.equal(network.asked[0], shown)
    for person in filter(_in_picture, people):
        seen = person[:, 2] > 0
        distances = [np.linalg.norm((body - person * SCALE)[seen, :2], axis=1).max() for body in ours]
        assert min(distances) < 1.1 * SCALE[0]  # a pixel of what the network sees


def test_two_equal_cells_are_one_peak() -> None:
    heat = np.zeros((23, 35, 19), np.float32)
    heat[10, 12:14, 4] = heat[10:12, 20, 5] = heat[5:7, 5:7, 6] = 1
    counts = [len(peaks) for peaks in find_peaks(heat, *INPUT)]
    assert counts[4] == counts[5] == counts[6] == 1
    x, y, _ = find_peaks(heat, *INPUT)[4][0]
    assert (x, y) == pytest.approx((13 * 8, 10.5 * 8), abs=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("fill", [0.0, 0.05, 1.0, "noise", "much noise"])
def test_maps_of_nobody_and_of_everything(fill: float | str) -> None:
    rng = np.random.default_rng(0)
    if isinstance(fill, str):
        heat, fields = (rng.normal(0, 20 if "much" in fill else 1, (23, 35, n)) for n in (19, 38))
    else:
        heat, fields = (np.full((23, 35, n), fill) for n in (19, 38))
    bodies = bodies_from_fields(heat, fields, *INPUT)
    for body in bodies:
        assert body.shape == (JOINTS, 3)
        assert np.isfinite(body).all()
    assert not bodies or isinstance(fill, str) or fill == 1.0


def _bells(height: int, width: int, places: NDArray[np.float64], spread: float) -> NDArray[np.float32]:
    """(N, height, width) with a bell at each place (N, 2), in fractions of the sides; `spread` likewise."""
    y, x = np.mgrid[:height, :width]
    away = [((x + 0.5) / width - at_x) ** 2 + ((y + 0.5) / height - at_y) ** 2 for at_x, at_y in places]
    return np.exp(-np.array(away) / (2 * spread**2)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("side", [96, 200])
def test_hands_are_the_librarys(side: int) -> None:
    places = np.random.default_rng(side).uniform(0.15, 0.85, (22, 2))

    def answer(data: torch.Tensor) -> torch.Tensor:
        maps = 0.8 * _bells(data.shape[2] // 8, data.shape[3] // 8, places, 0.05)
        maps[3] = 0  # a joint that is not found
        maps[4] += (
            0.3 * _bells(maps.shape[1], maps.shape[2], np.array([[0.9, 0.9]]), 0.03)[0]
        )  # and one with a second, weaker spot
        return torch.from_numpy(maps)[None]

    crop = np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)
    hand = object.__new__(aux_module("open_pose.hand").Hand)
    hand.model = Preset(answer)
    theirs = hand(crop)
    ours = find_hand(Preset(answer), crop, "cpu")
    assert ours[3].tolist() == [0, 0, 0]
    assert theirs[3].tolist() == [0, 0]
    found = np.arange(21) != 3
    assert np.abs(ours[found, :2] - theirs[found] - 0.5).max() <= 1 + side / 128
    assert np.abs(ours[found, :2] / side - places[:21][found]).max() < 0.015


def test_faces_are_the_librarys() -> None:
    places = np.random.default_rng(5).uniform(0.1, 0.9, (71, 2))
    maps = _bells(48, 48, places, 0.03)
    maps[7] *= 0.01
    network = Preset(lambda data: [torch.from_numpy(maps)[None]])
    crop = np.random.default_rng(1).integers(0, 256, (150, 150, 3), np.uint8)
    face = object.__new__(aux_module("open_pose.face").Face)
    face.model = network
    theirs = face.compute_peaks_from_heatmaps(face(crop))[:-1]  # without the map of what is no face
    ours = find_face(network, crop, "cpu")
    assert torch.equal(*network.asked)
    assert ours.shape == (70, 3)
    assert ours[7].tolist() == [0, 0, 0]
    assert np.abs(np.delete(ours, 7, axis=0)[:, :2] - 0.5 - theirs).max() <= 1


@pytest.mark.parametrize("seed", range(20))
def test_boxes_are_the_librarys(seed: int) -> None:
    library, types = aux_module("open_pose.util"), aux_module("open_pose.body")
    rng = np.random.default_rng(seed)
    body = np.column_stack(
        [rng.uniform(-20, 420, 18), rng.uniform(-20, 320, 18), (rng.random(18) > 0.15).astype(float)]
    )
    points = [types.Keypoint(x, y) if seen else None for x, y, seen in body]
    person, photo = types.BodyResult(points, 1.0, 18), np.zeros((300, 400, 3), np.uint8)
    hands = {is_left: tuple(box) for *box, is_left in library.handDetect(person, photo)}
    for arm, is_left in ((LEFT_ARM, True), (RIGHT_ARM, False)):
        assert hand_box(body, arm, 300, 400) == hands.get(is_left)
    assert face_box(body, 300, 400) == library.faceDetect(person, photo)


@pytest.fixture
def perfect(monkeypatch: pytest.MonkeyPatch) -> list[Points]:
    """Networks that see the people in this list, in fractions of the picture's sides."""
    people: list[Points] = []

    def see(data: torch.Tensor) -> list[torch.Tensor]:
        height, width = data.shape[2:]
        heat, fields = draw_fields([person * (width, height, 1) for person in people], height, width)
        return [torch.from_numpy(maps).permute(2, 0, 1)[None] for maps in (fields, heat)]

    def see_hand(data: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(_bells(data.shape[2] // 8, data.shape[3] // 8, np.full((22, 2), 0.5), 0.05))[None]

    face = torch.from_numpy(_bells(48, 48, np.full((71, 2), 0.5), 0.05))[None]
    monkeypatch.setattr("annotators.openpose.weights_file", Path)
    monkeypatch.setattr("annotators.openpose.load_body_network", lambda device, path: Preset(see))
    monkeypatch.setattr("annotators.openpose.load_hand_network", lambda device, path: Preset(see_hand))
    monkeypatch.setattr("annotators.openpose.load_face_network", lambda device, path: Preset(lambda data: [face]))
    return people


@pytest.mark.slow
@pytest.mark.parametrize("size", [(512, 512), (250, 500), (920, 800)])
def test_people_are_found_in_the_pictures_pixels(perfect: list[Points], size: tuple[int, int]) -> None:
    height, width = size
    person = standing(0.1, 0.05, 0.9) / [1.2, 1, 1]
    perfect.append(person)
    photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    data = OpenPose(hands=True, faces=True).detect(photo, Runtime())
    (found,) = data.people
    assert np.abs(found.body[:, :2] / (width, height) - person[:, :2]).max() < 0.01
    assert found.face is not None
    assert found.left_hand is not None
    wrist, elbow, left_hand = found.body[7, :2], found.body[6, :2], found.left_hand[:, :2]
    assert np.linalg.norm(left_hand - wrist, axis=1).max() < 1.2 * np.linalg.norm(wrist - elbow)
    assert np.linalg.norm(found.face[:, :2] - found.body[0, :2], axis=1).max() < 0.1 * height
    alone = OpenPose().detect(photo, Runtime()).people[0]
    assert (alone.left_hand, alone.face) == (None, None)
    made = make_map(OpenPose(), photo)
    assert isinstance(made.data, Pose)
    assert made.pixels.any()
    assert made.warnings == ()


def test_nobody_is_told(perfect: list[Points]) -> None:
    made = make_map(OpenPose(hands=True, faces=True), np.zeros((64, 90, 3), np.uint8))
    assert not made.pixels.any()
    assert "Nobody was found" in made.warnings[0]


@pytest.mark.parametrize("shape", [(8, 8), (8, 800), (800, 8), (65, 33), (1200, 700)])
def test_pictures_of_every_size(perfect: list[Points], shape: tuple[int, int]) -> None:
    perfect += [standing(0.1, 0.02, 0.9), standing(-0.4, 0.5, 0.8)]  # one of them cut by two borders
    pose = OpenPose(hands=True, faces=True)(np.zeros((*shape, 3), np.uint8))
    assert pose.shape == (*shape, 3)


def test_finer_sees_more_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Preset(lambda data: [torch.zeros(1, n, *(side // 8 for side in data.shape[2:])) for n in (38, 19)])
    monkeypatch.setattr("annotators.openpose.weights_file", Path)
    monkeypatch.setattr("annotators.openpose.load_body_network", lambda device, path: network)
    photo = np.zeros((300, 400, 3), np.uint8)
    for resolution in (256, 512, 1024):
        OpenPose(detect_resolution=resolution)(photo)
    assert [data.shape[2] for data in network.asked] == [96, 184, 368]
    OpenPose()(np.zeros((50, 5000, 3), np.uint8))
    assert network.asked[-1].shape[2:] == (16, 1472)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "module", "name", "is_named"),
    [
        (load_body_network, "open_pose.model", "bodypose_model", False),
        (load_hand_network, "open_pose.model", "handpose_model", False),
        (load_face_network, "open_pose.face", "FaceNet", True),
    ],
)
def test_a_networks_file_is_read(
    load: Callable[[str, Path], Any], module: str, name: str, is_named: bool, tmp_path: Path
) -> None:
    """Those of bodies and hands lack the name of the block before that of the layer."""
    network = thin(getattr(aux_module(module), name)())
    state = network.state_dict()
    save_thin(
        {full if is_named else full.split(".", 1)[1]: value for full, value in state.items()}, tmp_path / "net.pth"
    )
    loaded, photo = load("cpu", tmp_path / "net.pth"), torch.rand(1, 3, 64, 48) - 0.5
    with torch.inference_mode():
        ours, theirs = loaded(photo), network(photo)
    ours, theirs = ([maps] if isinstance(maps, torch.Tensor) else maps for maps in (ours, theirs))
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-5)  # the layout in memory differs, and with it the order of sums
        assert other.std() > 1e-4


@pytest.mark.slow
def test_a_real_network_gives_its_fields_first() -> None:
    """The real one, whose every layer has one random number for a weight: that many are soon made."""
    torch.manual_seed(0)
    with torch.device("meta"):
        network = aux_module("open_pose.model").bodypose_model()
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    network.load_state_dict({name: 0.02 * torch.randn(1).expand(shape) for name, shape in shapes.items()}, assign=True)
    photo = np.random.default_rng(0).integers(0, 256, (48, 32, 3), np.uint8)
    heat, fields = read_fields(network, photo, "cpu")
    with torch.inference_mode():
        theirs = network(torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 256 - 0.5)
    assert (heat.shape, fields.shape) == ((6, 4, 19), (6, 4, 38))
    assert np.array_equal(fields, theirs[0][0].permute(1, 2, 0))
    assert np.array_equal(heat, theirs[1][0].permute(1, 2, 0))
