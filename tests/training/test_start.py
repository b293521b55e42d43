"""A run from its plan to its ControlNet, and what ends it in a sentence."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from filelock import FileLock
from safetensors.torch import load_file

from cnet_app.cli import main
from cnet_app.request.training import TrainingPlan
from cnet_app.training import start
from cnet_app.training.memory.advice import changes_for_memory, out_of_memory
from cnet_app.training.monitoring.curves import Story, duration_words, estimate_words
from cnet_app.training.monitoring.probes import Look
from cnet_app.training.run import RunFolder, all_runs, create_run
from cnet_app.training.start import LOCK, run_training
from cnet_app.training.storage import checkpoints
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
    assert estimate["seconds"]["step"] > 0 and parts["process"] > 50  # with torch in it
    words = estimate_words(estimate)
    assert f"about {parts['total']:,} MB of memory (" in words and f"the process itself {parts['process']:,})" in words
    assert "minutes" not in words and "second" in words
    assert run.standing() == "done" and [one.name for one in all_runs(run.path.parent)] == ["mine"]
    assert (run.samples / "step-000002-1.png").is_file()
    made: Any = load_controlnet("mine", "embedded")
    assert made.config["in_channels"] == 16
    card = (tmp_path / "models" / "controlnets" / "mine" / "README.md").read_text(encoding="utf-8")
    assert "Agreement with 2 held-out maps" in card
    with pytest.raises(InputError, match="There is a training 'mine'"):
        create_run(run.path.parent, run.plan())


@pytest.mark.usefixtures("tiny")
def test_a_training_replaces_its_own_controlnet_and_no_other_folder(tmp_path: Path, pairs: Path) -> None:
    folder, base = (tmp_path / "models" / name for name in ("controlnets/mine", "checkpoints/mine-base"))
    run = begin(tmp_path, pairs, unlock_after=1)
    run_training(run, CPU)
    assert folder.is_dir() and base.is_dir()
    run.write_plan(replace(run.plan(), steps=3))
    assert run_training(run, CPU) == "done"
    assert json.loads((folder / "training_plan.json").read_text())["steps"] == 3
    with pytest.raises(InputError, match=r"mine is there already, .* another name"):
        create_run(tmp_path / "elsewhere", run.plan())
    other = begin(tmp_path / "elsewhere", pairs)  # as if it had been begun before the first one wrote its ControlNet
    with pytest.raises(InputError, match="did not make it"):
        run_training(other, CPU)
    for own in (folder, base):
        shutil.rmtree(own)
        own.mkdir()
        (own / "notes.txt").write_text("a download", encoding="utf-8")
        with pytest.raises(InputError, match="did not make it"):
            run_training(run, CPU)
        with pytest.raises(InputError, match="did not make it"):
            start.export_checkpoint(run, CPU)
        with pytest.raises(InputError, match="did not make it"):
            create_run(tmp_path / "new", run.plan())
        assert [path.name for path in own.iterdir()] == ["notes.txt"]
        shutil.rmtree(own)


def test_a_name_of_the_catalogue_is_refused_for_a_training(tmp_path: Path) -> None:
    for name in ("embedded_canny", "sd15"):
        with pytest.raises(InputError, match=f"name is '{name}', which is an id of the catalogue"):
            create_run(tmp_path, replace(PLAN, name=name))
    assert not list(tmp_path.iterdir())


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
    assert start.export_checkpoint(run, CPU)[0] == 2


@pytest.mark.usefixtures("tiny")
def test_what_of_the_data_is_not_used_is_noted(tmp_path: Path, pairs: Path) -> None:
    rows = [
        {"image": f"images/{n}.png", "conditioning_image": f"conditioning_images/{n if n else 'x'}.png"}
        for n in range(5)
    ]
    lines = [*map(json.dumps, rows), "{", "[]", "3"]
    (pairs / "metadata.jsonl").write_text("\n".join(lines))
    run = begin(tmp_path, pairs, caption="a ball", probe_every=0)
    assert run_training(run, CPU) == "done"
    notes = [record.values["message"] for record in run.records()[0] if record.kind == "note"]
    first = next(note for note in notes if "cannot be used" in note)
    assert first.startswith(
        f"4 parts of {pairs} cannot be used; data check has the whole list. metadata.jsonl, line 1 "
    )
    assert "metadata.jsonl, line 6 is no JSON object" in first and first.endswith("And 1 more.")
    (pairs / "images" / "3.png").write_bytes(b"no picture")
    shutil.rmtree(tmp_path / "models" / "controlnets" / "mine")
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

    monkeypatch.setattr("cnet_app.training.monitoring.probes.Probes.look", run_out)
    run = begin(tmp_path, pairs, probe_every=1, probes=1)
    assert run_training(run, CPU) == "done"
    notes = [record.values["message"] for record in run.records()[0] if record.kind == "note"]
    assert len(notes) == 3 and all("left out; resume with probe_every 0" in note for note in notes)


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


@pytest.mark.usefixtures("tiny")
def test_ctrl_c_pauses_and_the_command_to_resume_is_printed(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    update = start.Loop.update

    def press(loop: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        update(loop)

    run = begin(tmp_path, pairs)
    words = ["train", "resume", "mine", "--output-dir", str(tmp_path), "--device", "cpu"]
    monkeypatch.setattr(start.Loop, "update", press)
    assert main(words) == 0
    resume = f"python -m cnet_app train resume mine --output-dir {tmp_path}"
    assert f"mine: paused. Go on with: {resume}\n" in capsys.readouterr().out
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-000001"]

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(start, "load_base", stop)
    assert main(words) == 1
    assert capsys.readouterr().err == f"Stopped. Go on with: {resume}\n"


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


@pytest.mark.usefixtures("tiny")
def test_a_run_without_a_step_gives_its_name_to_a_corrected_plan(tmp_path: Path, pairs: Path) -> None:
    run = begin(tmp_path, tmp_path / "wrong")
    with pytest.raises(InputError, match="There is no data folder"):
        run_training(run, CPU)
    corrected = create_run(run.path.parent, replace(run.plan(), data=str(pairs)))
    assert corrected.standing() == "new"
    assert run_training(corrected, CPU) == "done"
    with pytest.raises(InputError, match="There is a training 'mine' .* already"):
        create_run(run.path.parent, run.plan())


@pytest.mark.usefixtures("tiny")
def test_a_failing_command_prints_its_sentence_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = begin(tmp_path, tmp_path / "wrong")
    assert main(["train", "resume", "mine", "--device", "cpu", "--output-dir", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert (told.out + told.err).count("There is no data folder") == 1 and run.path.is_dir()


def test_damaged_runs_are_listed_and_deleted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--output-dir", str(tmp_path)]
    for name in ("whole", "torn"):
        create_run(tmp_path / "trainings", replace(PLAN, name=name))
    (tmp_path / "trainings" / "torn" / "plan.json").write_text('{"name": ')
    assert not main(["train", "list", *words])
    listed = capsys.readouterr().out
    assert "whole: new, step 0 of 6" in listed
    assert "torn: damaged, step 0. The plan" in listed and str(tmp_path / "trainings" / "torn" / "plan.json") in listed
    assert not main(["train", "delete", "torn", *words])
    assert "torn is deleted" in capsys.readouterr().out
    assert [run.name for run in all_runs(tmp_path / "trainings")] == ["whole"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 seconds"), (1, "1 second"), (12.4, "12 seconds"), (600, "10 minutes"), (9000, "2 h 30 min")],
)
def test_a_duration_has_the_unit_that_fits_it(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words


@pytest.mark.usefixtures("tiny")
def test_a_run_past_its_last_step_takes_no_time(tmp_path: Path, pairs: Path) -> None:
    run = begin(tmp_path, pairs)
    run_training(run, CPU)
    run.write_plan(replace(run.plan(), steps=1))
    run_training(run, CPU)
    estimates = [record.values["seconds"]["total"] for record in run.records()[0] if record.kind == "estimate"]
    assert len(estimates) == 2 and estimates[1] == 0


@pytest.mark.usefixtures("tiny")
def test_resume_takes_changes_from_the_command_line(
    tmp_path: Path, pairs: Path, request: pytest.FixtureRequest
) -> None:
    run = begin(tmp_path, pairs)
    run_training(run, CPU)
    AcceleratorState._reset_state()  # a process of its own resumes a run
    request.addfinalizer(AcceleratorState._reset_state)
    pairs.rename(tmp_path / "moved")
    words = [
        "train",
        "resume",
        "mine",
        "--device",
        "cpu",
        "--output-dir",
        str(tmp_path),
        "--data",
        str(tmp_path / "moved"),
    ]
    assert (
        main([*words, "--steps", "3", "--learning-rate", "1e-5", "--gradient-checkpointing", "--precision", "bfloat16"])
        == 0
    )
    (note,) = [record.values["message"] for record in run.records()[0] if record.kind == "note"]
    assert note.startswith("Resumed at step 2 with changes: data was ")
    assert "learning_rate was 0.001 and is 1e-05" in note and "precision was float32 and is bfloat16" in note
    plan = run.plan()
    assert (plan.steps, plan.learning_rate, plan.gradient_checkpointing) == (3, 1e-5, True)
    assert run.standing() == "done"


def test_advice_is_split_by_what_a_resumed_run_may_change() -> None:
    plan = TrainingPlan(name="a", condition="canny", data="x", batch_size=4, ema_decay=0.9)
    first, _, second = out_of_memory(plan, CPU).partition("Or begin a new training")
    assert "`train resume a`" in first and "1. gradient_checkpointing on" in first and "3. ema_decay 0" in first
    assert "network light" in second and "size 384" in second and "network" not in first


@pytest.mark.usefixtures("tiny")
def test_early_stopping_exports_the_best_and_any_checkpoint_can_be_exported(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = iter((0.1, 0.2, 0.6, 0.5, 0.4))
    monkeypatch.setattr("cnet_app.training.monitoring.probes.Probes.look", lambda *_: Look((), (next(scores),)))
    run = begin(tmp_path, pairs, probe_every=1, probes=1, patience=2, checkpoint_every=100)
    run.write_plan(replace(run.plan(), steps=9))
    assert run_training(run, CPU) == "done"
    assert checkpoints.steps(run.checkpoints) == [2, 4]
    story = Story()
    story.add(run.records()[0])
    assert story.best_checkpoint == 2 and story.exported and story.exported.step == 2
    exported = load_file(tmp_path / "models" / "controlnets" / "mine" / "mine.safetensors")
    words = ["train", "export", "mine", "--device", "cpu", "--output-dir", str(tmp_path), "--checkpoint"]
    for which, step, is_same in (("4", 4, False), ("best", 2, True), ("newest", 4, False)):
        assert not main([*words, which])
        assert f"Wrote step {step} of mine" in capsys.readouterr().out
        now = load_file(tmp_path / "models" / "controlnets" / "mine" / "mine.safetensors")
        assert all(torch.equal(now[name], value) for name, value in exported.items()) == is_same
    assert main([*words, "3"]) == 2
    assert "checkpoint is '3', but it must be newest, best, or one of the steps 2, 4" in capsys.readouterr().err
