"""Jobs run one at a time, in turn, and a failure never stops the next one."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators.sources.images import load_image
from cnet_app.jobs import runner as runner_module
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.state import JobState
from cnet_app.request.recipe import read_request
from cnet_app.settings import Settings
from models.errors import EngineError, InputError, OutOfMemoryError, SaveError, StudioError, WeightsError
from tests.jobs.fake_engine import FakeEngine, fake_picture, request


@pytest.fixture
def fake() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def runner(fake: FakeEngine, tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(Settings(output_dir=tmp_path / "pictures", max_waiting=5, max_waiting_per_user=5), fake)
    yield runner
    fake.gate.set()
    runner.close()


def finish(runner: Runner, id: str) -> JobState:
    return list(runner.watch(id))[-1]


def test_every_picture_is_on_the_disk_and_holds_its_own_recipe(runner: Runner) -> None:
    wanted = request("two cats", num_images=2, seed=5)
    end = finish(runner, runner.submit(wanted, "me"))
    assert (end.status, end.fraction) == ("done", 1.0)
    assert end.result is not None
    assert end.result.seeds == (5, 6)
    for index, path in enumerate(end.result.paths):
        own = wanted.only_picture(index)
        assert read_request(Path(path)) == replace(own, scheduler="ddim")
        assert np.array_equal(load_image(path), fake_picture(own, 3))


def test_a_picture_is_saved_before_anyone_is_told(runner: Runner) -> None:
    for state in runner.watch(runner.submit(request(num_images=3), "me")):
        assert all(Path(path).is_file() for path in state.paths)


def test_users_take_turns_and_know_their_place(runner: Runner, fake: FakeEngine) -> None:
    fake.gate.clear()
    first = runner.submit(request("a1"), "a")
    assert fake.entered.wait(5)
    others = [runner.submit(request(prompt), prompt[0]) for prompt in ("a2", "a3", "b1")]
    assert [runner.state(id).place for id in (first, *others)] == [0, 1, 3, 2]
    fake.gate.set()
    for id in others:
        finish(runner, id)
    assert fake.prompts == ["a1", "a2", "b1", "a3"]


def test_a_job_says_that_the_model_is_being_loaded(runner: Runner, fake: FakeEngine) -> None:
    fake.may_load.clear()
    id = runner.submit(request(), "me")
    for state in runner.watch(id):
        if state.doing == "Loading the model":
            fake.may_load.set()
    assert runner.state(id).status == "done"


def test_a_running_job_stops_when_it_is_cancelled_and_the_next_one_works(runner: Runner, fake: FakeEngine) -> None:
    fake.gate.clear()
    id = runner.submit(request("stop me"), "me")
    assert fake.entered.wait(5)
    runner.cancel(id)
    assert finish(runner, id).status == "cancelled"
    fake.gate.set()
    assert finish(runner, runner.submit(request(), "me")).status == "done"


def test_loading_stops_when_its_job_is_cancelled_and_the_next_one_works(runner: Runner, fake: FakeEngine) -> None:
    fake.may_load.clear()
    id = runner.submit(request("loads"), "me")
    while runner.state(id).status == "queued":
        time.sleep(0.01)
    runner.cancel(id)
    assert finish(runner, id).status == "cancelled"
    fake.may_load.set()
    assert finish(runner, runner.submit(request(), "me")).status == "done"


def test_a_waiting_job_that_is_cancelled_never_runs(runner: Runner, fake: FakeEngine) -> None:
    fake.gate.clear()
    running = runner.submit(request("runs"), "me")
    assert fake.entered.wait(5)
    waiting = runner.submit(request("waits"), "me")
    runner.cancel(waiting)
    assert finish(runner, waiting).status == "cancelled"
    fake.gate.set()
    assert finish(runner, running).status == "done"
    assert finish(runner, runner.submit(request("later"), "me")).status == "done"
    assert fake.prompts == ["runs", "later"]


def test_a_waiting_job_keeps_its_model_whatever_others_choose(runner: Runner, fake: FakeEngine) -> None:
    fake.gate.clear()
    first = runner.submit(request("runs", base="embedded"), "a")
    assert fake.entered.wait(5)
    other = runner.submit(request("another model", base="sd15"), "b")
    waits = runner.submit(request("waits", base="embedded"), "a")
    fake.gate.set()
    bases = [read_request(Path(finish(runner, id).paths[0])).base for id in (first, waits, other)]
    assert bases == ["embedded", "embedded", "sd15"]
    assert fake.prompts == ["runs", "another model", "waits"]


def test_finished_pictures_stay_when_the_rest_is_cancelled(runner: Runner, fake: FakeEngine) -> None:
    fake.seconds = 0.01
    id = runner.submit(request(num_images=8, num_inference_steps=20), "me")
    for state in runner.watch(id):
        if state.paths:
            runner.cancel(id)
    end = runner.state(id)
    assert end.status == "cancelled"
    assert 1 <= len(end.paths) < 8
    assert all(Path(path).is_file() for path in end.paths)


def test_cancelling_what_is_over_or_unknown_changes_nothing(runner: Runner) -> None:
    id = runner.submit(request(), "me")
    finish(runner, id)
    runner.cancel(id)
    runner.cancel("no such job")
    assert runner.state(id).status == "done"
    with pytest.raises(InputError, match="no such job"):
        runner.state("no such job")


@pytest.mark.parametrize("error", [InputError("a mistake"), WeightsError("no file"), OutOfMemoryError("too small")])
def test_what_is_told_is_told_word_for_word(runner: Runner, fake: FakeEngine, error: Exception) -> None:
    fake.faults["bad"] = error
    end = finish(runner, runner.submit(request("bad"), "me"))
    assert (end.status, end.error) == ("failed", str(error))
    assert finish(runner, runner.submit(request("good"), "me")).status == "done"


def test_an_unknown_error_has_a_number_and_its_traceback_is_in_the_log_alone(
    runner: Runner, fake: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    fake.faults["bad"] = ZeroDivisionError("secret detail")
    end = finish(runner, runner.submit(request("bad"), "me"))
    assert end.status == "failed"
    assert "secret detail" not in end.error
    number = end.error.split("error ")[1][:6]
    assert number in caplog.text
    assert "secret detail" in caplog.text
    assert finish(runner, runner.submit(request("good"), "me")).status == "done"


def test_a_picture_that_cannot_be_saved_fails_the_job(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Path:
        raise SaveError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(runner_module, "save_picture", full)
        assert finish(runner, runner.submit(request(), "me")).error == "The disk is full."
    assert finish(runner, runner.submit(request(), "me")).status == "done"


def hold_queue(runner: Runner, fake: FakeEngine) -> None:
    """One job of another user runs and does not end."""
    fake.gate.clear()
    runner.submit(request("runs"), "other")
    assert fake.entered.wait(5)


def test_the_places_of_one_user_are_bounded_and_nobody_else_is_kept_out(runner: Runner, fake: FakeEngine) -> None:
    hold_queue(runner, fake)
    for _ in range(5):
        runner.submit(request(), "me")
    with pytest.raises(StudioError, match="5 of your jobs wait already"):
        runner.submit(request(), "me")
    runner.submit(request(), "you")
    with pytest.raises(StudioError, match="6 jobs wait already"):
        runner.submit(request(), "you")


def test_progress_has_previews_and_the_end_has_none(runner: Runner, fake: FakeEngine) -> None:
    fake.seconds = 0.005
    states = list(runner.watch(runner.submit(request(num_inference_steps=20, num_images=2), "me")))
    assert {state.image_index for state in states} == {0, 1}
    assert [state.fraction for state in states] == sorted(state.fraction for state in states)
    previews = [load_image(state.preview) for state in states if state.preview]
    assert previews
    assert states[-1].preview == b""


def test_a_download_reports_its_progress_and_other_jobs_run_meanwhile(runner: Runner, fake: FakeEngine) -> None:
    fake.download_bytes = 200_000_000
    id = runner.download(["large"], "me")
    pattern = r"Downloading large\.safetensors: \d+ MB of 200 MB"
    assert any(re.match(pattern, state.doing) for state in runner.watch(id))
    assert finish(runner, runner.submit(request("meanwhile"), "you")).status == "done"
    assert finish(runner, id).status == "done"
    assert runner.state(id).status == "done"
    assert fake.downloads == ["large"]


def test_a_download_can_be_cancelled(runner: Runner, fake: FakeEngine) -> None:
    fake.download_bytes = 10**12
    id = runner.download(["large"], "me")
    for state in runner.watch(id):
        if state.doing.startswith("Downloading"):
            runner.cancel(id)
    assert runner.state(id).status == "cancelled"
    assert fake.downloads == []
    assert finish(runner, runner.submit(request(), "me")).status == "done"


def test_jobs_wait_while_the_engine_is_down_and_run_when_it_is_started(runner: Runner, fake: FakeEngine) -> None:
    runner.start()
    fake.go_down("The engine stopped 3 times.")
    id = runner.submit(request(), "me")
    assert (runner.state(id).status, runner.state(id).doing) == ("queued", "The engine stopped 3 times.")
    runner.start()
    assert finish(runner, id).status == "done"


def test_an_engine_that_dies_ends_the_job_in_hand_and_its_finished_pictures_stay(
    runner: Runner, fake: FakeEngine
) -> None:
    fake.faults["dies"] = EngineError("The engine stopped.")
    assert finish(runner, runner.submit(request("dies"), "me")).error == "The engine stopped."
    assert finish(runner, runner.submit(request("fine"), "me")).status == "done"


def test_unload_that_fails_ends_nothing(runner: Runner, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It used to end the only worker for good."""

    def fail() -> None:
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr(fake, "unload", fail)
        with pytest.raises(RuntimeError):
            runner.unload()
    assert finish(runner, runner.submit(request(), "me")).status == "done"


def test_closing_stops_what_runs_and_remembers_what_waited(fake: FakeEngine, tmp_path: Path) -> None:
    settings = Settings(output_dir=tmp_path)
    runner = Runner(settings, fake)
    fake.gate.clear()
    runner.submit(request("runs"), "me")
    assert fake.entered.wait(5)
    runner.submit(request("waits"), "me")
    runner.close()
    again = Runner(settings, fake)
    assert {r.prompt: r.status for r in again.history()} == {"runs": "interrupted", "waits": "interrupted"}
    again.close()


def test_making_a_runner_starts_no_thread(fake: FakeEngine, tmp_path: Path) -> None:
    before = threading.active_count()
    runner = Runner(Settings(output_dir=tmp_path), fake)
    assert (threading.active_count(), fake.state.state) == (before, "new")
    assert runner.base(timeout=5) == ("embedded", "this is a test")
    runner.close()
