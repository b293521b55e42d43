"""Trainings as processes: started one at a time, followed, paused, resumed after a kill, and waiting for pictures."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnet_app.cli import main
from cnet_app.jobs.trainings.commands import start_command
from cnet_app.jobs.trainings.data_work import DataState
from cnet_app.jobs.trainings.trainings import ERRORS, Trainings, TrainingState
from cnet_app.request.training import TrainingPlan
from cnet_app.settings import Settings
from cnet_app.training.monitoring.curves import Story, course, thinned
from cnet_app.training.run import Record, RunFolder
from models.errors import InputError

STUB = (sys.executable, "-m", "tests.jobs.trainer")
SOON = 30.0


@pytest.fixture
def wanted() -> list[bool]:
    """Whether a picture is wanted: its last entry."""
    return [False]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(output_dir=tmp_path / "outputs", cache_dir=str(tmp_path / "cache"), device="cpu")


@pytest.fixture
def trainings(settings: Settings, wanted: list[bool]) -> Iterator[Trainings]:
    made = Trainings(settings, lambda: wanted[-1], STUB)
    yield made
    made.close()


def plan(name: str = "one", data: str = "data", steps: int = 3) -> TrainingPlan:
    return TrainingPlan(name=name, condition="canny", data=data, steps=steps)


def wait(trainings: Trainings, name: str, is_so: Callable[[TrainingState], object]) -> TrainingState:
    ends = time.monotonic() + SOON
    while not is_so(state := trainings.state(name)):
        assert time.monotonic() < ends, state
        time.sleep(0.02)
    return state


def test_a_training_runs_to_its_end_and_is_followed_from_a_byte(trainings: Trainings) -> None:
    trainings.start(plan())
    assert trainings.state("one").standing == "preparing"
    state = wait(trainings, "one", lambda state: state.standing == "done")
    assert (state.story.step, state.story.checkpoint) == (3, 3)
    assert Path(state.plan.data).is_absolute()
    records, byte = trainings.follow("one")
    assert [one.step for one in records if one.kind == "step"] == [1, 2, 3]
    assert trainings.follow("one", byte) == ([], byte)


def test_a_second_training_is_refused_and_a_name_is_taken_once(trainings: Trainings) -> None:
    trainings.start(plan(steps=10_000))
    with pytest.raises(InputError, match=r"The training one runs already, and one training runs at a time"):
        trainings.start(plan("two"))
    with pytest.raises(InputError, match=r"It runs already"):
        trainings.resume("one")
    with pytest.raises(InputError, match="runs; stop it first"):
        trainings.delete("one")
    wait(trainings, "one", lambda state: state.standing == "running")
    trainings.stop("one")
    wait(trainings, "one", lambda state: state.standing == "stopped")
    with pytest.raises(InputError, match="There is a training 'one' .* already"):
        trainings.start(plan())
    trainings.delete("one")
    with pytest.raises(InputError, match="There is no training 'one'"):
        trainings.state("one")


def test_a_name_that_another_controlnet_has_is_refused(
    trainings: Trainings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path / "models"))
    (tmp_path / "models" / "controlnets" / "mydownload").mkdir(parents=True)
    with pytest.raises(InputError, match="mydownload is there already"):
        trainings.start(plan("mydownload"))
    with pytest.raises(InputError, match="an id of the catalogue"):
        trainings.start(plan("embedded_canny"))
    assert trainings.states() == []


def test_a_training_is_not_shortened_to_steps_that_it_has_made(
    trainings: Trainings, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    trainings.start(plan(steps=3))
    wait(trainings, "one", lambda state: state.standing == "done")
    with pytest.raises(InputError, match=r"steps is 2, but one has a checkpoint of step 3 already; give at least 3"):
        trainings.resume("one", {"steps": 2})
    assert main(["train", "resume", "one", "--steps", "2", "--output-dir", str(settings.output_dir)]) == 2
    assert "has a checkpoint of step 3" in capsys.readouterr().err
    assert trainings.state("one").plan.steps == 3
    main(["train", "list", "--output-dir", str(settings.output_dir)])
    assert "one: done, step 3 of 3" in capsys.readouterr().out


def test_a_killed_training_is_interrupted_and_goes_on(settings: Settings, trainings: Trainings) -> None:
    trainings.start(plan(steps=10_000))
    state = wait(trainings, "one", lambda state: state.story.step)
    assert state.story.last
    os.kill(state.story.last.values["process_id"], signal.SIGKILL)
    after = Trainings(settings, lambda: False, STUB)  # the app was killed too, and started again
    state = wait(after, "one", lambda state: state.standing == "interrupted")
    after.resume("one", {"steps": state.story.step + 2})
    ended = wait(after, "one", lambda one: one.standing == "done")
    assert ended.plan.steps == ended.story.step == state.story.step + 2


def test_a_training_of_another_app_is_seen_and_paused(settings: Settings, trainings: Trainings) -> None:
    trainings.start(plan(steps=10_000))
    other = Trainings(settings, lambda: False, STUB)
    wait(other, "one", lambda state: state.standing == "running")
    other.close()  # did not start it
    assert other.state("one").wish is None
    other.pause("one")
    wait(trainings, "one", lambda state: state.standing == "paused")
    with pytest.raises(InputError, match="The training one does not run"):
        trainings.pause("one")


def test_a_command_is_found_from_any_folder(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    process = start_command(settings, ["train", "--help"], tmp_path / "errors", tmp_path / "output")
    assert process.wait(SOON) == 0, (tmp_path / "errors").read_text()
    assert "usage" in (tmp_path / "output").read_text()


def test_the_end_of_the_app_pauses_what_it_started(settings: Settings) -> None:
    trainings = Trainings(settings, lambda: False, STUB)
    trainings.start(plan(steps=10_000))
    wait(trainings, "one", lambda state: state.standing == "running")
    trainings.close()
    wait(trainings, "one", lambda state: state.standing == "paused")
    with pytest.raises(InputError, match="The app is closing"):
        trainings.resume("one")


def test_a_training_waits_while_a_picture_is_made(trainings: Trainings, wanted: list[bool]) -> None:
    trainings.start(plan(steps=10_000))
    wait(trainings, "one", lambda state: state.story.step)
    wanted.append(True)
    waiting = wait(trainings, "one", lambda state: state.standing == "waiting")
    time.sleep(0.2)
    assert trainings.state("one").story.step == waiting.story.step
    wanted.append(False)
    wait(trainings, "one", lambda state: state.standing == "running" and state.story.step > waiting.story.step)


def test_what_is_still_being_started_can_be_stopped(trainings: Trainings) -> None:
    trainings.start(plan(data="slow"))
    trainings.stop("one")
    assert trainings.state("one").standing == "new"


def test_a_process_that_refuses_says_why(trainings: Trainings) -> None:
    trainings.start(plan(data="refused"))
    state = wait(trainings, "one", lambda state: not state.is_busy)
    assert (state.standing, state.message) == ("new", "Another training runs in a terminal; wait for its end.")


def test_a_checkpoint_is_needed_for_an_export(trainings: Trainings) -> None:
    trainings.start(plan(steps=10_000))
    wait(trainings, "one", lambda state: state.story.step)
    with pytest.raises(InputError, match="one has no checkpoint yet; the first is written after step 500"):
        trainings.export("one")
    trainings.stop("one")
    wait(trainings, "one", lambda state: not state.is_busy)
    trainings.start(plan("two"))
    wait(trainings, "two", lambda state: state.standing == "done")
    assert trainings.export("two") == 3
    assert (trainings.folder / "two" / "was-exported").exists()


def test_work_on_data_tells_progress_result_and_fault(trainings: Trainings, tmp_path: Path) -> None:
    work = trainings.data

    def ended() -> DataState:
        ends = time.monotonic() + SOON
        while (state := work.state()) is None or state.status == "running":
            assert time.monotonic() < ends
            time.sleep(0.02)
        return state

    assert work.state() is None
    work.check(tmp_path, "canny")
    state = ended()
    assert (state.status, state.done, state.total, len(state.result["problems"])) == ("done", 3, 3, 30)
    work.build(tmp_path / "broken", "canny", tmp_path / "built")
    state = ended()
    assert (state.status, state.message) == ("failed", "The folder is broken; mend it.")
    work.build(tmp_path / "slow", "canny", tmp_path / "built")
    with pytest.raises(InputError, match=r"Pairs are built in .*built; wait for the end, or cancel it"):
        work.check(tmp_path, "canny")
    work.cancel()
    assert ended().status == "cancelled"


def step(number: int, loss: float) -> Record:
    values = {"loss": loss, "learning_rate": 1e-3, "seconds": 0.1, "memory_mb": 1}
    return Record(kind="step", step=number, time=float(number), values=values)


def look(number: int, score: float) -> Record:
    return Record(
        kind="probe", step=number, time=float(number), values={"scores": [score], "score": score, "pictures": []}
    )


def test_of_a_resumed_run_the_later_records_count() -> None:
    records = [step(1, 0.5), step(2, 0.4), look(2, 0.1), step(3, 0.3), step(2, 0.2), look(2, 0.6)]
    assert [(one.kind, one.step) for one in course(records)] == [("step", 1), ("step", 2), ("probe", 2)]
    story = Story()
    story.add(records)
    assert story.step == 2 and [one.score for one in story.looks] == [0.6]


def test_a_long_curve_is_thinned_to_means_of_neighbours() -> None:
    records = [step(number, float(number)) for number in range(1, 2501)]
    records.insert(700, look(700, 0.5))
    found = thinned(records, points=1000)
    steps = [one for one in found if one.kind == "step"]
    assert len(steps) == 834 and steps[-1].step == 2500
    assert [steps[0].step, steps[0].values["loss"]] == [3, 2.0]
    assert [one.step for one in found if one.kind == "probe"] == [700]
    assert thinned(records[:50], points=1000) == records[:50]


def test_overfitting_is_read_off_the_looks_and_the_steps_before_them() -> None:
    story = Story()
    for number in range(1, 21):
        story.add([step(number, 1 - number / 40), look(number, 0.7 - 0.02 * abs(number - 8))])
    assert story.overfits


@pytest.mark.slow
def test_a_real_training_is_started_paused_resumed_and_exported(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path / "models"))
    for folder in ("images", "conditioning_images"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for number in range(4):
            pixels = np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / folder / f"{number}.png")
    trainings = Trainings(settings, lambda: False)
    wanted = TrainingPlan(
        name="one", condition="canny", data=str(tmp_path / "data"), size=64, steps=200, batch_size=1, probe_every=0
    )
    trainings.start(wanted)
    state = wait_long(trainings, lambda state: state.story.step > 1 or not state.is_busy)
    assert state.is_busy, (state, (RunFolder(trainings.folder / "one").path / ERRORS).read_text())
    trainings.pause("one")
    paused = wait_long(trainings, lambda state: not state.is_busy)
    assert paused.standing == "paused" and paused.story.checkpoint == paused.story.step
    assert trainings.export("one") == paused.story.step
    assert (tmp_path / "models" / "controlnets" / "one" / "one.safetensors").is_file()
    trainings.resume("one", {"steps": paused.story.step + 2})
    done = wait_long(trainings, lambda state: not state.is_busy)
    assert (done.standing, done.story.step) == ("done", paused.story.step + 2)
    trainings.close()


def wait_long(trainings: Trainings, is_so: Callable[[TrainingState], object]) -> TrainingState:
    ends = time.monotonic() + 4 * SOON
    while not is_so(state := trainings.state("one")):
        assert time.monotonic() < ends, state
        time.sleep(0.1)
    return state
