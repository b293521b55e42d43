"""What nobody needs any more is gone: idle sessions, old logins, uploads, and what grids keep."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from cnet_app.settings import Settings
from cnet_app.ui.gradio_seams import IDLE, MAX_LOGINS, CheckedBlocks, GuardedApp, IdleStates
from cnet_app.ui.housekeeping import KEPT_HERE, KEPT_OF_VISITORS, Housekeeping
from cnet_app.ui.protection.guard import Guard
from tests.ui.conftest import FRAME, Caller, create_caller


@pytest.fixture
def blocks() -> CheckedBlocks:
    with CheckedBlocks() as made:
        gr.api(lambda: 1, api_name="one")
    made.queue()
    made.drop_statistics()
    return made


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_idle_session_is_gone_within_a_minute(blocks: CheckedBlocks) -> None:
    clock = Clock()
    states = IdleStates(clock)
    states.set_blocks(blocks)
    events: dict[str, Any] = blocks.calls.event_ids_to_events
    for session in ("idle", "busy"):
        assert states[session] is states[session]
        blocks.calls.pending_event_ids_session[session] = set()
    events["event"] = SimpleNamespace(session_hash="busy")
    blocks.calls.pending_messages_per_session["unread"] = SimpleNamespace()  # pyright: ignore[reportArgumentType]
    states.delete_all_expired_state()
    clock.now = IDLE - 1
    states.delete_all_expired_state()
    assert set(states.session_data) == {"idle", "busy"} and "unread" in blocks.calls.pending_messages_per_session
    clock.now = IDLE
    states.delete_all_expired_state()
    assert set(states.session_data) == set(states.time_last_used) == {"busy"}
    assert set(blocks.calls.pending_event_ids_session) == {"busy"}
    assert not blocks.calls.pending_messages_per_session
    events.clear()
    clock.now = 2 * IDLE
    states.delete_all_expired_state()
    assert not states.session_data and not blocks.calls.pending_event_ids_session
    assert IDLE < 60


def test_an_answer_can_be_fetched_for_a_while_after_a_long_event(blocks: CheckedBlocks) -> None:
    clock = Clock()
    states = IdleStates(clock)
    states.set_blocks(blocks)
    assert states["slow"]
    events: dict[str, Any] = blocks.calls.event_ids_to_events
    events["event"] = SimpleNamespace(session_hash="slow")
    clock.now = 1000
    states.delete_all_expired_state()
    events.clear()
    clock.now = 1000 + IDLE - 1
    states.delete_all_expired_state()
    assert "slow" in states


def test_no_statistics_of_events_are_kept(blocks: CheckedBlocks) -> None:
    assert blocks.calls.ANALYTICS_MAX_EVENTS == 1
    assert blocks.calls.compute_analytics_summary([{"function": "one"}]) == {"functions": {}}


def test_the_oldest_logins_end(tmp_path: Path) -> None:
    app = GuardedApp(Guard(Settings(output_dir=tmp_path)), [])
    app.tokens = {str(number): "me" for number in range(MAX_LOGINS + 2)}
    app.forget_logins()
    assert len(app.tokens) == MAX_LOGINS and "1" not in app.tokens and "2" in app.tokens


def upload(folder: Path, name: str, age: float, size: int = 10) -> Path:
    path = folder / name / "photo.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\0" * size)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


@pytest.mark.parametrize(("public", "kept"), [(False, KEPT_HERE), (True, KEPT_OF_VISITORS)])
def test_uploads_go_after_their_time_and_where_they_are_too_many(tmp_path: Path, public: bool, kept: int) -> None:
    for caller in create_caller(tmp_path, public=public, max_uploads_mb=1):
        folder = tmp_path / "own"
        old, young = upload(folder, "old", kept + 60), upload(folder, "young", kept - 60)
        Housekeeping(caller.context.settings, caller.context.sweeps, folder, ()).tidy()
        assert not old.exists() and young.exists()
        large = upload(folder, "large", 0, 999_999)
        Housekeeping(caller.context.settings, caller.context.sweeps, folder, ()).tidy()
        assert not young.exists() and large.exists()


def test_a_folder_that_cannot_be_tidied_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for caller in create_caller(tmp_path):
        house = Housekeeping(caller.context.settings, caller.context.sweeps, tmp_path / "none", ())
        house.tidy()
        house.uploads = tmp_path / "own"
        upload(house.uploads, "old", KEPT_HERE + 60)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "unlink", refuse)
            house.tidy()
    assert "could not be removed" in caplog.text


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.fixture
def public(tmp_path: Path) -> Iterator[Caller]:
    yield from create_caller(tmp_path, public=True)


def test_what_grids_keep_is_bounded_and_the_pictures_stay(public: Caller) -> None:
    values = {"draft": {"frame": FRAME}, "axes": [{"name": "guidance_scale", "values": [3, 5]}]}
    first, second = (finish(public, public("grid", **values)["sweep"]) for _ in range(2))
    assert public.context.sweeps.trim(1_000_000_000) == 0
    size = sum(path.stat().st_size for path in (public.context.settings.output_dir / "grids").rglob("*.*"))
    assert public.context.sweeps.trim(size - 1) == 1
    assert "There is no grid or batch" in public("sweep", sweep=first)["error"]
    assert public("sweep", sweep=second)["status"] == "done"
    assert public("library")["total"] == 4


def finish(caller: Caller, sweep: str) -> str:
    while caller("sweep", sweep=sweep)["status"] == "running":
        time.sleep(0.05)
    return sweep
