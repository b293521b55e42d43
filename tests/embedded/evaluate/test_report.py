"""The report on a handful of scenes, with the shipped weights."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnet_app.embedded.evaluate.command import report_table
from cnet_app.embedded.evaluate.conditions import measured_rows
from cnet_app.embedded.evaluate.embedded import evaluate, load_model, mean_of, split, unit
from cnet_app.embedded.world import control_images, create_scene
from tests.source import ROOT


@pytest.mark.slow
def test_strength_nought_is_the_bases_own_picture_bit_for_bit() -> None:
    model = load_model(steps=3)
    scene = create_scene(9_000_002)
    canny = control_images(scene)["canny"]
    free = model.picture(4, scene.caption, [])
    assert np.array_equal(model.picture(4, scene.caption, [unit("canny", canny, 0.0)]), free)
    assert not np.array_equal(model.picture(4, scene.caption, [unit("canny", canny, 1.0)]), free)


@pytest.mark.slow
def test_reports_every_figure_and_control_helps() -> None:
    report = evaluate(count=2, size=128, steps=4, conditions=("canny", "depth"), photos=("coffee",), references=24)
    json.dumps(report)
    assert set(report["conditions"]) == {"canny", "depth"}
    for row in report["conditions"].values():
        assert {"judge", "limit", "free", "ours", "gap", "empty_prompt", "words"} <= set(row)
        assert row["scenes"] == 2
        assert row["gap"] == pytest.approx((row["ours"] - row["free"]) / (row["limit"] - row["free"]))
    canny, depth = report["conditions"]["canny"], report["conditions"]["depth"]
    assert canny["judge"] == 1.0
    assert canny["judge"] >= canny["limit"] > canny["ours"] > canny["free"] + 0.1
    assert depth["ours"] < depth["free"]
    assert report["autoencoder"]["edge_f1"] == pytest.approx(canny["limit"])
    assert report["autoencoder"]["psnr"] > 25
    assert (report["strength"]["0"], report["strength"]["1"]) == (canny["free"], canny["ours"])
    assert report["photos"]["canny"]["ours"] > report["photos"]["canny"]["free"]
    assert f"| canny | 2 | edge_f1 | {canny['judge']:.3f} |" in report_table(report)


@pytest.mark.parametrize(("count", "photos", "workers", "parts"), [(7, "ab", 3, 3), (1, "", 4, 1), (2, "abc", 9, 3)])
def test_processes_share_all_scenes_and_photos(count: int, photos: str, workers: int, parts: int) -> None:
    found = split(count, list(photos), workers)
    assert len(found) == parts
    assert sorted(number for part in found for number in part.scenes) == list(range(count))
    assert sorted(photo for part in found for photo in part.photos) == list(photos)
    assert max(len(part.scenes) for part in found) - min(len(part.scenes) for part in found) <= 1


def test_means_count_every_thing_once_and_skip_what_is_not_there() -> None:
    first = {"a": {"f1": 1.0, "right": [True, False]}, "sky": []}
    second = {"a": {"f1": 0.0, "right": [True]}, "b": 2.0, "sky": [True]}
    assert mean_of([first, second]) == {"a": {"f1": 0.5, "right": pytest.approx(2 / 3)}, "b": 2.0, "sky": 1.0}


def test_every_condition_has_its_sheet() -> None:
    shown = {path.stem for path in (ROOT / "docs" / "sheets").glob("*.jpg")}
    assert shown == {row.id for row in measured_rows()} | {"pose_and_depth", "photos", "modes"}
