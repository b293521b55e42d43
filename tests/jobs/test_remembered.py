"""Jobs that are over are remembered for a while, and those at work always."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cnet_app.jobs.job import Job
from cnet_app.jobs.remembered import Remembered, picture_bytes
from cnet_app.jobs.state import JobState, Status
from cnet_app.request.pictures import encode_png
from tests.jobs.fake_engine import request


def job(id: str, status: Status = "done") -> Job:
    return Job(JobState(id=id, session="me", request=request(), status=status))


def test_the_oldest_jobs_that_are_over_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnet_app.jobs.remembered.REMEMBERED", 2)
    jobs = Remembered()
    known: dict[str, Status] = {
        "runs": "running", "a": "done", "b": "failed", "waits": "queued", "c": "done", "d": "done",
    }  # fmt: skip
    for id, status in known.items():
        jobs.add(job(id, status))
    assert [one.state.id for one in jobs] == ["runs", "b", "waits", "c", "d"]
    assert [one.state.id for one in jobs.running()] == ["runs"]


def test_jobs_with_large_pictures_are_forgotten_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    size = picture_bytes(request())
    monkeypatch.setattr("cnet_app.jobs.remembered.REMEMBERED_BYTES", 2 * size)
    jobs = Remembered()
    for id in "abcd":
        jobs.add(job(id))
    assert [one.state.id for one in jobs] == ["b", "c", "d"], "the newest comes on top"


def test_pictures_of_a_request_are_counted_at_any_depth() -> None:
    plain = request()
    start = encode_png(np.zeros((64, 64, 3), np.uint8))
    assert picture_bytes(plain) == len(plain.units[0].control_image)
    assert picture_bytes(dataclasses.replace(plain, initial_image=start)) == picture_bytes(plain) + len(start)
