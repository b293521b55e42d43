"""The loop: exact resuming, the wishes of others, numbers that are not finite, and several processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from cnet_app.request.training import TrainingPlan, changed
from cnet_app.training import signals
from cnet_app.training.loop import Loop
from cnet_app.training.run import Record, RunFolder
from cnet_app.training.signals import between_steps
from cnet_app.training.storage import checkpoints
from cnet_app.training.trainable import create_trainable
from models.errors import InputError, SaveError, TrainingError
from models.family_facts import Family
from models.tiny import tiny_base
from tests.source import ROOT
from tests.training.examples import MemoryExamples

PLAN = TrainingPlan(
    name="run", condition="canny", data="unused", size=64, steps=6, batch_size=2, learning_rate=1e-3, probe_every=0
)

TWO_PLANS: dict[Family, TrainingPlan] = {
    "sd15": replace(PLAN, batch_size=4, steps=3, unlock_after=3, max_grad_norm=0.01),
    "sd3": replace(PLAN, batch_size=4, steps=3, max_grad_norm=0.01),
}
"""By family, of the run that two processes make with half of the batch each."""


def create_loop(folder: Path, plan: TrainingPlan = PLAN, family: Family = "sd15", report: Any = None) -> Loop:
    trainable = create_trainable(tiny_base(family), plan)
    records: list[Record] = []
    loop = Loop(
        RunFolder(folder),
        plan,
        trainable,
        MemoryExamples(trainable),
        None,
        Accelerator(cpu=True),
        report or records.append,
    )
    loop.__dict__["records"] = records
    return loop


def weights(folder: Path, step: int) -> dict[str, torch.Tensor]:
    return dict(checkpoints.load(checkpoints.folder_of(folder / "checkpoints", step)).network)


def stop_at(step: int) -> Callable[[Record], None]:
    """Raise like a kill: in the middle of the record of a step."""

    def report(record: Record) -> None:
        if record.kind == "step" and record.step == step:
            raise KeyboardInterrupt

    return report


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"network": "light", "rank": 2},
        {"network": "lite", "lr_scheduler": "cosine", "ema_decay": 0.9},
        {"unlock_after": 4, "gradient_accumulation": 2},
        {"only_mid_control": True, "min_snr_gamma": 5.0},
        {"gradient_checkpointing": True, "initial": "fresh", "joint": "gaussian"},
    ],
    ids=lambda changes: "-".join(changes) or "plain",
)
def test_a_run_killed_at_a_step_and_resumed_equals_one_in_one_go(tmp_path: Path, changes: dict[str, Any]) -> None:
    plan = replace(PLAN, checkpoint_every=2, keep_checkpoints=9, **changes)
    assert create_loop(tmp_path / "whole", plan).train() == "done"
    with pytest.raises(KeyboardInterrupt):
        create_loop(tmp_path / "killed", plan, report=stop_at(5)).train()
    resumed = create_loop(tmp_path / "killed", plan)
    assert resumed.progress.step == 4
    assert resumed.train() == "done"
    one, two = weights(tmp_path / "whole", 6), weights(tmp_path / "killed", 6)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    first = weights(tmp_path / "whole", 2)
    assert any(not torch.equal(first[name], one[name]) for name in first)


@pytest.mark.parametrize("family", ["embedded", "sd21", "sdxl"])
def test_every_family_learns(tmp_path: Path, family: Family) -> None:
    loop = create_loop(tmp_path, replace(PLAN, steps=2), family)
    loop.train()
    assert [record.kind for record in loop.__dict__["records"]] == ["step", "step", "checkpoint"]


def test_a_wish_to_stop_or_pause_ends_the_run_with_a_checkpoint(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)

    def ask(record: Record) -> None:
        if record.kind == "step" and record.step == 3:
            run.wish("pause").touch()

    assert create_loop(tmp_path, report=ask).train() == "paused"
    assert checkpoints.steps(run.checkpoints) == [3]
    run.wish("pause").unlink()
    assert create_loop(tmp_path).train() == "done"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_and_leaves_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    def send(record: Record) -> None:
        if record.kind == "step" and record.step == 3:
            for _ in range(2):  # a terminal and a launcher both send it
                signal.raise_signal(number)

    before = signal.getsignal(number)
    loop = create_loop(tmp_path, report=send)
    with between_steps(loop.end_soon, tells=True):
        assert loop.train() == "paused"
    assert signal.getsignal(number) == before
    assert checkpoints.steps(RunFolder(tmp_path).checkpoints) == [3]


def test_a_second_signal_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "SAME", -1.0)
    with between_steps(lambda: None, tells=False):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_run_waits_while_a_picture_is_made(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.wish("give-way").touch()
    states: list[Any] = []

    def follow(record: Record) -> None:
        if record.kind == "state":
            states.append(record.values["state"])
            old = time.time() - 1000
            os.utime(run.wish("give-way"), (old, old))  # as if its maker had died

    create_loop(tmp_path, replace(PLAN, steps=1), report=follow).train()
    assert states == ["waiting", "running"]


def test_a_loss_that_is_not_finite_stops_the_run_with_its_step_and_advice(tmp_path: Path) -> None:
    loop = create_loop(tmp_path, replace(PLAN, checkpoint_every=2))
    examples: Any = vars(loop)["_examples"]
    read = examples.read

    def poisoned(*args: Any) -> Any:
        encoded = read(*args)
        return replace(encoded, moments=encoded.moments * (float("nan") if loop.progress.step == 3 else 1))

    examples.read = poisoned
    with pytest.raises(
        TrainingError, match=r"stopped at step 4, .* checkpoint of step 2 is whole.*lower learning_rate"
    ):
        loop.train()


def test_another_plan_or_other_data_are_refused_and_a_longer_run_is_not(tmp_path: Path) -> None:
    create_loop(tmp_path, replace(PLAN, steps=1)).train()
    with pytest.raises(InputError, match=r"another plan \(seed was 0 and is 1\)"):
        create_loop(tmp_path, replace(PLAN, seed=1))
    manifest = checkpoints.folder_of(tmp_path / "checkpoints", 1) / "manifest.json"
    assert create_loop(tmp_path, replace(PLAN, steps=2)).train() == "done"
    newest = checkpoints.folder_of(tmp_path / "checkpoints", 2) / "manifest.json"
    newest.write_text(newest.read_text().replace('"random"', '"other"'))
    assert manifest.exists()
    with pytest.raises(InputError, match="data of the run in .* have changed"):
        create_loop(tmp_path)


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    plan = replace(PLAN, checkpoint_every=2)
    create_loop(tmp_path, plan).train()
    folder = tmp_path / "checkpoints"
    assert checkpoints.steps(folder) == [4, 6]
    damaged = checkpoints.folder_of(folder, 6) / checkpoints.NETWORK
    damaged.write_bytes(damaged.read_bytes()[:-5])
    loop = create_loop(tmp_path, plan)
    assert loop.progress.step == 4
    assert "step 6 is damaged" in loop.__dict__["records"][0].values["message"]


def test_a_checkpoint_without_room_leaves_the_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = replace(PLAN, checkpoint_every=2)
    create_loop(tmp_path, replace(plan, steps=2)).train()

    def no_room(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", no_room)
    with pytest.raises(SaveError, match=r"checkpoint of step 4 could not be written .*No space left.* untouched"):
        create_loop(tmp_path, plan).train()
    folder = tmp_path / "checkpoints"
    assert [path.name for path in folder.iterdir()] == ["step-000002"]
    assert checkpoints.newest(folder)


@pytest.mark.slow
def test_two_processes_do_what_one_does_with_twice_the_batch(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.training.two_processes", str(tmp_path / "two")]
    both = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, **common, "RANK": rank, "LOCAL_RANK": rank})
        for rank in ("0", "1")
    ]  # fmt: skip
    for process in both:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors[-2000:]
    for family, plan in TWO_PLANS.items():
        one, two = tmp_path / "one" / family, tmp_path / "two" / family
        loop = create_loop(one, plan, family)
        loop.train()
        losses = [record.values["loss"] for record in loop.__dict__["records"] if record.kind == "step"]
        theirs = [record.values["loss"] for record in RunFolder(two).records()[0] if record.kind == "step"]
        assert theirs == pytest.approx(losses, abs=1e-5)
        for folder in (one, two):  # the other one goes on in one process
            create_loop(folder, replace(plan, steps=5), family).train()
        for step in (3, 5):
            one_weights, two_weights = weights(one, step), weights(two, step)
            for name, value in one_weights.items():
                torch.testing.assert_close(two_weights[name], value, atol=1e-5, rtol=0)


def trained_by(folder: Path, processes: int, batch_size: int = 2) -> None:
    """Leave the checkpoint of a step that so many processes have made, as its manifest has it."""
    create_loop(folder, replace(PLAN, steps=1, batch_size=batch_size)).train()
    path = checkpoints.folder_of(folder / "checkpoints", 1) / checkpoints.MANIFEST
    manifest = json.loads(path.read_text())
    assert manifest["processes"] == 1
    path.write_text(json.dumps(manifest | {"processes": processes}))


def test_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    trained_by(tmp_path, 2)
    sentence = (
        r"was trained in 2 processes with 2 pairs each, 4 in one pass, but now there are 1 with 2 each; .*: start it by "
        r"`python -m torch.distributed.run --nproc_per_node 2 -m cnet_app train resume run`, or add `--batch-size 4`\.$"
    )
    for batch_size in (2, 3):
        with pytest.raises(InputError, match=sentence.replace("1 with 2", f"1 with {batch_size}")):
            create_loop(tmp_path, replace(PLAN, steps=2, batch_size=batch_size))


def test_a_run_goes_on_in_fewer_processes_with_as_many_pairs_in_a_pass(tmp_path: Path) -> None:
    trained_by(tmp_path / "two", 2)
    loop = create_loop(tmp_path / "two", replace(PLAN, steps=2, batch_size=4))
    notes = [record.values["message"] for record in loop.__dict__["records"] if record.kind == "note"]
    assert notes == ["The run goes on in 1 and not 2 processes, with the same 4 pairs in one pass, so that its steps are the same up to rounding."]  # fmt: skip
    assert loop.train() == "done"


def test_processes_of_earlier_versions_are_not_known(tmp_path: Path) -> None:
    trained_by(tmp_path, 1)
    path = checkpoints.folder_of(tmp_path / "checkpoints", 1) / checkpoints.MANIFEST
    path.write_text(
        json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != "processes"})
    )
    assert checkpoints.check_processes(tmp_path / "checkpoints", "run", 2, 3) == ""


@pytest.mark.parametrize(("before", "now", "batch_size", "start"), [(1, 2, 2, "`python -m cnet_app train resume run`, or add `--batch-size 1`"), (2, 3, 2, "--nproc_per_node 2 -m cnet_app train resume run`.")])  # fmt: skip
def test_the_refusal_names_how_to_start_it(tmp_path: Path, before: int, now: int, batch_size: int, start: str) -> None:
    trained_by(tmp_path, before)
    with pytest.raises(InputError, match=re.escape(start)):
        checkpoints.check_processes(tmp_path / "checkpoints", "run", batch_size, now)


def test_a_resumed_run_takes_the_changes_that_are_safe(tmp_path: Path) -> None:
    create_loop(tmp_path, replace(PLAN, steps=2)).train()
    changes: dict[str, Any] = {
        "learning_rate": 1e-5, "gradient_checkpointing": True, "precision": "bfloat16", "batch_size": 1,
        "gradient_accumulation": 2, "max_grad_norm": 0.5, "patience": 0, "ema_decay": 0.5, "data": "moved",
    }  # fmt: skip
    loop = create_loop(tmp_path, changed(replace(PLAN, steps=4), changes))
    assert loop.train() == "done"
    rates = [record.values["learning_rate"] for record in loop.__dict__["records"] if record.kind == "step"]
    assert rates == [1e-5, 1e-5]
    with pytest.raises(InputError, match="rank was 8 and is 4"):
        create_loop(tmp_path, replace(PLAN, rank=4))
    with pytest.raises(
        InputError, match="rank cannot change while a run is resumed; change one of: steps, learning_rate"
    ):
        changed(PLAN, {"rank": 4})


def test_a_changed_course_of_the_learning_rate_begins_with_the_next_step(tmp_path: Path) -> None:
    create_loop(tmp_path, replace(PLAN, steps=2)).train()
    loop = create_loop(tmp_path, replace(PLAN, steps=4, lr_scheduler="linear"))
    loop.train()
    rates = [record.values["learning_rate"] for record in loop.__dict__["records"] if record.kind == "step"]
    assert rates == pytest.approx([0.5e-3, 0.25e-3])
