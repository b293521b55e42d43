"""The small network and what is read off it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from annotators.base import Annotator, Image
from annotators.embedded import (
    DepthEmbedded,
    NormalEmbedded,
    OpenPoseEmbedded,
    SegmentationEmbedded,
    SoftEdgeEmbedded,
    people_from_heat,
)
from annotators.maps.control_map import make_map
from annotators.maps.encoders import ADE20K_PALETTE
from annotators.networks.scene_net import (
    HEAT_SIGMA,
    HEAT_STRIDE,
    SEGMENTS,
    SceneMaps,
    SceneNet,
    load_scene_net,
    save_scene_net,
    segment_targets,
)
from annotators.people.poses import Person, Pose
from annotators.runtime import Runtime
from annotators.sources.images import resize
from cnet_app.embedded.world import create_scene
from models.errors import WeightsError
from tests.source import ROOT

KINDS: tuple[type[Annotator], ...] = (
    DepthEmbedded, NormalEmbedded, SegmentationEmbedded, OpenPoseEmbedded, SoftEdgeEmbedded,
)  # fmt: skip


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small random network, which the annotators take for the one that ships."""
    torch.manual_seed(0)
    folder = tmp_path / "annotator"
    save_scene_net(SceneNet((8, 8, 8, 8, 8)), folder)
    monkeypatch.setattr("annotators.embedded.weights_folder", lambda id: folder)
    monkeypatch.setattr("annotators.embedded.SHORT_SIDE", 64)
    return folder


def test_the_network_is_small() -> None:
    assert sum(value.numel() for value in SceneNet().parameters()) <= 2_000_000


def test_maps_have_the_sizes_they_say(tiny: Path) -> None:
    network = load_scene_net(tiny)
    maps = network(torch.rand(2, 3, 64, 96))
    assert maps.depth.shape == (2, 1, 64, 96)
    assert maps.segmentation.shape == (2, len(SEGMENTS), 64, 96)
    assert maps.pose.shape == (2, 18, 16, 24)
    assert maps.softedge.shape == (2, 1, 64, 96)
    assert torch.allclose(maps.normal.norm(dim=1), torch.ones(2, 64, 96), atol=1e-5)
    assert 0 <= float(maps.depth.min()) <= float(maps.depth.max()) <= 1


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    network = SceneNet((8, 8, 8, 8, 8)).half().float().eval()
    save_scene_net(network, tmp_path)
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(network(image).depth, load_scene_net(tmp_path)(image).depth)


@pytest.mark.parametrize("kind", KINDS)
def test_every_map_has_the_size_of_its_picture(kind: type[Annotator], tiny: Path, photos: dict[str, Image]) -> None:
    photo = photos["astronaut"][:150, :70]
    control_image = kind()(photo)
    assert control_image.shape == photo.shape
    assert control_image.dtype == np.uint8
    if kind is SegmentationEmbedded:
        allowed = {tuple(ADE20K_PALETTE[i]) for i in SEGMENTS[:-1]} | {(0, 0, 0)}
        assert {tuple(colour) for colour in control_image.reshape(-1, 3)} <= allowed


def _enlarged(maps: Tensor, photo: Image) -> np.ndarray:
    """(1, C, h, w) → (H, W, C) by torch's own interpolation."""
    size = photo.shape[:2]
    return functional.interpolate(maps.float(), size, mode="bilinear")[0].permute(1, 2, 0).numpy()


def test_every_map_is_what_the_network_estimates(tiny: Path, photos: dict[str, Image], runtime: Runtime) -> None:
    """Channels, signs, order and places, of a picture whose sides the network can take as they are."""
    photo = resize(photos["astronaut"], 128, 64)
    network = load_scene_net(tiny)
    with torch.inference_mode():
        maps = network(torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255)
    depth, edges = _enlarged(maps.depth, photo)[..., 0], _enlarged(maps.softedge, photo)[..., 0]
    grey = 255 * (depth - depth.min()) / np.ptp(depth)
    assert np.abs(DepthEmbedded()(photo, runtime)[..., 0] - grey).max() < 1
    assert grey.std() > 20
    assert np.abs(SoftEdgeEmbedded()(photo, runtime)[..., 0] - 255 / (1 + np.exp(-edges))).max() < 1
    assert edges.std() > 0.01
    normal = _enlarged(maps.normal, photo) * (-1, 1, 1)  # red is left
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    assert np.abs(NormalEmbedded()(photo, runtime) - (normal * 127.5 + 127.5)).max() < 1
    classes = np.array(SEGMENTS)[_enlarged(maps.segmentation, photo).argmax(axis=2)]
    assert np.array_equal(SegmentationEmbedded().detect(photo, runtime).classes, classes)
    assert len(np.unique(classes)) > 1


def test_joints_lie_in_the_pictures_pixels(
    tiny: Path, photos: dict[str, Image], runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that sees the same person in fractions of any picture."""
    person = _person(40, 0) * (0.6, 0.6, 1) + (25, 25, 0)

    def estimate(self: SceneNet, image: Tensor) -> SceneMaps:
        height, width = image.shape[2:]
        heat = heat_maps([person * (width / 128, height / 128, 1)], height, width)
        logits = torch.logit(torch.from_numpy(heat).clamp(1e-6, 1 - 1e-6))[None]
        return SceneMaps(image, image, image, logits, image)

    monkeypatch.setattr(SceneNet, "forward", estimate)
    for width, height in ((200, 160), (97, 211)):
        (found,) = OpenPoseEmbedded().people(resize(photos["coffee"], width, height), runtime)
        assert np.abs(found.body[:, :2] / (width, height) - person[:, :2] / 128).max() < 0.02
        assert found.body[:, 2].min() > 0.5
        assert (found.left_hand, found.right_hand, found.face) == (None, None, None)


@pytest.mark.parametrize(("confidence", "told"), [(0.54, "a confidence of 54 % only"), (0.8, ""), (None, "")])
def test_an_uncertain_person_is_in_doubt(confidence: float | None, told: str) -> None:
    body = np.zeros((18, 3))
    body[:5] = (40, 50, confidence or 0)
    sure = np.tile((60.0, 50.0, 0.9), (18, 1))
    pose = Pose((Person(body=body), Person(body=sure)) if confidence else (), 100, 100)
    doubt = OpenPoseEmbedded().doubt(pose)
    assert told in doubt and bool(doubt) == bool(told)
    assert OpenPoseEmbedded().doubt(Pose((Person(body=sure),), 100, 100)) == ""


@pytest.mark.skipif(
    not (ROOT / "models" / "embedded" / "annotator").exists(), reason="the embedded annotator is not here"
)
def test_people_that_are_seen_in_a_cup_and_a_cat_are_in_doubt(photos: dict[str, Image]) -> None:
    for name in ("coffee", "chelsea"):
        assert "probably none" in make_map(OpenPoseEmbedded(), photos[name]).warnings[0]
    assert make_map(OpenPoseEmbedded(), create_scene(56, 256).image).warnings == ()


@pytest.mark.parametrize("kind", KINDS)
def test_the_note_names_the_real_annotator(kind: type[Annotator]) -> None:
    assert "weak on real photos" in kind.note
    assert kind.weights == ("embedded_annotator",)


def test_a_damaged_folder_is_told_in_a_sentence(tiny: Path, photos: dict[str, Image]) -> None:
    (tiny / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="is damaged"):
        DepthEmbedded()(photos["coffee"])


def test_segment_targets() -> None:
    classes = np.array([[12, 3, 2], [0, 132, 77]])
    assert segment_targets(classes).tolist() == [[0, 1, 2], [3, 7, 8]]


def heat_maps(people: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """(18, height / 4, width / 4) with a bell of height 1 at each joint."""
    rows, columns = ((np.arange(side // HEAT_STRIDE) + 0.5) * HEAT_STRIDE for side in (height, width))
    heat = np.zeros((18, len(rows), len(columns)), np.float32)
    for person in people:
        for joint, (x, y, visible) in enumerate(person):
            distance = (rows[:, None] - y) ** 2 + (columns[None] - x) ** 2
            bell = visible * np.exp(-distance / (2 * (HEAT_SIGMA * HEAT_STRIDE) ** 2))
            heat[joint] = np.maximum(heat[joint], bell)
    return heat


def _person(left: float, seed: int) -> np.ndarray:
    places = np.random.default_rng(seed).uniform(4, 100, (18, 2)) * (0.45, 1) + (left, 0)
    places[1] = left + 25, 30
    return np.column_stack([places, np.ones(18)])


def test_joints_are_found_where_their_bells_are() -> None:
    person = _person(40, 0)
    person[7, 2] = 0
    found = people_from_heat(heat_maps([person], 128, 128))
    assert len(found) == 1
    seen = person[:, 2] > 0
    assert np.abs(found[0][seen, :2] * HEAT_STRIDE - person[seen, :2]).max() < 0.1
    assert found[0][7, 2] == 0


def test_two_people_keep_their_own_joints() -> None:
    people = [_person(0, 1), _person(75, 2)]
    found = sorted(people_from_heat(heat_maps(people, 128, 128)), key=lambda person: person[1, 0])
    assert len(found) == 2
    for one, other in zip(found, people, strict=True):
        assert np.abs(one[:, :2] * HEAT_STRIDE - other[:, :2]).max() < 0.5


def test_nobody_is_nobody() -> None:
    assert people_from_heat(np.zeros((18, 16, 16), np.float32)) == []
    assert people_from_heat(np.full((18, 16, 16), 0.2, np.float32)) == []
