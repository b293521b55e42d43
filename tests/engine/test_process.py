"""A child that dies takes its task with it and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil
import pytest

from cnet_app.engine import process as process_module
from cnet_app.engine import watchdog
from cnet_app.engine.process import ProcessEngine
from cnet_app.engine.protocol import EngineStatus, Loading, Note, PictureMade, Prepared, Stepped
from cnet_app.request.generation import GenerationRequest
from cnet_app.settings import Settings
from models.errors import CancelledError, EngineError, InputError
from tests.engine import children
from tests.jobs.fake_engine import request

pytestmark = pytest.mark.slow

PATIENCE = 20.0


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessEngine]:
    monkeypatch.setattr(process_module, "BACKOFF", (0.0, 0.05, 0.1))
    yield from _engine(tmp_path, children.serve)


def _engine(tmp_path: Path, target: Callable[[Connection, Settings, int], None]) -> Iterator[ProcessEngine]:
    engine = ProcessEngine(Settings(output_dir=tmp_path), target)
    yield engine
    engine.close()


def prompt(text: str) -> GenerationRequest:
    return request(text)


def wait_for(engine: ProcessEngine, state: str) -> EngineStatus:
    ends = time.monotonic() + PATIENCE
    while engine.status().state != state:
        assert time.monotonic() < ends, engine.status()
        time.sleep(0.01)
    return engine.status()


def test_making_it_starts_nothing_and_closing_it_leaves_nothing(engine: ProcessEngine) -> None:
    before = {child.pid for child in psutil.Process().children()}
    assert engine.status().state == "new"
    engine.start()
    pid = wait_for(engine, "ready").process_id
    assert psutil.pid_exists(pid)
    engine.close()
    assert not psutil.pid_exists(pid)
    assert {child.pid for child in psutil.Process().children() if child.pid not in before} <= _trackers()


def _trackers() -> set[int]:
    """multiprocessing's own helper, one for the whole life of this process."""
    alive = (child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE)
    return {child.pid for child in alive if "resource_tracker" in " ".join(child.cmdline())}


def test_events_and_a_picture_cross_the_border(engine: ProcessEngine) -> None:
    note, picture = list(engine.run(prompt("picture")))
    assert note == Note(text="picture")
    assert isinstance(picture, PictureMade)
    assert np.array_equal(picture.pixels, np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8))


def test_a_users_mistake_is_raised_here_and_the_child_lives_on(engine: ProcessEngine) -> None:
    with pytest.raises(InputError, match=r"^A mistake\.$"):
        list(engine.run(prompt("mistake")))
    assert list(engine.run(prompt("fine"))) == [Note(text="fine")]
    assert engine.status().starts == 1


def test_tasks_run_side_by_side_and_one_is_cancelled_alone(engine: ProcessEngine) -> None:
    waiting = engine.run(prompt("wait"))
    assert next(waiting) == Note(text="wait")
    assert list(engine.run(prompt("fine"))) == [Note(text="fine")]
    waiting.close()
    with pytest.raises(CancelledError):
        next(waiting)


@pytest.mark.parametrize(
    ("way", "reason"),
    [("kill", "SIGKILL, often for lack of memory"), ("segfault", "SIGSEGV"), ("exit", "exit code 3"), ("broken device", "stopped working")],
)  # fmt: skip
def test_a_death_ends_its_tasks_with_a_sentence_and_the_next_task_runs(
    engine: ProcessEngine, way: str, reason: str
) -> None:
    waiting = engine.run(prompt("wait"))
    assert next(waiting) == Note(text="wait")
    with pytest.raises(EngineError, match=reason):
        list(engine.run(prompt(way)))
    with pytest.raises(EngineError, match="starts again"):
        list(waiting)
    assert list(engine.run(prompt("fine"))) == [Note(text="fine")]
    assert engine.status().starts == 2


def test_after_three_deaths_in_a_minute_it_stays_down_until_it_is_started(engine: ProcessEngine) -> None:
    for _ in range(3):
        with pytest.raises(EngineError):
            list(engine.run(prompt("kill")))
    status = wait_for(engine, "down")
    assert "stopped 3 times within a minute" in status.message
    assert "SIGKILL" in status.message
    with pytest.raises(EngineError, match="3 times"):
        engine.run(prompt("fine"))
    engine.start()
    assert list(engine.run(prompt("fine"))) == [Note(text="fine")]
    assert wait_for(engine, "ready").message == ""


def test_deaths_long_ago_do_not_count(engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "WINDOW", 0.0)
    for _ in range(4):
        with pytest.raises(EngineError):
            list(engine.run(prompt("kill")))
    assert list(engine.run(prompt("fine"))) == [Note(text="fine")]


def test_a_child_that_cannot_start_is_named_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "BACKOFF", (0.0, 0.0, 0.0))
    for engine in _engine(tmp_path, children.die_at_once):
        engine.start()
        assert "no torch here" in wait_for(engine, "down").message


def test_a_child_that_reads_no_message_yet_is_closed_soon_and_its_tasks_end(tmp_path: Path) -> None:
    for engine in _engine(tmp_path, children.never_up):
        waiting = engine.run(prompt("wait"))
        pid = engine.status().process_id
        began = time.monotonic()
        engine.close()
        assert time.monotonic() - began < process_module.GRACE
        assert not psutil.pid_exists(pid)
        with pytest.raises(CancelledError):
            next(waiting)


def test_no_zombie_is_left_after_deaths(engine: ProcessEngine) -> None:
    before = {child.pid for child in psutil.Process().children()}
    for _ in range(2):
        with pytest.raises(EngineError):
            list(engine.run(prompt("kill")))
    assert list(engine.run(prompt("fine"))) == [Note(text="fine")]
    statuses = [child.status() for child in psutil.Process().children() if child.pid not in before]
    assert psutil.STATUS_ZOMBIE not in statuses


@pytest.mark.parametrize("stage", children.STAGES)
def test_killed_at_any_stage_it_says_so_and_the_next_task_runs(engine: ProcessEngine, stage: str) -> None:
    with pytest.raises(EngineError, match="The engine stopped while it worked on this .*; it starts again"):
        list(engine.run(prompt(stage)))
    assert list(engine.run(prompt("fine"))) == [Note(text="fine")]
    assert engine.status().starts == 2


def test_what_a_killed_child_had_made_is_delivered(engine: ProcessEngine) -> None:
    stream = engine.run(prompt("made"))
    kinds = [type(next(stream)) for _ in range(5)]
    assert kinds == [Note, Loading, Prepared, Stepped, PictureMade]
    with pytest.raises(EngineError):
        next(stream)


def test_a_cancelled_task_that_hangs_is_ended_with_its_process_and_the_next_one_runs(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "CANCEL_LIMIT", 0.3)
    hanging, other = engine.run(prompt("hang")), engine.run(prompt("wait"))
    assert (next(hanging), next(other)) == (Note(text="hang"), Note(text="wait"))
    hanging.close()
    with pytest.raises(CancelledError):
        next(hanging)
    with pytest.raises(EngineError, match="a cancelled task did not end within 0.3 seconds"):
        next(other)
    assert list(engine.run(prompt("fine"))) == [Note(text="fine")]


def test_a_task_that_hangs_is_noticed_and_one_that_works_in_silence_is_left_alone(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "SILENCE_LIMIT", 0.6)
    monkeypatch.setattr(watchdog, "IDLE", 0.05)
    monkeypatch.setattr(process_module, "CHECK", 0.05)
    assert list(engine.run(prompt("work"))) == [Note(text="work")]
    hanging = engine.run(prompt("hang"))
    assert next(hanging) == Note(text="hang")
    with pytest.raises(EngineError, match="a task showed no sign of work for 0.01 minutes"):
        next(hanging)
    assert list(engine.run(prompt("fine"))) == [Note(text="fine")]
    assert engine.status().starts == 2
