"""Data sets built from pictures alone: resumable, never mixed, and read back as what they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from annotators.base import create
from annotators.canny import Canny
from annotators.maps.control_map import DataAnnotator
from annotators.people.poses import Person, Pose
from annotators.registry import ANNOTATORS, annotator
from annotators.runtime import Runtime
from annotators.sources.images import load_image
from cnet_app.maps.availability import can_run
from cnet_app.registry.conditions import CONDITIONS, condition
from cnet_app.training.data import build
from cnet_app.training.data.build import BuildPlan, Built, build_data
from cnet_app.training.data.doctor import check_data
from cnet_app.training.data.pairs import read_control, read_control_data, read_image
from cnet_app.training.data.readers import read_data
from models.errors import InputError, SaveError
from tests.training.data.folders import picture_bytes, write

PLAN = BuildPlan(condition="canny", annotator="canny", parameters={}, size=64)


def changed(changes: dict[str, Any]) -> BuildPlan:
    return replace(PLAN, **changes)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    files = {"a.png": picture_bytes(1, 96), "sub/b.jpg": picture_bytes(2, 128, "JPEG"), "sub__b.png": picture_bytes(3, 64), "a.txt": "a ball"}  # fmt: skip
    return write(tmp_path / "pictures", files)


def run(pictures: Path, output: Path, plan: BuildPlan = PLAN) -> list[Built]:
    told: list[Built] = []
    assert build_data(read_data(pictures).pairs, plan, output, Runtime(), told.append) == sum(not one.left_out for one in told)  # fmt: skip
    return told


def test_pairs_are_built_at_their_size_and_read_back(pictures: Path, tmp_path: Path) -> None:
    told = run(pictures, tmp_path / "data", changed({"caption": "else", "parameters": {"low_threshold": 80}}))  # fmt: skip
    assert [(one.name, one.done, one.total, one.left_out) for one in told] == [("a", 1, 3, ""), ("sub/b", 2, 3, ""), ("sub__b", 3, 3, "")]  # fmt: skip
    data = read_data(tmp_path / "data")
    assert (data.form, data.annotator, data.annotator_parameters["low_threshold"]) == ("metadata", "canny", 80)
    assert [pair.caption for pair in data.pairs] == ["a ball", "else", "else"]
    for pair in data.pairs:
        image = read_image(pair)
        assert image.shape == (64, 64, 3)
        made = Canny(low_threshold=80, high_threshold=data.annotator_parameters["high_threshold"])(image)  # pyright: ignore[reportArgumentType]
        assert np.array_equal(read_control(pair, condition("canny").kind), made)
    assert not check_data(data, "canny", size=64)


def test_a_build_goes_on_where_it_was_interrupted(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    real = build.encode_png

    def interrupt(pixels: Any) -> bytes:
        made.append("")
        if len(made) == 4:  # the map of the second picture
            raise KeyboardInterrupt
        return real(pixels)

    monkeypatch.setattr(build, "encode_png", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(pictures, tmp_path / "data")
    first = tmp_path / "data" / "conditioning_images" / "a.png"
    stamp = first.stat().st_mtime_ns
    run(pictures, tmp_path / "data")
    assert len(made) == 4 + 4 and first.stat().st_mtime_ns == stamp
    assert len(read_data(tmp_path / "data").pairs) == 3
    write(pictures, {"a.txt": "another ball"})
    run(pictures, tmp_path / "data")
    assert len(made) == 8 and read_data(tmp_path / "data").pairs[0].caption == "another ball"
    assert (tmp_path / "data" / "images" / "a.txt").read_text() == "another ball"
    assert not list((tmp_path / "data").rglob("*.part"))


def test_maps_of_two_kinds_are_never_mixed(pictures: Path, tmp_path: Path) -> None:
    run(pictures, tmp_path / "data")
    for changes in ({"size": 128}, {"parameters": {"low_threshold": 99}}, {"keeps_aspect": False}):
        with pytest.raises(InputError, match="holds maps that were built with other settings .* give another --output"):
            run(pictures, tmp_path / "data", changed(changes))


def test_what_teaches_nothing_is_left_out_and_told(tmp_path: Path) -> None:
    plain = np.full((64, 64, 3), 90, np.uint8)
    files = {"broken.png": b"no picture", "good.png": picture_bytes(1, 64), "plain.png": cv2.imencode(".png", plain)[1].tobytes()}  # fmt: skip
    told = run(write(tmp_path / "pictures", files), tmp_path / "data")
    assert [bool(one.left_out) for one in told] == [True, False, True]
    assert "broken.png" in told[0].left_out and told[2].left_out.startswith("plain.png: No edges were found")
    assert [path.name for path in sorted((tmp_path / "data" / "images").iterdir())] == ["good.png"]


@pytest.mark.parametrize(("changes", "message"), [({"annotator": "midas"}, "'midas', which makes no maps for Canny; choose one of: canny"), ({"condition": "cany"}, "no condition 'cany'"), ({"parameters": {"blur": 1}}, "blur"), ({"size": 0}, "size")])  # fmt: skip
def test_plans_that_make_no_sense(tmp_path: Path, pictures: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(pictures, tmp_path / "data", changed(changes))
    assert not (tmp_path / "data").exists()


def test_a_full_disk_keeps_what_is_there(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(pictures, tmp_path / "data")
    real = Path.write_bytes

    def no_room(path: Path, data: Any) -> int:
        if path.suffix == ".part":
            raise OSError(28, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", no_room)
    with pytest.raises(SaveError, match=r"could not be written to .* \(No space left on device\); make room, and run"):
        run(pictures, tmp_path / "data")
    assert len(read_data(tmp_path / "data").pairs) == 3


def test_people_are_kept_as_data(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = np.array([(20.0 + 2 * joint, 10.0 + 2 * joint, 1.0) for joint in range(18)])
    pose = Pose((Person(body=body),), 64, 64)
    people = annotator("openpose_embedded")
    assert issubclass(people, DataAnnotator)
    monkeypatch.setattr(people, "detect", lambda *_: pose)
    run(pictures, tmp_path / "data", BuildPlan(condition="openpose", annotator="openpose_embedded", parameters={}, size=64))  # fmt: skip
    pair = read_data(tmp_path / "data").pairs[0]
    read = Pose.from_json(read_control_data(pair))
    assert np.array_equal(read.draw(), read_control(pair, condition("openpose").kind))


def _light() -> list[Any]:
    """Conditions with annotators that have no network."""
    found = [(row.id, id) for row in CONDITIONS for id in row.annotators if not annotator(id).needs_network]
    return [pytest.param(*both, id="-".join(both)) for both in found]


@pytest.mark.parametrize(("id", "annotator_id"), _light())
def test_every_condition_by_annotators_without_a_network(tmp_path: Path, id: str, annotator_id: str) -> None:
    sheet = np.full((64, 64, 3), 230, np.uint8)
    cv2.rectangle(sheet, (12, 14), (44, 50), (30, 60, 120), -1)
    cv2.line(sheet, (5, 60), (60, 4), (20, 20, 20), 2)
    write(tmp_path / "pictures", {"a.png": cv2.imencode(".png", sheet)[1].tobytes()})
    told = run(tmp_path / "pictures", tmp_path / "data", BuildPlan(condition=id, annotator=annotator_id, parameters={}, size=64))  # fmt: skip
    assert [one.left_out for one in told] == [""]
    (pair,) = read_data(tmp_path / "data").pairs
    image = load_image(tmp_path / "data" / "images" / "a.png")
    assert np.array_equal(read_control(pair, condition(id).kind), create(annotator(annotator_id), {})(image))


@pytest.mark.slow
@pytest.mark.parametrize("id", [row.id for row in ANNOTATORS if row.id.endswith("_embedded")])
def test_annotators_of_the_embedded_model(tmp_path: Path, id: str) -> None:
    from cnet_app.embedded.world import create_scene

    if not can_run(id):
        pytest.skip("its weights are not here")
    row = next(row for row in CONDITIONS if id in row.annotators)
    seed = 56  # has a person
    data = cv2.imencode(".png", create_scene(seed, 256).image[..., ::-1])[1].tobytes()
    write(tmp_path / "pictures", {"a.png": data})
    told = run(tmp_path / "pictures", tmp_path / "data", BuildPlan(condition=row.id, annotator=id, parameters={}, size=256))  # fmt: skip
    assert [one.left_out for one in told] == [""]
    (pair,) = read_data(tmp_path / "data").pairs
    assert (json.loads((tmp_path / "data" / "data.json").read_text())["annotator"], pair.control_data is not None) == (id, issubclass(annotator(id), DataAnnotator))  # fmt: skip
