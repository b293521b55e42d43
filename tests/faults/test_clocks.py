"""A clock that is set back or ahead, and a time zone that changes: names stay apart, and the library keeps its order."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cnet_app.jobs.library.picture_rows import MAX_STEP_BACK
from cnet_app.jobs.library.search import Query
from cnet_app.request.recipe import save_picture
from models.downloads.whole import sweep_unfinished
from tests.faults.conftest import IS_POSIX
from tests.jobs.fake_engine import fake_picture, request
from tests.jobs.test_library import Shelf

NOON = 1_790_000_000.0


class Clock:
    """time.time() and what stands on it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = NOON
        local = time.localtime
        patch.setattr(time, "time", lambda: self.now)
        format = time.strftime
        patch.setattr(time, "strftime", lambda text, moment=None: format(text, moment or local(self.now)))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "pictures")


def test_pictures_of_one_second_and_seed_have_names_of_their_own(clock: Clock, tmp_path: Path) -> None:
    wanted = request(seed=7)
    paths = {save_picture(tmp_path, fake_picture(wanted, 3), wanted, 0) for _ in range(50)}
    assert len(paths) == 50
    assert len({path.name.rpartition("_")[0] for path in paths}) == 1


@pytest.mark.parametrize(
    "step", [-3600.0, -1.0, 0.0, 86_400.0], ids=["hour back", "second back", "stands", "day ahead"]
)
def test_the_newest_picture_is_first_whatever_the_clock_does(shelf: Shelf, clock: Clock, step: float) -> None:
    names = [f"number {n}" for n in range(4)]
    for number, name in enumerate(names):
        shelf.make(name)
        clock.now += 1.0 if number != 1 else step
    assert shelf.found() == names[::-1]
    assert shelf.found(sort="oldest") == names


def test_a_clock_that_was_far_ahead_is_not_believed_for_ever(shelf: Shelf, clock: Clock) -> None:
    clock.now = NOON + 10 * MAX_STEP_BACK
    shelf.make("of the future")
    clock.now = NOON
    shelf.make("of today")
    found = {picture.prompt: picture.created for picture in shelf.library.search().pictures}
    assert found["of today"] == NOON


@pytest.mark.skipif(not IS_POSIX, reason="Windows has no tzset")
@pytest.mark.parametrize("zones", [("Asia/Tokyo", "America/Los_Angeles"), ("America/Los_Angeles", "Asia/Tokyo")])
def test_days_follow_each_other_as_the_pictures_do_when_the_zone_changes(
    shelf: Shelf, clock: Clock, zones: tuple[str, str], monkeypatch: pytest.MonkeyPatch, zone: None
) -> None:
    for name in zones:
        monkeypatch.setenv("TZ", name)
        time.tzset()
        shelf.make(f"in {name}")
        clock.now += 60
    page = shelf.library.search(Query())
    assert [picture.prompt for picture in page.pictures] == [f"in {name}" for name in reversed(zones)]
    by_heading = [day for day, count in page.days for _ in range(count)]
    assert [picture.day for picture in page.pictures] == by_heading


@pytest.fixture
def zone() -> Iterator[None]:
    yield
    os.environ.pop("TZ", None)
    time.tzset()


def test_a_picture_of_the_future_is_found_by_its_recipe_too(shelf: Shelf, clock: Clock) -> None:
    wanted = request("from a wrong clock")
    path = save_picture(shelf.folder, fake_picture(wanted, 3), wanted, 0)
    os.utime(path, (NOON + 7200, NOON + 7200))
    assert shelf.found() == ["from a wrong clock"]


def test_the_trash_is_not_emptied_early_by_a_clock_that_was_set_back(shelf: Shelf, clock: Clock) -> None:
    shelf.library.delete([shelf.make()])
    clock.now -= 3600
    assert shelf.library.empty_trash(older_than=60) == 0
    clock.now += 7200
    assert shelf.library.empty_trash(older_than=60) == 1


def test_a_file_in_the_making_outlives_a_clock_that_was_set_back(tmp_path: Path, clock: Clock) -> None:
    part = tmp_path / f".picture.png.{os.getpid()}.part"
    part.touch()
    os.utime(part, (NOON + 3600, NOON + 3600))
    sweep_unfinished(tmp_path)
    assert part.exists()
