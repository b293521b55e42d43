"""What is refused before a base is loaded or downloaded, and the settings that a note names for want of effect."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnet_app.cli import main
from cnet_app.request.training import TrainingPlan
from cnet_app.training.checks import EIGHT_BIT_PACKAGE, check_plan, notes_on
from cnet_app.training.data.readers import FACTS, read_data
from cnet_app.training.trainable import FLOW_TRANSFORMER, TRAINABLES
from models.errors import InputError
from models.families import FAMILIES
from tests.source import ROOT


@pytest.fixture
def plan(tmp_path: Path) -> TrainingPlan:
    """A plan with six pairs."""
    return TrainingPlan(name="one", condition="canny", data=str(write_pairs(tmp_path / "data")), size=64)


def write_pairs(folder: Path, names: tuple[str, ...] = ("images", "conditioning_images")) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(6):
            Image.fromarray(np.full((64, 64, 3), 30 * number, np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data": "/nowhere"}, "There is no data folder /nowhere"),
        ({"validation": "/nowhere"}, "There is no data folder /nowhere"),
        ({"base": "no-such"}, "There is no base 'no-such'"),
        ({"start": "no-such"}, "There is no (?i:controlnet) 'no-such'"),
        ({"vae": "no-such"}, "There is no vae 'no-such'"),
        ({"condition": "inpaint"}, "condition is inpaint, whose maps hold a mask"),
        ({"base": "sd15_inpaint"}, "base is 'sd15_inpaint', which is for inpainting"),
        ({"size": 72}, "size is 72, but it must be a multiple of 64 px.* choose 64 or 128"),
        ({"size": 2040}, "size is 2040, .* choose 1984 or 2048"),
        ({"size": 65, "buckets": False}, "size is 65, but it must be a multiple of .* px, which the base needs"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(plan: TrainingPlan, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        check_plan(replace(plan, **changes))


@pytest.mark.parametrize("row", FAMILIES.values(), ids=lambda row: row.id)
def test_each_family_is_trained_or_refused_before_its_files_are_needed(plan: TrainingPlan, row: Any) -> None:
    if row.backbone in TRAINABLES:
        assert len(check_plan(replace(plan, base=row.id)).pairs) == 2
    else:
        with pytest.raises(InputError, match=f"ControlNets of {row.title} are not trained by this app"):
            check_plan(replace(plan, base=row.id))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"network": "light"}, "network is light, but SD 3.5 has no ControlNet besides .*; leave it at controlnet, or"),
        ({"network": "lite"}, "network is lite, but SD 3.5 has no"),
        ({"rank": 4}, "rank is 4, but SD 3.5 has no light network.*; leave it at 8, or"),
        ({"only_mid_control": True}, "only_mid_control is on, but SD 3.5 has no middle block; switch it off, or"),
        ({"unlock_after": 5}, "unlock_after is 5, but SD 3.5 has no decoder"),
        ({"unlocked_learning_rate": 1e-3}, "unlocked_learning_rate is 0.001, but SD 3.5 has no decoder"),
        ({"min_snr_gamma": 5}, "min_snr_gamma is 5.0, but SD 3.5 learns a flow"),
    ],
)
def test_a_setting_that_means_nothing_for_the_base_is_refused(
    plan: TrainingPlan, changes: dict[str, Any], sentence: str
) -> None:
    """What `fixed` of the base's kind declares; a U-Net takes each."""
    with pytest.raises(InputError, match=sentence):
        check_plan(replace(plan, base="sd3", **changes))
    assert set(changes) <= set(FLOW_TRANSFORMER) and check_plan(replace(plan, base="sd15", **changes)).pairs


def test_a_number_format_that_overflows_is_refused(plan: TrainingPlan) -> None:
    with pytest.raises(
        InputError, match="precision is float16, in which the networks of SD 3.5 overflow; choose bfloat16"
    ):
        check_plan(replace(plan, base="sd3", precision="float16"))
    assert check_plan(replace(plan, base="sd15", precision="float16")).pairs


def test_a_package_that_is_missing_is_named(plan: TrainingPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnet_app.training.checks.find_spec", lambda _: None)
    with pytest.raises(InputError, match=f"pip install {EIGHT_BIT_PACKAGE}"):
        check_plan(replace(plan, optimizer="adamw_8bit"))


def test_a_size_that_the_base_can_take_is_taken(plan: TrainingPlan) -> None:
    assert check_plan(replace(plan, size=72, buckets=False, base="sd15")).pairs


def test_maps_of_another_condition_are_refused(plan: TrainingPlan) -> None:
    (Path(plan.data) / FACTS).write_text(json.dumps({"condition": "canny"}))
    assert check_plan(plan).pairs
    with pytest.raises(InputError, match="condition is depth, but the maps of data in .* were built for canny"):
        check_plan(replace(plan, condition="depth"))


def test_pictures_without_maps_are_refused(plan: TrainingPlan, tmp_path: Path) -> None:
    alone = str(write_pairs(tmp_path / "alone", ("images",)) / "images")
    with pytest.raises(InputError, match=r"validation is .*alone/images', which has 6 pictures, but no maps"):
        check_plan(replace(plan, validation=alone))
    with pytest.raises(InputError, match="holds 6 pictures alone, without maps; build pairs from them"):
        check_plan(replace(plan, data=alone))


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"rank": 4}, "rank 4 has no effect: network is controlnet"),
        ({"unlocked_learning_rate": 1e-4}, "unlocked_learning_rate 0.0001 has no effect: unlock_after is 0"),
        ({"unlock_after": 9000}, "unlock_after is 9000, which is after the last of 4000 steps"),
        ({"lr_warmup_steps": 10}, "lr_warmup_steps 10 has no effect: lr_scheduler is constant"),
        ({"probe_every": 0, "probes": 2}, "probes 2 has no effect: probe_every is 0"),
        ({"probe_every": 0, "validation": "x"}, "validation has no effect"),
        ({"probe_every": 5000}, "looks at the probes at its begin and end alone"),
    ],
)
def test_a_setting_without_effect_is_noted(plan: TrainingPlan, changes: dict[str, Any], note: str) -> None:
    data = read_data(Path(plan.data))
    assert not list(notes_on(plan, data))
    (found,) = notes_on(replace(plan, **changes), data)
    assert note in found


def test_pictures_and_captions_that_are_not_used_are_noted(plan: TrainingPlan) -> None:
    folder = Path(plan.data)
    (folder / "conditioning_images" / "0.png").unlink()
    for number in range(6):
        (folder / "images" / f"{number}.txt").write_text("a ball")
    notes = list(notes_on(replace(plan, caption="a disc"), read_data(folder)))
    assert "caption has no effect" in notes[0] and "1 of 6 pictures have no map" in notes[1]


def test_a_refused_command_leaves_no_run(
    plan: TrainingPlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "controlnet", "--name", "a", "--condition", "canny", "--output-dir", str(tmp_path / "out")]
    assert main([*words, "--data", plan.data, "--base", "flux"]) == 2
    told = capsys.readouterr().err
    assert "are not trained by this app" in told and "GB" not in told
    assert not (tmp_path / "out" / "trainings").exists()


def test_the_checks_load_no_torch() -> None:
    code = (
        "import sys, cnet_app.training.checks; raise SystemExit('torch' in sys.modules or 'diffusers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
