"""Maps with a fault: seen, told, and repaired where a user asks for it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from annotators.base import Image
from annotators.canny import Canny
from annotators.lineart import LineArtStandard
from annotators.maps.encoders import encode_depth, encode_normal, encode_segmentation
from annotators.maps.kinds import KINDS
from annotators.maps.recognise import REPAIRS, Finding, diagnose, looks_like, repair, snap_palette
from annotators.people.poses import Points
from annotators.people.sticks import draw_hand, draw_pose
from cnet_app.embedded.world import Sample, create_scene
from models.errors import InputError

NORMAL, LABELS, POSE, LINES, SOFT = (KINDS[id] for id in ("normal", "labels", "pose", "lines", "soft_lines"))


@pytest.fixture(scope="module")
def scenes() -> list[Sample]:
    return [create_scene(9_100_000 + number, 192) for number in range(30)]


@pytest.fixture(scope="module")
def normals(scenes: list[Sample]) -> list[Image]:
    """True ones."""
    return [encode_normal(scene.normal) for scene in scenes if scene.normal is not None]


def _sphere() -> Image:
    y, x = np.mgrid[-1:1:192j, -1:1:192j]
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, None))
    return encode_normal(np.dstack([x, -y, z]) * (z > 0)[..., None])


def _labels() -> Image:
    return encode_segmentation((np.add.outer(np.arange(160) // 23, np.arange(200) // 31) * 7) % 150)


def _faults(kind_id: str, image: Image) -> list[str]:
    found = diagnose(KINDS[kind_id], image, "Test")  # type: ignore[index]
    return [repair.id for repair in found.repairs] if found else []


@pytest.mark.slow
def test_true_normal_maps_are_not_accused(normals: list[Image]) -> None:
    assert [diagnose(NORMAL, image, "Normals") for image in (*normals, _sphere())] == [None] * 31


@pytest.mark.slow
@pytest.mark.parametrize("names", [["flip_red"], ["flip_green"], ["reverse_channels"], ["flip_red", "flip_green"]])
def test_wrong_normals_are_seen_and_repaired(names: list[str], normals: list[Image]) -> None:
    for true in filter(_has_relief, normals[:12]):
        wrong, _ = repair(true, NORMAL, names)  # each is its own opposite
        assert _faults("normal", wrong)[: len(names)] == names
        repaired, told = repair(wrong, NORMAL, names)
        assert np.array_equal(repaired, true)
        assert told == tuple(REPAIRS[name].done for name in names)


@pytest.mark.slow
def test_normals_that_face_down_are_seen_without_relief_too(normals: list[Image]) -> None:
    for true in normals:
        assert "flip_green" in _faults("normal", repair(true, NORMAL, ["flip_green"])[0])


def test_of_a_ball_in_the_air_nobody_can_tell_which_channel_is_flipped() -> None:
    assert set(_faults("normal", repair(_sphere(), NORMAL, ["flip_red"])[0])) == {"flip_red", "flip_green"}


def _has_relief(image: Image) -> bool:
    """Round things in it: from flat ones nobody could tell."""
    return len(np.unique(image.reshape(-1, 3), axis=0)) > 2500


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.5, 1.5, 2.0])
@pytest.mark.parametrize("method", [cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC])
def test_labels_that_were_resized_with_their_colours_mixed_are_unmixed(scale: float, method: int) -> None:
    true = _labels()
    wrong = np.asarray(cv2.resize(true, None, fx=scale, fy=scale, interpolation=method), np.uint8)
    nearest = cv2.resize(true, wrong.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    assert _faults("labels", wrong) == (["snap_palette"] if scale != 2.0 or method != cv2.INTER_AREA else [])
    _assert_unmixed(snap_palette(wrong), np.asarray(nearest, np.uint8), 0.97)


@pytest.mark.parametrize("quality", [85, 95])
def test_labels_that_were_stored_as_jpeg_are_unmixed(quality: int) -> None:
    true = _labels()
    jpeg = cv2.imdecode(cv2.imencode(".jpg", true, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    wrong = np.asarray(jpeg, np.uint8)
    assert _faults("labels", wrong) == ["snap_palette"]
    _assert_unmixed(snap_palette(wrong), true, 0.97)


def _assert_unmixed(repaired: Image, true: Image, share: float) -> None:
    """Nearly everywhere as it was, and of no class that was not there."""
    assert (repaired == true).all(axis=2).mean() > share
    assert _colours(repaired) <= _colours(true)
    assert _faults("labels", repaired) == []


def _colours(image: Image) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(image.reshape(-1, 3), axis=0).tolist()}


def test_labels_with_red_and_blue_exchanged() -> None:
    true = _labels()
    assert _faults("labels", true[..., ::-1]) == ["reverse_channels"]
    assert diagnose(LABELS, true, "Segmentation") is None


def _portrait(body: Points) -> Points:
    """Without legs."""
    return np.where(np.isin(np.arange(len(body)), range(8, 14))[:, None], 0, body)


def _hands_up(body: Points) -> Points:
    """With both wrists above the head, where knuckles are as blue as a left foot."""
    raised = body.copy()
    raised[[4, 7], :2] = body[0, :2] + [[-30, -40], [30, -40]]
    return raised


@pytest.mark.slow
@pytest.mark.parametrize("change", [np.copy, _portrait, _hands_up, lambda body: _portrait(_hands_up(body))])
def test_a_pose_with_red_and_blue_exchanged(scenes: list[Sample], change: Callable[[Points], Points]) -> None:
    people = [scene.people for scene in scenes[:12] if scene.people]
    assert len(people) > 3
    for found in people:
        true = draw_pose([change(np.asarray(body, float)) for body in found], 192, 192)
        for body in found:
            wrists = change(np.asarray(body, float))[[4, 7]]
            draw_hand(true, np.tile(wrists[0], (21, 1)) + np.linspace(-8, 8, 21)[:, None] * [1, -1, 0])
        assert diagnose(POSE, true, "OpenPose") is None
        assert _faults("pose", true[..., ::-1]) == ["reverse_channels"]


def test_dark_lines_on_white_are_inverted(photos: dict[str, Image]) -> None:
    edges = Canny()(photos["coffee"])
    assert _faults("lines", 255 - edges) == ["invert"]
    assert np.array_equal(repair(255 - edges, LINES, ["invert"])[0], edges)


def test_a_photo_has_nothing_to_repair(photos: dict[str, Image]) -> None:
    for kind in ("lines", "normal", "labels", "pose"):
        found = diagnose(KINDS[kind], photos["coffee"], "Test")  # type: ignore[index]
        assert isinstance(found, Finding)
        assert "if it is a photo, choose an annotator" in found.message
        assert found.repairs == ()


def test_an_unknown_repair_lists_the_known_ones() -> None:
    for id in ("polish", "snap_palette", "flip_red"):
        with pytest.raises(InputError, match=f"no repair '{id}' for this kind of map; choose from: invert, as_it_is"):
            repair(np.zeros((8, 8, 3), np.uint8), LINES, [id])


@pytest.mark.slow
def test_a_depth_map_whose_far_is_white_is_told(scenes: list[Sample]) -> None:
    for scene in scenes:
        true = encode_depth(scene.depth) if scene.depth is not None else None
        if true is not None:
            assert _faults("depth", true) == []
            assert _faults("depth", 255 - true) == ["invert"]


def test_a_drawing_on_cream_paper_is_inverted() -> None:
    paper = np.full((64, 64, 3), (250, 240, 215), np.uint8)
    paper[20:24, 8:56] = (60, 40, 30)
    assert _faults("lines", paper) == ["invert"]


def test_soft_lines_are_known_for_a_map(photos: dict[str, Image]) -> None:
    drawn = LineArtStandard()(photos["coffee"])
    assert looks_like(SOFT, drawn)
    assert not any(looks_like(SOFT, photo) for photo in photos.values())
