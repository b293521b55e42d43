"""Maps with a fault: seen, told, and mended where a user asks for it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from annotators.base import Image, InputError
from annotators.canny import Canny
from annotators.kinds import KINDS
from annotators.maps import encode_normal, encode_segmentation
from annotators.recognise import MENDS, Finding, examine, mend, snap_palette
from annotators.sticks import draw_pose
from cnet_app.world import Sample, create_scene

NORMAL, LABELS, POSE, LINES = (KINDS[id] for id in ("normal", "labels", "pose", "lines"))


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
    found = examine(KINDS[kind_id], image, "Test")  # type: ignore[index]
    return [mend.id for mend in found.mends] if found else []


def test_true_normal_maps_are_not_accused(normals: list[Image]) -> None:
    assert [examine(NORMAL, image, "Normals") for image in (*normals, _sphere())] == [None] * 31


@pytest.mark.parametrize("name", ["flip_red", "flip_green", "reverse_channels"])
def test_wrong_normals_are_seen_and_mended(name: str, normals: list[Image]) -> None:
    for true in filter(_has_relief, normals[:12]):
        wrong, _ = mend(true, NORMAL, [name])  # each is its own opposite
        assert _faults("normal", wrong)[0] == name
        mended, told = mend(wrong, NORMAL, [name])
        assert np.array_equal(mended, true)
        assert told == (MENDS[name].done,)


def test_of_a_ball_in_the_air_nobody_can_tell_which_channel_is_flipped() -> None:
    assert set(_faults("normal", mend(_sphere(), NORMAL, ["flip_red"])[0])) == {"flip_red", "flip_green"}


def _has_relief(image: Image) -> bool:
    """Round things in it: from flat ones nobody could tell."""
    return len(np.unique(image.reshape(-1, 3), axis=0)) > 2500


def test_labels_that_were_resized_or_compressed_are_unmixed() -> None:
    true = _labels()
    mixed = np.asarray(cv2.resize(cv2.resize(true, (300, 240)), (200, 160)), np.uint8)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", true, [cv2.IMWRITE_JPEG_QUALITY, 92])[1], cv2.IMREAD_COLOR)
    for wrong in (mixed, np.asarray(jpeg, np.uint8)):
        assert _faults("labels", wrong) == ["snap_palette"]
        mended = snap_palette(wrong, LABELS)
        assert (mended == true).all(axis=2).mean() > 0.85
        assert _faults("labels", mended) == []
    assert _faults("labels", true[..., ::-1]) == ["reverse_channels"]
    assert examine(LABELS, true, "Segmentation") is None


def test_a_pose_with_red_and_blue_exchanged(scenes: list[Sample]) -> None:
    people = [scene.people for scene in scenes[:12] if scene.people]
    assert len(people) > 3
    for found in people:
        true = draw_pose(found, 192, 192)
        assert examine(POSE, true, "OpenPose") is None
        assert _faults("pose", true[..., ::-1]) == ["reverse_channels"]


def test_dark_lines_on_white_are_inverted(photos: dict[str, Image]) -> None:
    edges = Canny()(photos["coffee"])
    assert _faults("lines", 255 - edges) == ["invert"]
    assert np.array_equal(mend(255 - edges, LINES, ["invert"])[0], edges)


def test_a_photo_has_nothing_to_mend(photos: dict[str, Image]) -> None:
    for kind in ("lines", "normal", "labels", "pose"):
        found = examine(KINDS[kind], photos["coffee"], "Test")  # type: ignore[index]
        assert isinstance(found, Finding)
        assert "if it is a photo, choose an annotator" in found.sentence
        assert found.mends == ()


def test_an_unknown_mend_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="no mend 'polish'; choose from: invert, flip_red"):
        mend(np.zeros((8, 8, 3), np.uint8), LINES, ["polish"])
