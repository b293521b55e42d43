"""The report on a handful of scenes, with the shipped weights."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cnet_app.embedded.evaluate.command import report_table
from cnet_app.embedded.evaluate.embedded import evaluate, load_studio, mean_of, measured_rows, unit
from cnet_app.embedded.world import control_images, create_scene
from tests.source import ROOT

pytestmark = pytest.mark.slow


def test_strength_nought_is_the_bases_own_picture_bit_for_bit() -> None:
    studio = load_studio(steps=3)
    scene = create_scene(9_000_002)
    canny = control_images(scene)["canny"]
    free = studio.picture(4, scene.caption, [])
    assert np.array_equal(studio.picture(4, scene.caption, [unit("canny", canny, 0.0)]), free)
    assert not np.array_equal(studio.picture(4, scene.caption, [unit("canny", canny, 1.0)]), free)


def test_reports_every_bar() -> None:
    report = evaluate(count=4, steps=2, conditions=("canny", "depth"), photos=("coffee",))
    json.dumps(report)
    assert set(report["conditions"]) == {"canny", "depth"}
    for row in report["conditions"].values():
        assert {"judge", "limit", "free", "ours", "gap", "empty_prompt", "words"} <= set(row)
    assert set(report["words"]) == {"colour", "sky", "style"}
    assert 0 <= report["autoencoder"]["edge_f1"] <= 1
    assert set(report["strength"]) == {"0", "0.5", "1"}
    assert set(report["photos"]["canny"]) == {"ours", "free"}
    assert "| canny |" in report_table(report)


def test_means_count_every_thing_once_and_skip_what_is_not_there() -> None:
    first = {"a": {"f1": 1.0, "right": [True, False]}, "sky": []}
    second = {"a": {"f1": 0.0, "right": [True]}, "b": 2.0, "sky": [True]}
    assert mean_of([first, second]) == {"a": {"f1": 0.5, "right": pytest.approx(2 / 3)}, "b": 2.0, "sky": 1.0}


def test_every_condition_has_its_sheet() -> None:
    shown = {path.stem for path in (ROOT / "docs" / "sheets").glob("*.jpg")}
    assert shown == {row.id for row in measured_rows()} | {"pose_and_depth", "photos", "modes"}
