"""The page follows, reorders, cancels and continues jobs; in public each visitor the own ones alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.fake_engine import request
from tests.ui.studio_calls import SOON, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.engine.gate.set()
    desk.runner.close()


@pytest.fixture
def public(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, is_public=True)
    yield desk
    desk.engine.gate.set()
    desk.runner.close()


def hold(desk: Desk, *prompts: str, session: str = "me") -> list[str]:
    """Queue jobs of which the first runs and none ends."""
    desk.engine.gate.clear()
    jobs = [desk.runner.submit(request(prompt), session) for prompt in prompts]
    assert desk.engine.entered.wait(SOON)
    return jobs


def jobs_of(desk: Desk, session: str = "me", **values: Any) -> list[str]:
    return [job["prompt"] for job in desk.call("watch", session, **values)["jobs"]]


def test_a_new_page_finds_the_jobs_of_its_browser(desk: Desk) -> None:
    hold(desk, "one", "two")
    now = desk.call("watch", token=None)
    assert [(job["prompt"], job["status"], job["place"]) for job in now["jobs"]] == [
        ("one", "running", 0),
        ("two", "queued", 1),
    ]
    assert now["jobs"][0]["conditions"] == ["canny"] and now["jobs"][0]["width"] == 64
    assert now["others"] == 0
    assert desk.call("watch", "other", token=None)["others"] == 2
    assert jobs_of(desk, "") == []


def test_waiting_jobs_move_and_are_cancelled(desk: Desk) -> None:
    _, two, three = hold(desk, "one", "two", "three")
    desk.call("move", job=three, place=1)
    assert jobs_of(desk) == ["one", "three", "two"]
    assert "from 1 to 2" in desk.call("move", job=two, place=3)["error"]
    assert "whole number" in desk.call("move", job=two, place="first")["error"]
    desk.call("cancel", job=two)
    assert jobs_of(desk) == ["one", "three"]
    assert desk.call("cancel_all") == {"cancelled": 2}
    assert desk.call("cancel_all", "") == {"cancelled": 0}


def test_a_finished_picture_comes_with_its_id(desk: Desk) -> None:
    state = desk.make(request(num_images=2))
    (job,) = desk.call("watch", follow=[state.id])["jobs"]
    assert job["ids"] == desk.picture_ids()[::-1] and len(job["pictures"]) == 2


def test_a_cancelled_job_is_offered_and_continued(desk: Desk) -> None:
    (job,) = hold(desk, "one")
    wanted = desk.runner.submit(request("many", num_images=3), "me")
    desk.call("cancel", job=wanted)
    (rest,) = desk.call("unfinished")["jobs"]
    assert (rest["id"], rest["left"], rest["num_images"], rest["status"]) == (wanted, 3, 3, "cancelled")
    assert desk.call("unfinished", "other") == desk.call("unfinished", "") == {"jobs": []}
    again = desk.call("resume", job=wanted)["job"]
    desk.engine.gate.set()
    assert len(desk.wait(again).paths) == 3
    desk.wait(job)
    assert "nothing of it is left" in desk.call("resume", job=again)["error"]


def test_a_job_that_made_all_pictures_is_not_offered(desk: Desk) -> None:
    desk.make(request())
    assert desk.call("unfinished") == {"jobs": []}


def test_a_visitor_of_a_public_app_reaches_the_own_jobs_alone(public: Desk) -> None:
    _, waiting = hold(public, "secret", "later", session="other")
    assert jobs_of(public, "me", follow=[waiting]) == []
    assert public.call("watch", "me")["others"] == 2
    for name, values in {"cancel": {}, "move": {"place": 1}, "resume": {}}.items():
        assert "There is no job" in public.call(name, "me", job=waiting, **values)["error"], name
    assert public.call("cancel_all", "me") == {"cancelled": 0}
    assert jobs_of(public, "other") == ["secret", "later"]


def test_watch_returns_when_something_changes(desk: Desk) -> None:
    hold(desk, "one")
    token = desk.call("watch")["token"]
    began = time.monotonic()
    desk.engine.gate.set()
    assert desk.call("watch", token=token)["token"] != token
    assert time.monotonic() - began < 5
