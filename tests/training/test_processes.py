"""The command in two processes of one launch: one run, one lock, one log, one end."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from filelock import FileLock, Timeout

from cnet_app.training import processes, start
from cnet_app.training.run import RunFolder
from cnet_app.training.start import LOCK, run_training
from models.errors import InputError
from models.loader import save_base
from models.tiny import tiny_base
from tests.source import ROOT
from tests.training.test_start import begin, pairs

__all__ = ["pairs"]
LAUNCH = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "cnet_app")


def launch(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CNET_MODELS_DIR": str(tmp_path / "models")}
    command = [*LAUNCH, "train", *words, "--device", "cpu", "--output-dir", str(tmp_path)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240)


@pytest.mark.slow
def test_two_processes_begin_one_training_and_stop_early_together(tmp_path: Path, pairs: Path) -> None:
    save_base(tiny_base("embedded"), tmp_path / "base")
    plan = {"name": "two", "condition": "canny", "data": pairs, "base": tmp_path / "base", "size": 64, "batch-size": 1,
            "steps": 9, "learning-rate": 1e-9, "probe-every": 1, "probes": 1, "probe-steps": 1, "patience": 1}  # fmt: skip
    begun = launch(
        tmp_path, "controlnet", *(word for name, value in plan.items() for word in (f"--{name}", str(value)))
    )
    assert begun.returncode == 0, begun.stderr[-3000:]
    run = RunFolder(tmp_path / "trainings" / "two")
    states = [record.values["state"] for record in run.records()[0] if record.kind == "state"]
    assert states.count("running") == 1 and states[-1] == "done" and "failed" not in states
    assert [record.step for record in run.records()[0] if record.kind == "step"] == [1]
    assert begun.stdout.count("two: done.") == 1
    assert (tmp_path / "models" / "controlnets" / "two" / "two.safetensors").is_file()


@dataclass(frozen=True)
class Place:
    """Stands for accelerate's PartialState in one of two processes."""

    is_main_process: bool
    num_processes: int = 2


def test_one_process_takes_the_lock_for_all_and_its_refusal_ends_them(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []

    def broadcast(failed: list[bool]) -> None:
        told.extend(failed)
        failed[0] = told[0]

    monkeypatch.setattr(processes, "broadcast_object_list", broadcast)
    run, main, other = begin(tmp_path, pairs), Place(True), Place(False)
    with start._alone(run, run.plan(), main):  # pyright: ignore[reportPrivateUsage, reportArgumentType]
        lock = FileLock(run.path.parent / LOCK, timeout=0)
        with pytest.raises(Timeout):
            lock.acquire()
    assert told == [False]
    told.clear()
    with FileLock(run.path.parent / LOCK):
        for place, ended in ((main, InputError), (other, SystemExit)):
            with pytest.raises(ended), start._alone(run, run.plan(), place):  # pyright: ignore[reportPrivateUsage, reportArgumentType]
                pass
    assert told == [True, False]


def test_only_the_main_process_writes_how_a_run_failed(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "load_base", lambda *_: 1 / 0)
    monkeypatch.setattr(start, "join_processes", lambda device: Place(False))
    monkeypatch.setattr(start, "by_main", lambda *_: None)
    run = begin(tmp_path, pairs)
    with pytest.raises(ZeroDivisionError):
        run_training(run, torch.device("cpu"))
    assert run.standing() == "new" and not run.log.exists()
