"""Folders keep within their bounds, and what was used last stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cnet_app.jobs.library.rooms import Room, remove_older, remove_oldest_folders


def write(path: Path, size: int, age: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0" * size)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_the_files_that_were_not_used_for_longest_go(tmp_path: Path) -> None:
    old = write(tmp_path / "a" / "old", 40, 30)
    used = write(tmp_path / "b" / "used", 40, 10)
    Room(tmp_path, 100).make_room(50)
    assert used.exists() and not old.parent.exists()


def test_a_room_is_searched_again_only_where_it_may_be_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room, searches = Room(tmp_path, 10_000), list[int]()
    trimmed = room._trimmed
    monkeypatch.setattr(room, "_trimmed", lambda most: searches.append(most) or trimmed(most))
    for number in range(8):
        room.make_room(10)
        write(tmp_path / str(number), 10)
    assert searches == [9_990], "the first time it is looked at"
    for number in range(8, 1100):
        room.make_room(10)
        write(tmp_path / str(number), 10)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000
    assert len(searches) < 50


def test_files_of_other_processes_count_after_a_while(tmp_path: Path) -> None:
    room = Room(tmp_path, 1000)
    room.make_room(10)
    foreign = write(tmp_path / "foreign", 990, 10)
    room.make_room(30)
    assert foreign.exists()
    room.make_room(20)
    assert not foreign.exists()


def test_old_files_and_empty_folders_are_removed(tmp_path: Path) -> None:
    old, young = write(tmp_path / "a" / "photo.png", 1, 100), write(tmp_path / "b" / "photo.png", 1, 10)
    empty = tmp_path / "c"
    empty.mkdir()
    os.utime(empty, (1e9, 1e9))
    assert remove_older(tmp_path, 50) == 1
    assert not old.exists() and young.exists() and not empty.exists()


def test_the_oldest_folders_go_but_not_those_in_use(tmp_path: Path) -> None:
    for age, name in ((40, "runs"), (30, "old"), (20, "middle"), (10, "new")):
        write(tmp_path / "grids" / name / "inputs" / "map.png", 100, age)
    removed = remove_oldest_folders([tmp_path / "grids", tmp_path / "batches"], 250, {"runs"})
    assert removed == ["old", "middle"]
    assert sorted(path.name for path in (tmp_path / "grids").iterdir()) == ["new", "runs"]
