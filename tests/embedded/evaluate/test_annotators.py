"""The annotators' report on two scenes, with the shipped weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnet_app.cli import main
from cnet_app.embedded.evaluate.annotators import annotators_table, evaluate_annotators

pytestmark = pytest.mark.slow


def test_all_that_ships_is_held_against_the_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))  # nothing is downloaded
    rows = {(row["annotator"], row["measure"]): row["score"] for row in evaluate_annotators(count=4)}
    assert rows["depth_embedded", "RMSE"] < 0.1
    assert rows["normal_embedded", "mean angle (degrees)"] < 25
    assert rows["normal_from_depth", "mean angle (degrees)"] < 25
    assert rows["segmentation_embedded", "mIoU"] > 0.8
    assert rows["openpose_embedded", "PCK"] > 0.5
    assert rows["softedge_embedded", "MS-SSIM"] > 0.8
    assert rows["softedge_embedded", "edge F1 (2 px)"] > 0.9


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    assert main(["evaluate", "annotators", "--count", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert "| depth | depth_embedded | 1 | RMSE |" in annotators_table(rows)
