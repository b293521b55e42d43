"""The history outlives the process, and damage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnet_app.jobs import store as store_module
from cnet_app.jobs.store import Store
from models.errors import SaveError
from tests.jobs.fake_engine import request


def test_a_job_is_remembered_with_its_whole_request(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "history.sqlite3")
    wanted = request("a cat", seed=9)
    store.add("one", wanted)
    store.update("one", "done", ["a.png", "b.png"])
    store.close()
    (record,) = Store(tmp_path / "new" / "history.sqlite3").recent()
    assert (record.id, record.status, record.paths, record.error) == ("one", "done", ("a.png", "b.png"), "")
    assert record.request == wanted


def test_jobs_of_a_killed_process_are_interrupted_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    code = f"""
import os, pathlib
from cnet_app.jobs.store import Store
from tests.jobs.fake_engine import request
store = Store(pathlib.Path({str(path)!r}))
for name in ("waits", "runs", "over"):
    store.add(name, request(name))
store.update("runs", "running", ["first.png"])
store.update("over", "done")
os.kill(os.getpid(), 9)
"""
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == -9
    records = {record.id: record for record in Store(path).recent()}
    assert {name: record.status for name, record in records.items()} == {
        "waits": "interrupted",
        "runs": "interrupted",
        "over": "done",
    }
    assert records["runs"].paths == ("first.png",)


def test_a_damaged_history_is_kept_aside(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    path.write_bytes(b"this is no database, however long it may look" * 100)
    store = Store(path)
    assert store.recent() == []
    store.add("one", request())
    (kept,) = tmp_path.glob("history.sqlite3.broken-*")
    assert kept.read_bytes().startswith(b"this is no database")


def test_only_the_newest_jobs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "KEPT", 3)
    store = Store(tmp_path / "history.sqlite3")
    for number in range(5):
        store.add(str(number), request())
    assert [record.id for record in store.recent()] == ["4", "3", "2"]


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SaveError, match="cannot be made"):
        Store(tmp_path / "file" / "history.sqlite3")
