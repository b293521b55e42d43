"""The calls of the Train page: form, refusals at their fields, data, runs and their records."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnet_app.jobs.trainings.trainings import Trainings
from cnet_app.request.training import TRAINING_LIMITS, TrainingPlan
from cnet_app.training.run import Record, RunFolder, create_run, line
from cnet_app.training.trainable import FLOW_TRANSFORMER
from tests.jobs.test_trainings import SOON, STUB
from tests.ui.conftest import Caller, create_caller


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    """A browser whose trainings are run by the stub."""
    for made in create_caller(tmp_path):
        trainings = Trainings(made.context.settings, lambda: False, STUB)
        yield Caller(replace(made.context, trainings=trainings), made.engine, made.folder)
        trainings.close()


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Three pairs, the last without its map."""
    folder = tmp_path / "pairs"
    for name, count in (("images", 3), ("conditioning_images", 2)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(np.full((64, 96, 3), 80 * number, np.uint8)).save(folder / name / f"{number}.png")
    return folder


def wait(caller: Caller, call: str, name: str, status: str) -> dict[str, Any]:
    ends = time.monotonic() + SOON
    while True:
        answer = caller("data_state")["work"] if call == "data" else caller("follow_training", name=name)
        now = answer["status"] if call == "data" else answer["training"]["standing"]
        if now == status:
            return answer
        assert time.monotonic() < ends, answer
        time.sleep(0.05)


def test_the_form_is_declared_and_suggested_for_the_base(caller: Caller) -> None:
    form = caller("training_form", base="embedded")
    assert set(form["numbers"]) == set(TRAINING_LIMITS)
    assert form["numbers"]["size"]["maximum"] == TRAINING_LIMITS["size"].maximum
    assert set(form["front"]) <= set(form["numbers"])
    TrainingPlan(name="a", condition="canny", data="d", **form["suggested"])
    assert caller("training_form", base="sd15")["suggested"] == {"size": 512}


def test_the_form_has_only_what_the_base_can_be_trained_with(caller: Caller) -> None:
    form = caller("training_form", base="sd3")
    assert set(TRAINING_LIMITS) - set(form["numbers"]) == set(FLOW_TRANSFORMER) & set(TRAINING_LIMITS)
    assert "only_mid_control" not in form["switches"] and set(form["fixed"]) == set(FLOW_TRANSFORMER)
    assert (form["refused"], form["suggested"]) == ("", {"size": 1024})
    fields = {*form["numbers"], *form["switches"], "data", "validation"}
    assert set(form["changeable"]) <= fields and "learning_rate" in form["changeable"]
    assert caller("training_form", base="embedded")["fixed"] == []
    assert "ControlNets of FLUX.1 are not trained by this app" in caller("training_form", base="flux")["refused"]


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"steps": 0}, "steps", "“Steps” is 0, but it must be from 1 to 10000000."),
        ({"name": "a/b"}, "name", "“Name” is 'a/b', but it must be 1 to 64 letters"),
        ({"condition": "cany"}, "condition", "did you mean canny?"),
        ({"patience": 2, "probe_every": 0}, "patience", "needs the probes"),
        ({"speed": 2}, None, "speed"),
        ({"base": "flux"}, None, "are not trained by this app"),
        ({}, None, "There is no data folder"),
    ],
)
def test_a_refused_plan_names_its_field(
    caller: Caller, changes: dict[str, Any], field: str | None, sentence: str
) -> None:
    answer = caller("start_training", plan={"name": "one", "condition": "canny", "data": "d", **changes})
    assert answer["refused"]["field"] == field
    assert sentence in answer["refused"]["message"]


def test_a_training_is_started_followed_and_tried(caller: Caller, pairs: Path) -> None:
    plan = {"name": "one", "condition": "canny", "data": str(pairs), "steps": 4, "caption": "", "vae": "", "probes": 1}
    assert caller("start_training", plan=plan) == {"name": "one"}
    taken = caller("start_training", plan=plan)["refused"]
    assert taken["field"] is None and "one training runs at a time" in taken["message"]
    ended = wait(caller, "run", "one", "done")
    assert [one["step"] for one in ended["records"] if one["kind"] == "step"] == [1, 2, 3, 4]
    assert (ended["training"]["step"], ended["training"]["steps"]) == (4, 4)
    again = caller("follow_training", name="one", byte=ended["byte"])
    assert (again["records"], again["byte"]) == ([], ended["byte"])
    assert caller("try_training", name="one") == {
        "controlnet": "one", "step": 4, "condition": "canny", "base": "embedded",
    }  # fmt: skip
    assert [run["name"] for run in caller("trainings")["trainings"]] == ["one"]
    assert "is_busy" in caller("trainings")["trainings"][0]
    assert caller("try_training", name="one", best=True)["step"] == ended["training"]["best_checkpoint"] == 4
    assert "steps" in caller("training_form", base="embedded")["changeable"]
    refused = caller("resume_training", name="one", changes={"learning_rate": 2})["refused"]
    assert refused["field"] == "learning_rate" and "Learning rate" in refused["message"]
    assert caller("resume_training", name="one", changes={"steps": 6}) == {}
    assert wait(caller, "run", "one", "done")["training"]["step"] == 6
    assert caller("delete_training", name="one") == {}
    assert "There is no training 'one'" in caller("resume_training", name="one")["error"]


def test_an_unlocked_training_is_tried_on_its_own_base(
    caller: Caller, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path / "models"))
    plan = {"name": "one", "condition": "canny", "data": str(pairs), "steps": 4, "unlock_after": 1, "probe_every": 0}
    assert caller("start_training", plan=plan) == {"name": "one"}
    wait(caller, "run", "one", "done")
    assert caller("try_training", name="one")["base"] == "embedded"
    folder = tmp_path / "models" / "checkpoints" / "one-base"
    (folder / "unet").mkdir(parents=True)
    for path in (folder / "model_index.json", folder / "unet" / "diffusion_pytorch_model.safetensors"):
        path.write_text("{}")
    assert caller("try_training", name="one")["base"] == "one-base"


def test_samples_are_files_of_the_page(caller: Caller) -> None:
    run = create_run(caller.context.trainings.folder, TrainingPlan(name="one", condition="canny", data="d", probes=2))
    (run.path / "probes").mkdir()
    run.samples.mkdir()
    for path in (run.path / "probes" / "0.png", run.samples / "step-000000-0.png"):
        Image.new("RGB", (8, 8)).save(path)
    pictures = ["samples/step-000000-0.png", "samples/gone.png"]
    log(run, Record(kind="probe", step=0, time=1.0, values={"scores": [0.5], "score": 0.5, "pictures": pictures}))
    answer = caller("follow_training", name="one", byte=0)
    shown, gone = answer["records"][0]["values"]["pictures"]
    assert Path(shown) == run.samples.resolve() / "step-000000-0.png" and gone is None
    assert [Path(path).name if path else None for path in answer["probes"]] == ["0.png", None]
    assert answer["training"]["standing"] == "new" and answer["training"]["score"] == 0.5


def log(run: RunFolder, *records: Record) -> None:
    run.log.write_text("".join(map(line, records)))


def test_a_folder_is_described_with_its_first_pairs(caller: Caller, pairs: Path, tmp_path: Path) -> None:
    found = caller("find_data", path=f" {pairs} ")
    assert (found["pictures"], found["pairs"], found["condition"], found["captions"]) == (3, 2, None, 0)
    assert found["form"].startswith("folders images and conditioning_images")
    assert [bool(pair["control"]) for pair in found["first"]] == [True, True, False]
    assert found["first"][0]["image"].startswith("data:image/png;base64,")
    alone = caller("find_data", path=str(pairs / "images"))
    assert (alone["pictures"], alone["pairs"], alone["form"]) == (3, 0, "a folder of pictures, to build maps for")
    assert "No folder is given" in caller("find_data", path=" ")["error"]
    assert "There is no folder '/nowhere'" in caller("find_data", path="/nowhere")["error"]
    (tmp_path / "empty").mkdir()
    assert "none of the forms of a data set" in caller("find_data", path=str(tmp_path / "empty"))["error"]


def test_data_are_built_and_checked(caller: Caller, pairs: Path) -> None:
    inside = caller(
        "build_data", images=str(pairs / "images"), condition="canny", size=64, output=str(pairs / "images/o")
    )
    assert "give a folder outside of" in inside["error"]
    answer = caller("build_data", images=str(pairs / "images"), condition="canny", size=64)
    assert answer["output"] == str(caller.context.settings.output_dir.resolve() / "training-data" / "images-canny")
    built = wait(caller, "data", "", "done")
    assert (built["kind"], built["pairs"], built["data"]) == ("build", 3, answer["output"])
    assert caller("check_data", data=str(pairs), condition="canny", size=64) == {}
    checked = wait(caller, "data", "", "done")
    assert checked["problems"] == [
        {"kind": "blank", "title": "maps of one colour", "count": 30, "messages": ["a is blank."] * 20}
    ]
    assert caller("cancel_data") == {}
    assert (
        "but it must be from 64 to 2048 px" in caller("check_data", data=str(pairs), condition="canny", size=3)["error"]
    )


def test_a_real_check_finds_what_is_wrong(caller: Caller, pairs: Path) -> None:
    trainings = Trainings(caller.context.settings, lambda: False, (sys.executable, "-m", "cnet_app"))
    real = Caller(replace(caller.context, trainings=trainings), caller.engine, caller.folder)
    real("check_data", data=str(pairs), validation=str(pairs), condition="canny", size=64)
    checked = wait(real, "data", "", "done")
    kinds = {row["kind"]: row for row in checked["problems"]}
    assert {"missing", "blank", "leak"} <= set(kinds)
    assert "There is no folder" in real("check_data", data=str(pairs), validation="/no", condition="canny")["error"]
    assert checked["sheet"] and Path(checked["sheet"]).is_file()
