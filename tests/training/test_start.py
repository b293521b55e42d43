"""A run from its plan to its ControlNet, and what ends it in a sentence."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from filelock import FileLock

from cnet_app.cli import main
from cnet_app.request.training import TrainingPlan
from cnet_app.training import start
from cnet_app.training.advice import changes_for_memory, out_of_memory
from cnet_app.training.run import RunFolder, all_runs, create_run
from cnet_app.training.start import LOCK, export_newest, run_training
from models.catalogue.local import local_files
from models.catalogue.resolve import resolve
from models.errors import InputError, OutOfMemoryError
from models.loader import load_base, load_controlnet
from models.tiny import tiny_base
from tests.training.test_loop import PLAN

CPU = torch.device("cpu")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Six discs with their edges."""
    folder = tmp_path / "data"
    rng = np.random.default_rng(0)
    for name in ("images", "conditioning_images"):
        (folder / name).mkdir(parents=True)
    for number in range(6):
        picture = np.full((64, 64, 3), 40 * number, np.uint8)
        cv2.circle(picture, (int(rng.integers(20, 44)), 32), 12, (200, 30, 90), -1)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), picture)
        cv2.imwrite(str(folder / "conditioning_images" / f"{number}.png"), cv2.Canny(picture, 100, 200))
        (folder / "images" / f"{number}.txt").write_text("a red ball", encoding="utf-8")
    return folder


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A miniature takes the embedded model's place."""
    monkeypatch.setattr(start, "load_base", lambda *_: tiny_base("embedded"))
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path / "models"))


def begin(folder: Path, data: Path, **changes: Any) -> RunFolder:
    run = RunFolder(folder / "trainings" / "mine")
    run.write_plan(replace(PLAN, name="mine", data=str(data), steps=2, batch_size=1, **changes))
    return run


@pytest.mark.usefixtures("tiny")
def test_a_run_ends_with_a_controlnet_that_loads(tmp_path: Path, pairs: Path) -> None:
    run = begin(tmp_path, pairs, probe_every=1, probes=2, probe_steps=2)
    assert run.standing() == "new"
    assert run_training(run, CPU) == "done"
    kinds = [record.kind for record in run.records()[0]]
    assert kinds.count("probe") == 3 and {"estimate", "checkpoint", "exported", "step"} <= set(kinds)
    estimate = next(record.values for record in run.records()[0] if record.kind == "estimate")
    parts = estimate["memory_mb"]
    assert parts["total"] >= sum(size for name, size in parts.items() if name != "total") - 3
    assert estimate["seconds"]["step"] > 0
    assert run.standing() == "done" and [one.name for one in all_runs(run.path.parent)] == ["mine"]
    assert (run.samples / "step-000002-1.png").is_file()
    made: Any = load_controlnet("mine", "embedded")
    assert made.config["in_channels"] == 16
    card = (tmp_path / "models" / "controlnets" / "mine" / "README.md").read_text(encoding="utf-8")
    assert "Agreement with 2 held-out maps" in card
    with pytest.raises(InputError, match="There is a training 'mine'"):
        create_run(run.path.parent, run.plan())


@pytest.mark.usefixtures("tiny")
def test_the_base_of_an_unlocked_decoder_is_found_by_its_name(tmp_path: Path, pairs: Path) -> None:
    run = begin(tmp_path, pairs, unlock_after=1, unlocked_learning_rate=1e-2, probe_every=0)
    assert run_training(run, CPU) == "done"
    folder = tmp_path / "models" / "checkpoints" / "mine-base"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["mine-base"]
    assert [path.name for path in (tmp_path / "models" / "controlnets").iterdir()] == ["mine"]
    (file,) = [file for file in local_files("base") if file.name == "mine-base"]
    assert file.family == "embedded" and file.size > 0 and file.tensors.parent.name == "unet"
    found = resolve("mine-base", "base")
    assert (found.path, found.family) == (folder, "embedded")
    base, locked = load_base("mine-base").network.state_dict(), tiny_base("embedded").network.state_dict()
    assert any(name.startswith("up_blocks") and (base[name] - locked[name]).abs().max() > 1e-3 for name in base)
    exported = next(record.values for record in run.records()[0] if record.kind == "exported")
    assert exported["base"] == str(folder)
    assert export_newest(run, CPU)[0] == 2


@pytest.mark.usefixtures("tiny")
def test_what_of_the_data_is_not_used_is_noted(tmp_path: Path, pairs: Path) -> None:
    rows = [
        {"image": f"images/{n}.png", "conditioning_image": f"conditioning_images/{n if n else 'x'}.png"}
        for n in range(5)
    ]
    lines = [*map(json.dumps, rows), "{", "[]", "3"]
    (pairs / "metadata.jsonl").write_text("\n".join(lines))
    (pairs / "data.json").write_text('{"condition": "depth"}')
    run = begin(tmp_path, pairs, caption="a ball", probe_every=0)
    assert run_training(run, CPU) == "done"
    first, second = [record.values["message"] for record in run.records()[0] if record.kind == "note"]
    assert first.startswith(
        f"4 parts of {pairs} cannot be used; data check has the whole list. metadata.jsonl, line 1 "
    )
    assert "metadata.jsonl, line 6 is no JSON object" in first and first.endswith("And 1 more.")
    assert "was built for Depth, and the training is for Canny" in second
    (pairs / "images" / "3.png").write_bytes(b"no picture")
    with pytest.raises(InputError) as told:
        run_training(begin(tmp_path / "other", pairs, caption="a ball", probe_every=0), CPU)
    assert str(told.value).startswith(f"{pairs}/images/3.png (metadata.jsonl, line 4) ")


@pytest.mark.usefixtures("tiny")
def test_steps_keep_the_memory_that_they_free(tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[bool] = []

    @contextmanager
    def keep_freed() -> Generator[None]:
        inside.append(True)
        yield
        inside.append(False)

    def train(loop: Any) -> str:
        assert inside == [True]
        return "stopped"

    monkeypatch.setattr(start, "keep_freed", keep_freed)
    monkeypatch.setattr(start.Loop, "train", train)
    assert run_training(begin(tmp_path, pairs), CPU) == "stopped"
    assert inside == [True, False]


@pytest.mark.usefixtures("tiny")
def test_a_second_training_on_the_machine_is_refused(tmp_path: Path, pairs: Path) -> None:
    run = begin(tmp_path, pairs)
    with FileLock(run.path.parent / LOCK), pytest.raises(InputError, match="Another training runs"):
        run_training(run, CPU)


@pytest.mark.usefixtures("tiny")
def test_where_memory_runs_out_the_changes_are_ranked(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(start.Loop, "train", run_out)
    run = begin(tmp_path, pairs)
    with pytest.raises(OutOfMemoryError, match=r"too small for this training\. .* 1\. gradient_checkpointing on"):
        run_training(run, CPU)
    assert run.standing() == "failed"


@pytest.mark.usefixtures("tiny")
def test_without_memory_for_the_probes_the_training_goes_on(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("cnet_app.training.probes.Probes.look", run_out)
    run = begin(tmp_path, pairs, probe_every=1, probes=1)
    assert run_training(run, CPU) == "done"
    notes = [record.values["message"] for record in run.records()[0] if record.kind == "note"]
    assert len(notes) == 3 and all("left out; lower probes or size" in note for note in notes)


def test_advice_names_what_the_plan_leaves_with_numbers() -> None:
    plan = TrainingPlan(name="a", condition="canny", data="x", batch_size=4, ema_decay=0.9)
    changes = changes_for_memory(plan, torch.device("cuda"))
    assert [change.split()[0] for change in changes] == [
        "gradient_checkpointing", "batch_size", "precision", "optimizer", "ema_decay", "network", "size",
    ]  # fmt: skip
    assert "gradient_accumulation 2" in changes[1] and "56%" in changes[-1]
    least = replace(plan, batch_size=1, ema_decay=0.0, gradient_checkpointing=True, network="light", size=64)
    assert changes_for_memory(least, CPU) == ["choose a smaller base, or a device with more memory"]
    assert out_of_memory(plan, CPU).count(".") >= 3


def test_every_bad_input_of_the_command_is_one_sentence(
    tmp_path: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["train", "controlnet", "--name", "a", "--condition", "canny", "--output-dir", str(tmp_path / "out")]
    cases = {
        ("--data", str(tmp_path / "nothing")): "There is no data folder",
        ("--data", str(pairs), "--batch-size", "0"): "batch_size is 0",
        ("--data", str(pairs), "--base", "no-such-base"): "no-such-base",
        ("--data", str(pairs), "--start", "x", "--network", "light"): "a light network begins from the base",
    }
    for number, (flags, sentence) in enumerate(cases.items()):
        words = [*common, *flags]
        words[3] = f"a{number}"
        assert main(words) == 2
        told = capsys.readouterr().err.strip()
        assert sentence in told and "Traceback" not in told
    assert main(["train", "stop", "nobody", "--output-dir", str(tmp_path / "out")]) == 2
    assert "There is no training 'nobody'" in capsys.readouterr().err
