"""Jobs that wait can be listed, moved and cancelled; a page waits for changes; the time left is measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnet_app.jobs.pace import Pace, work_of
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.state import JobState
from cnet_app.request.downloads import DownloadRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.upscale import UpscaleRequest
from cnet_app.settings import Settings
from models.errors import EngineError, InputError
from tests.jobs.fake_engine import FakeEngine, request
from tests.jobs.test_runner import finish, hold_queue


@pytest.fixture
def fake() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def runner(fake: FakeEngine, tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(Settings(output_dir=tmp_path / "pictures"), fake)
    yield runner
    fake.gate.set()
    runner.close()


def prompts(states: list[JobState]) -> list[str]:
    """Return the prompts of jobs."""
    return [getattr(state.request, "prompt", state.doing) for state in states]


def test_active_lists_what_runs_and_waits_in_order(runner: Runner, fake: FakeEngine) -> None:
    assert runner.active() == []
    hold_queue(runner, fake)
    for prompt in ("a1", "a2", "b1"):
        runner.submit(request(prompt), prompt[0])
    assert prompts(runner.active()) == ["runs", "a1", "b1", "a2"]
    assert [(state.status, state.place) for state in runner.active()] == [
        ("running", 0),
        ("queued", 1),
        ("queued", 2),
        ("queued", 3),
    ]
    assert prompts(runner.active("a")) == ["a1", "a2"]
    assert runner.active("nobody") == []
    fake.gate.set()
    for state in runner.active():
        finish(runner, state.id)
    assert runner.active() == []


def test_a_download_is_active_too(runner: Runner, fake: FakeEngine) -> None:
    fake.download_bytes = 10**12
    id = runner.download(["large"], "me")
    assert [state.id for state in runner.active("me")] == [id]
    assert runner.cancel_all("me") == 1
    assert finish(runner, id).status == "cancelled"


def test_a_waiting_job_moves_among_those_of_its_session(runner: Runner, fake: FakeEngine) -> None:
    hold_queue(runner, fake)
    ids = {prompt: runner.submit(request(prompt), prompt[0]) for prompt in ("a1", "b1", "a2", "a3")}
    assert prompts(runner.active())[1:] == ["a1", "b1", "a2", "a3"]
    runner.move(ids["a3"], 1)
    assert prompts(runner.active())[1:] == ["a3", "b1", "a1", "a2"]
    runner.move(ids["a3"], 2)
    told = prompts(runner.active())[1:]
    assert told == ["a1", "b1", "a3", "a2"]
    fake.gate.set()
    for id in ids.values():
        finish(runner, id)
    assert fake.prompts == ["runs", *told]


def test_what_cannot_move_is_refused(runner: Runner, fake: FakeEngine) -> None:
    hold_queue(runner, fake)
    (running,) = runner.active()
    waiting = runner.submit(request(), "me")
    with pytest.raises(InputError, match="runs already; only waiting jobs move"):
        runner.move(running.id, 1)
    for place in (0, 2, -1):
        with pytest.raises(InputError, match=f"place is {place}, but it must be a whole number from 1 to 1"):
            runner.move(waiting, place)
    runner.cancel(waiting)
    with pytest.raises(InputError, match="is over; only waiting jobs move"):
        runner.move(waiting, 1)
    with pytest.raises(InputError, match="There is no job 'lost'"):
        runner.move("lost", 1)


def test_cancel_all_ends_those_of_a_session_or_of_all(runner: Runner, fake: FakeEngine) -> None:
    hold_queue(runner, fake)
    mine = [runner.submit(request(), "me") for _ in range(3)]
    yours = runner.submit(request("yours"), "you")
    assert runner.cancel_all("me") == 3
    assert {runner.state(id).status for id in mine} == {"cancelled"}
    assert prompts(runner.active()) == ["runs", "yours"]
    assert runner.cancel_all() == 2
    assert finish(runner, yours).status == "cancelled"
    while runner.active():
        time.sleep(0.01)
    assert fake.prompts == ["runs"]


def test_a_job_that_is_cancelled_before_a_dead_engine_takes_it_is_over(
    runner: Runner, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, may_fail = threading.Event(), threading.Event()

    def die(_: object) -> None:
        asked.set()
        may_fail.wait(5)
        raise EngineError("The engine stopped.")

    with monkeypatch.context() as patch:
        patch.setattr(fake, "run", die)
        id = runner.submit(request(), "me")
        assert asked.wait(5)
        runner.cancel(id)
        may_fail.set()
        assert finish(runner, id).status == "cancelled"
    assert finish(runner, runner.submit(request(), "me")).status == "done"


def test_the_time_left_is_measured(runner: Runner, fake: FakeEngine) -> None:
    """Of the running job and of those that wait behind it; nothing is said before the first step."""
    fake.seconds = 0.02
    fake.gate.clear()
    running = runner.submit(request(num_inference_steps=10, num_images=2), "me")
    assert fake.entered.wait(5)
    waiting = runner.submit(request(num_inference_steps=20), "me")
    assert [state.seconds_left for state in runner.active()] == [None, None]
    fake.gate.set()
    states = list(runner.watch(running))
    left = [state.seconds_left for state in states if state.step > 2 and not state.is_over]
    assert left
    assert all(value is not None for value in left)
    assert states[-1].seconds_left is None
    assert finish(runner, waiting).seconds_left is None
    work = work_of(request())
    assert work is not None
    runner._pace.measure(work, steps=1, seconds=1.0)
    fake.gate.clear()
    fake.entered.clear()
    ids = [runner.submit(request(num_inference_steps=steps), "me") for steps in (10, 20, 40)]
    assert fake.entered.wait(5)
    assert [runner.state(id).seconds_left for id in ids] == [10.0, 30.0, 70.0]
    assert [state.seconds_left for state in runner.active()] == [10.0, 30.0, 70.0]
    fake.go_down("gone")
    assert [runner.state(id).seconds_left for id in ids[1:]] == [None, None]
    fake.start()


def test_pace_grows_with_pixels_and_steps_and_knows_bases_apart() -> None:
    pace = Pace()
    small = work_of(request(width=64, height=64, num_inference_steps=10, num_images=3))
    assert small is not None
    assert pace.seconds(small) is None
    pace.measure(small, steps=5, seconds=1.0)
    assert pace.seconds(small) == pytest.approx(6.0)
    assert pace.seconds(small, done=20) == pytest.approx(2.0)
    assert pace.seconds(small, done=40) == 0.0
    assert pace.seconds(replace(small, pixels=4 * 64 * 64)) == pytest.approx(24.0)
    assert pace.seconds(replace(small, base="other")) is None
    pace.measure(replace(small, units=3), steps=1, seconds=1.0)
    assert pace.seconds(small) == pytest.approx(6.0)
    assert pace.seconds(replace(small, units=3)) == pytest.approx(30.0)
    pace.measure(replace(small, reuse_threshold=0.1), steps=10, seconds=1.0)
    assert pace.seconds(replace(small, reuse_threshold=0.1)) == pytest.approx(3.0)
    assert pace.seconds(small) == pytest.approx(6.0)


def test_work_is_what_runs() -> None:
    picture = encode_png(np.zeros((64, 64, 3), np.uint8))
    start = work_of(request(initial_image=picture, strength=0.5, num_inference_steps=20, guidance_scale=7.0))
    assert start is not None
    assert (start.steps, start.guided, start.pixels, start.pictures) == (10, True, 4096, 1)
    larger = work_of(UpscaleRequest(picture=picture, factor=2.0, strength=0.4, num_inference_steps=20))
    assert larger is not None
    assert (larger.steps, larger.pixels, larger.units) == (8, 16384, 1)
    assert work_of(DownloadRequest(ids=("sd15",))) is None


class Wait:
    """A thread that waits for one change."""

    def __init__(self, runner: Runner, timeout: float = 10.0) -> None:
        self.before = runner.wait_for_change(0, 0)
        self.after = 0
        self._thread = threading.Thread(target=self._wait, args=(runner, timeout))
        self._thread.start()

    def _wait(self, runner: Runner, timeout: float) -> None:
        self.after = runner.wait_for_change(self.before, timeout)

    def ends(self) -> bool:
        """Return whether it ended because something changed."""
        self._thread.join(5)
        return not self._thread.is_alive() and self.after > self.before


def test_a_page_waits_until_something_changes(runner: Runner, fake: FakeEngine) -> None:
    fake.gate.clear()
    wait = Wait(runner)
    id = runner.submit(request(), "me")
    assert wait.ends()
    assert fake.entered.wait(5)
    time.sleep(0.05)
    wait = Wait(runner)
    fake.gate.set()
    assert wait.ends()
    finish(runner, id)
    (picture,) = runner.library.search().pictures
    wait = Wait(runner)
    runner.library.set_favourite([picture.id], True)
    assert wait.ends()


def test_a_change_of_the_engine_ends_the_wait(runner: Runner, fake: FakeEngine) -> None:
    runner.start()
    wait = Wait(runner)
    fake.go_down("gone")
    assert wait.ends()


def test_without_a_change_the_wait_ends_at_its_time_and_with_the_same_version(runner: Runner) -> None:
    version = runner.wait_for_change(0, 10)
    began = time.monotonic()
    assert runner.wait_for_change(version, 0.1) == version
    assert 0.1 <= time.monotonic() - began < 2
    assert runner.wait_for_change(version + 5, 10) == version


def test_closing_ends_every_wait_and_the_next_start_has_another_version(fake: FakeEngine, tmp_path: Path) -> None:
    settings = Settings(output_dir=tmp_path)
    first = Runner(settings, fake)
    wait = Wait(first)
    first.close()
    assert wait.ends()
    second = Runner(settings, fake)
    assert second.wait_for_change(wait.after, 0) != wait.after
    second.close()
