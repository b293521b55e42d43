"""Resuming: the same weights as without a stop, only by the same plan, and never over a good checkpoint."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import BinaryIO

import pytest
import torch
from torch import nn

from cnet_app.embedded.train.checkpoints import load_checkpoint, save_checkpoint
from cnet_app.embedded.train.common import Training
from cnet_app.embedded.train.plan import StagePlan
from models.errors import DamagedError, InputError, SaveError, TrainingError
from tests.source import ROOT

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
PLAN = StagePlan(stage="toy", steps=40, batch_size=4, peak_rate=1e-2, save_every=5, data="pictures")


class Toy(nn.Module):
    """A matrix for Muon, a bias for AdamW."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.inner = nn.Linear(16, 16)


def train_toy(
    path: Path, plan: StagePlan = PLAN, after: Callable[[int], float] = lambda step: 1.0, pause: float = 0.0
) -> nn.Module:
    """Train on random inputs; `after` is called in every step, and its result multiplies the loss."""
    torch.manual_seed(plan.seed)
    training = Training(Toy(), path, plan, CPU, decay=0.9)
    for step in training.steps():
        loss = training.network.get_submodule("inner")(torch.randn(4, 16)).square().mean()
        training.learn(loss * after(step))
        time.sleep(pause)
    return training.averaged.module


def weights(module: nn.Module) -> bytes:
    return b"".join(value.detach().numpy().tobytes() for value in module.state_dict().values())


def saved_step(path: Path) -> int:
    state = load_checkpoint(path)
    return -1 if state is None else int(state["step"])


class Steps:
    """Records the steps of a training, and interrupts it at one of them."""

    def __init__(self, stop: int = -1) -> None:
        self.taken: list[int] = []
        self._stop = stop

    def __call__(self, step: int) -> float:
        """Return a factor of 1 for the loss."""
        if step == self._stop:
            raise KeyboardInterrupt
        self.taken.append(step)
        return 1.0


@pytest.mark.parametrize("stop", [0, 3, 5, 23, 39])
def test_stopped_anywhere_and_resumed_is_as_never_stopped(stop: int, tmp_path: Path) -> None:
    whole = train_toy(tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        train_toy(tmp_path / "toy.pt", after=Steps(stop))
    saved = stop // 5 * 5
    assert saved_step(tmp_path / "toy.pt") == (saved or -1)
    resumed = Steps()
    assert weights(train_toy(tmp_path / "toy.pt", after=resumed)) == weights(whole)
    assert resumed.taken == list(range(saved, PLAN.steps))


def test_killed_at_random_moments_and_resumed_is_as_never_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.embedded.train.test_resume import train_toy;"
        "train_toy(Path(sys.argv[1]), pause=0.02)"
    )
    path, random = tmp_path / "toy.pt", Random(0)
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT)
        before = saved_step(path)
        while process.poll() is None and saved_step(path) == before:
            time.sleep(0.02)
        time.sleep(random.uniform(0, 0.15))
        process.kill()
        process.wait()
    saved, resumed = saved_step(path), Steps()
    assert 0 < saved < PLAN.steps
    assert weights(train_toy(path, after=resumed)) == weights(train_toy(tmp_path / "whole.pt"))
    assert resumed.taken == list(range(saved, PLAN.steps))


def test_a_finished_training_is_not_written_again(tmp_path: Path) -> None:
    train_toy(tmp_path / "toy.pt")
    before = (tmp_path / "toy.pt").stat().st_mtime_ns
    train_toy(tmp_path / "toy.pt")
    assert (tmp_path / "toy.pt").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        ({"steps": 30}, "steps is 40 there and 30 here"),
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"batch_size": 8}, "batch_size is 4 there and 8 here"),
        ({"peak_rate": 0.5}, "peak_rate is 0.01 there and 0.5 here"),
        ({"data": "other"}, "data is 'pictures' there and 'other' here"),
        ({"device": "cuda", "stage": "full"}, "stage is 'toy' there and 'full' here; device is 'cpu' there and 'cuda' here"),
    ],
)  # fmt: skip
def test_another_plan_is_refused_and_leaves_the_checkpoint(
    change: dict[str, str | int | float], clause: str, tmp_path: Path
) -> None:
    train_toy(tmp_path / "toy.pt", replace(PLAN, deadline=0.0))
    train_toy(tmp_path / "toy.pt")
    before = (tmp_path / "toy.pt").read_bytes()
    with pytest.raises(InputError, match="toy.pt was trained by another plan") as refused:
        train_toy(tmp_path / "toy.pt", replace(PLAN, **change))
    assert f"({clause})" in str(refused.value)
    assert (tmp_path / "toy.pt").read_bytes() == before


def test_how_often_it_is_saved_and_when_it_stops_may_change(tmp_path: Path) -> None:
    train_toy(tmp_path / "toy.pt")
    train_toy(tmp_path / "toy.pt", replace(PLAN, save_every=7, deadline=time.time() + 100))


def test_a_checkpoint_without_a_plan_is_resumed_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = train_toy(tmp_path / "toy.pt")
    state = load_checkpoint(tmp_path / "toy.pt")
    assert state is not None
    del state["plan"]
    save_checkpoint(tmp_path / "toy.pt", state)
    assert weights(train_toy(tmp_path / "toy.pt")) == weights(whole)
    assert "toy.pt has no plan" in capsys.readouterr().out


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 1e38], ids=["nan", "inf", "gradient"])
def test_a_loss_or_gradient_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    factor: float, tmp_path: Path
) -> None:
    path = tmp_path / "toy.pt"
    with pytest.raises(TrainingError) as stopped:
        train_toy(path, after=lambda step: factor if step == 13 else 1.0)
    message = str(stopped.value)
    assert "The stage toy stopped at step 13" in message
    assert f"{path} still holds step 10" in message
    assert "lower the stage's peak rate of 0.01" in message
    assert saved_step(path) == 10
    assert weights(train_toy(path)) == weights(train_toy(tmp_path / "whole.pt"))


def test_nothing_is_claimed_to_be_saved_where_nothing_is(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="stopped at step 2.*nothing was saved yet"):
        train_toy(tmp_path / "toy.pt", after=lambda step: float("nan") if step == 2 else 1.0)
    assert not (tmp_path / "toy.pt").exists()


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    train_toy(tmp_path / "toy.pt", replace(PLAN, steps=40))
    before = (tmp_path / "toy.pt").read_bytes()
    training = Training(Toy(), tmp_path / "toy.pt", PLAN, CPU, decay=0.9)
    with torch.no_grad():
        training.network.get_submodule("inner").get_parameter("bias").fill_(float("nan"))
    training.done += 1
    with pytest.raises(TrainingError, match="the weight inner.bias is nan"):
        training.save()
    assert (tmp_path / "toy.pt").read_bytes() == before


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    train_toy(tmp_path / "toy.pt")
    content = (tmp_path / "toy.pt").read_bytes()
    (tmp_path / "toy.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedError, match="toy.pt is damaged.*delete it"):
        train_toy(tmp_path / "toy.pt")


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train_toy(tmp_path / "toy.pt")
    before = (tmp_path / "toy.pt").read_bytes()

    def full(state: object, file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(SaveError, match=r"toy.pt could not be written \(No space left on device\)"):
        save_checkpoint(tmp_path / "toy.pt", {})
    assert (tmp_path / "toy.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["toy.pt"]
