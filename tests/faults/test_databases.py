"""A history that is locked, damaged, another program's, newer, or shared: kept aside where it is no use, and the app goes on."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from cnet_app.jobs.library import database as database_module
from cnet_app.jobs.library.library import Library
from cnet_app.jobs.presence import Presence
from cnet_app.jobs.runner import HISTORY, Runner
from cnet_app.jobs.store import Store
from cnet_app.settings import Settings
from models.errors import SaveError
from tests.faults.conftest import IS_POSIX, sentence
from tests.jobs.fake_engine import FakeEngine, request
from tests.jobs.test_runner import finish
from tests.jobs.test_store import sql
from tests.jobs.test_sweeps import bench_in
from tests.source import ROOT


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0.2)
    monkeypatch.setattr(database_module, "PAUSE", 0.0)


def runner_in(folder: Path) -> Runner:
    return Runner(Settings(output_dir=folder), FakeEngine())


def test_a_history_that_another_program_locks_is_named_and_the_app_goes_on_after_it(tmp_path: Path) -> None:
    runner = runner_in(tmp_path)
    finish(runner, runner.submit(request("before"), "me"))
    engine = runner._engine
    assert isinstance(engine, FakeEngine)
    engine.gate.clear()
    engine.entered.clear()
    running = runner.submit(request("during"), "me")
    assert engine.entered.wait(10)
    while runner.history()[0].status != "running":
        time.sleep(0.01)
    with closing(sqlite3.connect(tmp_path / HISTORY)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SaveError) as caught:
            runner.submit(request("refused"), "me")
        assert "another program holds it" in sentence(caught.value)
        assert runner.library.search().total == 1  # reading goes on
        engine.gate.set()
        end = finish(runner, running)
        assert "another program holds it" in end.error and len(end.paths) == 1
        assert runner.library.search().total == 1  # with writes that wait, too
        other.rollback()
    assert runner.library.search().total == 2
    assert {record.prompt: record.status for record in runner.history()} == {"before": "done", "during": "failed"}
    assert finish(runner, runner.submit(request("after"), "me")).status == "done"
    runner.close()


def test_a_start_on_a_locked_history_is_refused_in_a_sentence(tmp_path: Path) -> None:
    Store(tmp_path / HISTORY).close()
    with closing(sqlite3.connect(tmp_path / HISTORY)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SaveError) as caught:
            runner_in(tmp_path)
        assert "another program holds it" in sentence(caught.value)
    runner_in(tmp_path).close()


def make_old(path: Path) -> None:
    """Date a picture to when no job can still be writing it."""
    moment = time.time() - 1000
    os.utime(path, (moment, moment))


def made_or_refused(runner: Runner, prompt: str) -> str:
    """Search, then make a picture: how the job ended, or the sentence of what was refused."""
    try:
        runner.library.search()
        return finish(runner, runner.submit(request(prompt), "me")).status
    except SaveError as error:
        return sentence(error)


@pytest.mark.parametrize("damage", ["noise", "cut", "header", "page"])
def test_a_damaged_history_is_kept_aside_and_its_pictures_are_found_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    runner = runner_in(tmp_path)
    for number in range(3):
        finish(runner, runner.submit(request(f"cat {number}"), "me"))
    runner.close()
    for path in tmp_path.glob("*.png"):
        make_old(path)
    path = tmp_path / HISTORY
    content = bytearray(path.read_bytes())
    if damage == "noise":
        content = bytearray(os.urandom(len(content)))
    elif damage == "cut":
        del content[len(content) // 3 :]
    elif damage == "header":
        content[:100] = bytes(100)
    else:  # every page but the first, so that opening it finds nothing at once
        content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    again = runner_in(tmp_path)
    ends = [made_or_refused(again, "a dog") for _ in range(3)]
    assert ends.count("done") >= 1 and ends[-1] == "done"
    assert all(end == "done" or "kept aside" in end for end in ends)
    assert sorted(picture.prompt for picture in again.library.search().pictures) == [
        *["a dog"] * ends.count("done"), "cat 0", "cat 1", "cat 2"
    ]  # fmt: skip
    (aside,) = tmp_path.glob(f"{HISTORY}.broken-*")
    assert aside.stat().st_size >= len(content) // 2
    assert "damaged" in caplog.text
    again.close()


def test_a_history_that_is_damaged_while_the_app_runs_begins_again(tmp_path: Path) -> None:
    runner = runner_in(tmp_path)
    finish(runner, runner.submit(request("a cat"), "me"))
    (path,) = tmp_path.glob("*.png")
    make_old(path)
    runner._store.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (tmp_path / HISTORY).open("rb+") as file:
        file.write(os.urandom(20_000))
    runner._store.database.connection.execute("PRAGMA shrink_memory")  # else it goes on with what it has read
    assert "kept aside" in made_or_refused(runner, "a dog")
    assert made_or_refused(runner, "a dog") == "done"
    assert len(runner.library.search().pictures) >= 2
    assert len(list(tmp_path.glob(f"{HISTORY}.broken-*"))) == 1
    runner.close()


FOREIGN = {
    "another program's tables": "CREATE TABLE bookmarks (id TEXT, address TEXT)",
    "another program's jobs": "CREATE TABLE jobs (id TEXT, printer TEXT)",
}


@pytest.mark.parametrize("statement", FOREIGN.values(), ids=FOREIGN)
def test_another_programs_database_is_moved_aside_unchanged(
    tmp_path: Path, statement: str, caplog: pytest.LogCaptureFixture
) -> None:
    sql(tmp_path / HISTORY, statement)
    before = (tmp_path / HISTORY).read_bytes()
    runner = runner_in(tmp_path)
    assert finish(runner, runner.submit(request(), "me")).status == "done"
    runner.close()
    (aside,) = tmp_path.glob(f"{HISTORY}.foreign-*")
    assert aside.read_bytes() == before
    assert "another program's file" in caplog.text


def test_a_newer_history_is_moved_aside_with_what_its_app_had_not_merged_yet(tmp_path: Path) -> None:
    code = f"""
import os, sqlite3
connection = sqlite3.connect({str(tmp_path / HISTORY)!r})
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("PRAGMA user_version = 9")
connection.execute("CREATE TABLE jobs (id TEXT)")
connection.commit()
connection.execute("INSERT INTO jobs VALUES ('last')")
connection.commit()
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    assert (tmp_path / f"{HISTORY}-wal").stat().st_size
    runner_in(tmp_path).close()
    aside = next(path for path in tmp_path.glob(f"{HISTORY}.newer-*") if not path.name.endswith(("-wal", "-shm")))
    assert sql(aside, "SELECT id FROM jobs") == [("last",)]


def test_two_that_are_moved_aside_in_one_second_are_both_kept(tmp_path: Path) -> None:
    for _ in range(2):
        (tmp_path / HISTORY).write_bytes(b"no database" * 1000)
        runner_in(tmp_path).close()
    assert len(list(tmp_path.glob(f"{HISTORY}.broken-*"))) == 2


@pytest.mark.skipif(not IS_POSIX, reason="Windows locks no folder")
def test_a_second_app_in_the_same_folder_leaves_the_jobs_of_the_first_alone(tmp_path: Path) -> None:
    first = runner_in(tmp_path)
    engine = first._engine
    assert isinstance(engine, FakeEngine)
    engine.gate.clear()
    id = first.submit(request("of the first", num_images=2), "me")
    assert engine.entered.wait(10)
    second = runner_in(tmp_path)
    ends = time.monotonic() + 10
    while second.history()[0].status == "queued" and time.monotonic() < ends:  # the row follows the engine
        time.sleep(0.02)
    assert [(record.id, record.status) for record in second.history()] == [(id, "running")]
    with pytest.raises(ValueError, match="has not ended; wait for it"):
        second.resume(id, "me")
    assert finish(second, second.submit(request("of the second"), "me")).status == "done"
    engine.gate.set()
    assert finish(first, id).status == "done"
    for runner in (first, second):
        assert [picture.prompt for picture in runner.library.search().pictures] == ["of the first"] * 2 + [
            "of the second"
        ]
    second.close()
    first.close()
    assert {record.status for record in Store(tmp_path / HISTORY).recent()} == {"done"}


@pytest.mark.skipif(not IS_POSIX, reason="Windows locks no folder")
def test_what_a_killed_app_left_beside_another_one_is_interrupted_at_the_next_start_alone(tmp_path: Path) -> None:
    code = f"""
import os, pathlib
from cnet_app.jobs.store import Store
from tests.jobs.fake_engine import request
Store(pathlib.Path({str(tmp_path / HISTORY)!r})).add("killed", request())
os.kill(os.getpid(), 9)
"""
    other = Store(tmp_path / HISTORY)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == -9
    assert other.get("killed").status == "queued"
    other.close()
    assert Store(tmp_path / HISTORY).get("killed").status == "interrupted"


@pytest.mark.skipif(not IS_POSIX, reason="Windows locks no folder")
def test_presence_ends_with_the_last_who_leaves(tmp_path: Path) -> None:
    one = Presence(tmp_path)
    one.settle()
    two = Presence(tmp_path)
    two.settle()
    assert (one.is_alone, two.is_alone) == (True, False)
    one.leave()
    assert not Presence(tmp_path).is_alone
    two.leave()
    assert Presence(tmp_path).is_alone
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_locked_an_app_is_alone(tmp_path: Path) -> None:
    assert Presence(tmp_path / "missing").is_alone


@pytest.mark.skipif(not IS_POSIX, reason="Windows locks no folder")
def test_a_sweep_that_another_process_runs_is_not_made_twice(tmp_path: Path) -> None:
    bench = bench_in(tmp_path)
    manifest = bench.grid("seed: 3, 4")
    other = Presence(manifest.folder)
    state = bench.finish(bench.sweeps.start(manifest, "me"))
    assert state.status == "failed" and "running in another app" in state.error
    assert bench.engine.prompts == []
    other.leave()
    assert bench.finish(bench.sweeps.resume(manifest.id, "me")).done == 2
    bench.close()


def test_a_write_that_waits_is_made_as_the_app_closes(tmp_path: Path) -> None:
    store = Store(tmp_path / HISTORY)
    store.add("one", request())
    with closing(sqlite3.connect(tmp_path / HISTORY)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(SaveError):
            store.update("one", "failed", error="why")
    store.close()
    (record,) = Store(tmp_path / HISTORY).recent()
    assert (record.status, record.error) == ("failed", "why")


def test_a_library_of_a_history_that_is_gone_is_that_of_its_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    store = Store(tmp_path / HISTORY)
    library = Library(store.database, tmp_path)
    assert library.search().total == 0
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"{HISTORY}{ending}").unlink(missing_ok=True)
    store.add("one", request())
    assert [record.id for record in store.recent()] == ["one"]
    assert "removed or replaced" in caplog.text
    assert [record.id for record in Store(tmp_path / HISTORY).recent()] == ["one"]
