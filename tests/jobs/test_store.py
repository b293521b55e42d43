"""The history outlives the process, damage and other versions, and is listed without its requests and pictures."""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnet_app.jobs.library import tables
from cnet_app.jobs.store import Store
from cnet_app.request.downloads import DownloadRequest
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.maps import MapRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.tasks import Task, task_to_json
from cnet_app.request.units import ControlUnit, IpAdapter
from cnet_app.request.upscale import UpscaleRequest
from models.errors import InputError, SaveError
from tests.jobs.fake_engine import request


def test_a_job_is_remembered_with_its_whole_request(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / "history.sqlite3")
    wanted = request("a cat", seed=9)
    store.add("one", wanted)
    store.update("one", "done", ["a.png", "b.png"])
    store.close()
    again = Store(tmp_path / "new" / "history.sqlite3")
    (record,) = again.recent()
    assert (record.id, record.status, record.paths, record.error) == ("one", "done", ("a.png", "b.png"), "")
    assert again.request("one") == wanted


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


def test_only_the_newest_jobs_are_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "history.sqlite3", kept=3)
    for number in range(5):
        store.add(str(number), request())
    assert [record.id for record in store.recent()] == ["4", "3", "2"]


def test_the_oldest_jobs_go_where_their_pictures_are_too_large_together(tmp_path: Path) -> None:
    unit = request().units[0]
    maps = [encode_png(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)) for seed in range(6)]
    store = Store(tmp_path / "history.sqlite3", kept_bytes=int(3.5 * max(map(len, maps))))
    for number, control in enumerate(maps):
        store.add(str(number), request(units=(dataclasses.replace(unit, control_image=control),)))
    assert [record.id for record in store.recent()] == ["5", "4", "3"]
    alone = Store(tmp_path / "alone.sqlite3", kept_bytes=1)
    alone.add("too large", request())
    assert [record.id for record in alone.recent()] == ["too large"]


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SaveError, match="cannot be made"):
        Store(tmp_path / "file" / "history.sqlite3")


def picture(seed: int) -> bytes:
    return encode_png(np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def with_pictures(look: int, **values: Any) -> GenerationRequest:
    """A request with a picture in every place for one, three of them different."""
    unit = ControlUnit(condition="canny", control_image=picture(look), mask=picture(look + 1))
    given: dict[str, Any] = {
        "units": (unit, ControlUnit(condition="depth", control_image=picture(look))),
        "initial_image": picture(look + 2),
        "inpaint_mask": picture(look + 1),
        "ip_adapter": IpAdapter(name="ip_adapter_sd15", image=picture(look + 2)),
    }
    return GenerationRequest(**given | values)


def sql(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement, values).fetchall()


TASKS: dict[str, Task] = {
    "generation": with_pictures(0, prompt="a cat", base="sd15", width=512, num_images=2, seed=5),
    "map": MapRequest(condition="depth", annotator="midas", source_image=picture(1)),
    "upscale": UpscaleRequest(picture=picture(2), factor=1.5, prompt="a dog", base="sdxl", seed=7),
    "download": DownloadRequest(ids=("sd15", "owner/name")),
}


def test_every_kind_of_task_has_its_columns_and_comes_back_whole(tmp_path: Path) -> None:
    store = Store(tmp_path / "history.sqlite3")
    for kind, task in TASKS.items():
        store.add(kind, task, session="me")
    store.update("generation", "done", ["a.png"], seconds=1.5, scores={"canny": 0.9})
    store.update("generation", "failed", error="too small")
    found = {record.id: record for record in store.recent()}
    assert {id: store.request(id) for id in found} == TASKS
    assert all((record.kind, record.session, record.schema) == (record.id, "me", 2) for record in found.values())
    one = found["generation"]
    assert (one.prompt, one.base, one.conditions) == ("a cat", "sd15", "canny, depth")
    assert (one.width, one.height, one.num_images, one.seed) == (512, 256, 2, 5)
    assert (one.status, one.paths, one.error) == ("failed", ("a.png",), "too small")
    assert (one.seconds, one.scores) == (1.5, {"canny": 0.9})
    assert (found["map"].conditions, found["map"].width, found["map"].seed) == ("depth", 64, None)
    assert (found["upscale"].prompt, found["upscale"].width, found["upscale"].seed) == ("a dog", 96, 7)
    assert (found["download"].prompt, found["download"].width) == ("", None)


def test_listing_reads_no_request_and_no_picture(tmp_path: Path) -> None:
    store = Store(tmp_path / "history.sqlite3")
    for number in range(20):
        store.add(str(number), with_pictures(number))
    ran: list[str] = []
    store.database.connection.set_trace_callback(ran.append)
    assert len(store.recent(10)) == 10
    assert [record.id for record in store.page(15, 10)] == ["4", "3", "2", "1", "0"]
    assert len([statement for statement in ran if "FROM jobs ORDER BY" in statement]) == 2
    assert not [statement for statement in ran if "blobs" in statement or "request" in statement]
    store.request("3")
    assert [statement for statement in ran if "blobs" in statement]


def test_a_picture_is_there_once_and_goes_with_the_last_job_that_refers_to_it(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    store = Store(path, kept=2)

    def blobs() -> int:
        return sql(path, "SELECT count(*) FROM blobs")[0][0]

    store.add("first", with_pictures(0))
    assert blobs() == 3
    store.add("same", with_pictures(0, prompt="again"))
    assert blobs() == 3
    store.add("next", with_pictures(10))
    assert [record.id for record in store.recent()] == ["next", "same"]
    assert blobs() == 6
    assert store.request("same") == with_pictures(0, prompt="again")
    store.add("last", with_pictures(10))
    assert blobs() == 3
    assert sql(path, "SELECT count(*) FROM job_blobs")[0][0] == 6
    assert b"iVBORw0KGgo" not in path.read_bytes()


UNREADABLE = [
    ('UPDATE jobs SET request = \'{"schema": 2, "dreams": 1}\'', "unknown field 'dreams'"),
    ("UPDATE jobs SET request = '{\"schema\": 9}', schema = 9", r"newer version \(schema 9"),
    ("UPDATE jobs SET request = '{\"prompt\": '", "is not JSON"),
    ("UPDATE jobs SET request = x'ff00'", "cannot be opened"),
    ('UPDATE jobs SET kind = \'video\', request = \'{"kind": "video", "schema": 2}\'', "kind is 'video'"),
    ("DELETE FROM blobs", "control_image is missing from the history"),
    ("UPDATE blobs SET data = x'00'", "cannot be opened"),
]


@pytest.mark.parametrize(("damage", "sentence"), UNREADABLE)
def test_a_row_that_cannot_be_read_is_listed_and_has_its_sentence_when_it_is_opened(
    tmp_path: Path, damage: str, sentence: str
) -> None:
    path = tmp_path / "history.sqlite3"
    store = Store(path)
    store.add("bad", request("a cat"))
    store.close()
    sql(path, damage)
    again = Store(path)
    again.add("good", with_pictures(0, prompt="a dog"))
    assert [(record.id, record.prompt) for record in again.recent()] == [("good", "a dog"), ("bad", "a cat")]
    with pytest.raises(InputError, match=sentence) as caught:
        again.request("bad")
    assert str(caught.value).startswith("This job of the history cannot be opened: ")
    assert again.request("good") == with_pictures(0, prompt="a dog")


@pytest.mark.parametrize("column", ["paths", "scores"])
@pytest.mark.parametrize("text", ["[", "3", "null", "", "[" * 100_000])
def test_a_damaged_column_is_empty(tmp_path: Path, column: str, text: str) -> None:
    path = tmp_path / "history.sqlite3"
    store = Store(path)
    store.add("one", request())
    sql(path, f"UPDATE jobs SET {column} = ?", text)
    (record,) = store.recent()
    assert (record.paths, record.scores) == ((), {})


def test_a_job_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no job 'lost' in the history"):
        Store(tmp_path / "history.sqlite3").request("lost")


def test_the_history_of_a_newer_version_is_moved_aside_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    sql(path, "CREATE TABLE dreams (id TEXT)")
    sql(path, "PRAGMA user_version = 9")
    assert Store(path).recent() == []
    (aside,) = tmp_path.glob("history.sqlite3.newer-*")
    assert sql(aside, "SELECT count(*) FROM dreams") == [(0,)]


VERSION_1 = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, created REAL NOT NULL, status TEXT NOT NULL, request TEXT NOT NULL,
    paths TEXT NOT NULL DEFAULT '[]', error TEXT NOT NULL DEFAULT ''
)"""


def old_history(path: Path, count: int) -> dict[str, GenerationRequest]:
    """A file as version 1 wrote it; the newest job is the last."""
    wanted = {f"job {n}": with_pictures(n, prompt=f"cat {n}", seed=n) for n in range(count)}
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(VERSION_1)
        for number, (id, task) in enumerate(wanted.items()):
            values = task_to_json(task)
            del values["kind"], values["schema"]
            row = (id, 1000.0 + number, "done" if number else "running", json.dumps(values), f'["{number}.png"]')
            statement = "INSERT INTO jobs (id, created, status, request, paths) VALUES (?, ?, ?, ?, ?)"
            connection.execute(statement, row)
    return wanted


def test_a_history_of_version_1_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    wanted = old_history(path, 50)
    store = Store(path)
    assert store.count() == 50
    store.add("new", request("a dog"))
    newest = store.recent(30)
    assert [record.id for record in newest] == ["new", *(f"job {n}" for n in range(49, 20, -1))]
    assert store.request("job 3") == wanted["job 3"]
    store.add("newer", request("a dog"))
    assert store.count() == 52
    store.close()
    again = Store(path)
    records = {record.id: record for record in again.recent(1000)}
    assert list(records) == ["newer", "new", *reversed(wanted)]
    assert {id: again.request(id) for id in wanted} == wanted
    one, first = records["job 7"], records["job 0"]
    assert (one.prompt, one.conditions, one.seed, one.width) == ("cat 7", "canny, depth", 7, 256)
    assert (one.kind, one.schema, one.created, one.status, one.paths) == ("generation", 1, 1007.0, "done", ("7.png",))
    assert first.status == "interrupted"


def test_opening_an_old_history_reads_no_request_and_listing_reads_each_once(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    old_history(path, 5)
    store = Store(path)
    assert sql(path, "SELECT count(*) FROM jobs") == [(0,)]
    store.recent(2)
    assert sql(path, "SELECT id FROM jobs ORDER BY number") == [("job 3",), ("job 4",)]
    ran: list[str] = []
    store.database.connection.set_trace_callback(ran.append)
    store.recent(2)
    assert not [statement for statement in ran if tables.OLD in statement and "request" in statement]


def test_a_take_over_that_is_cut_off_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.sqlite3"
    wanted = old_history(path, 30)
    describe = tables.describe

    def fail(values: Any) -> Any:
        if values["prompt"] == "cat 4":
            raise sqlite3.OperationalError("database or disk is full")
        return describe(values)

    store = Store(path)
    with monkeypatch.context() as patch:
        patch.setattr(tables, "describe", fail)
        with pytest.raises(SaveError, match="database or disk is full"):
            store.recent(1000)
    store.close()
    again = Store(path)
    assert [record.id for record in again.recent(1000)] == list(reversed(wanted))
    assert {id: again.request(id) for id in wanted} == wanted


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1, 2]",
        '{"sampler": "ddim"}',
        '{"units": 3, "prompt": 5, "seed": 99999999999999999999999, "base": ["x"]}',
        '{"units": [7, {"condition": 8, "control_image": "*"}], "ip_adapter": [], "initial_image": "abc"}',
        '{"prompt": "\\ud800"}',
    ],
)
def test_an_old_row_that_cannot_be_read_is_listed_too(tmp_path: Path, text: str) -> None:
    path = tmp_path / "history.sqlite3"
    wanted = old_history(path, 2)
    sql(path, "UPDATE jobs SET request = ? WHERE id = 'job 0'", text)
    store = Store(path)
    assert [record.id for record in store.recent()] == ["job 1", "job 0"]
    assert store.request("job 1") == wanted["job 1"]
    with pytest.raises(InputError, match="This job of the history cannot be opened"):
        store.request("job 0")


def test_old_rows_count_among_the_jobs_that_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    old_history(path, 6)
    store = Store(path, kept=4)
    for name in ("a", "b", "c"):
        store.add(name, request())
    assert [record.id for record in store.recent()] == ["c", "b", "a", "job 5"]
    assert sql(path, f"SELECT id FROM {tables.OLD}") == [("job 5",)]
    store.add("d", request())
    store.add("e", request())
    assert [record.id for record in store.recent()] == ["e", "d", "c", "b"]
    assert store.count() == 4
    assert not sql(path, "SELECT name FROM sqlite_master WHERE name = ?", tables.OLD)
