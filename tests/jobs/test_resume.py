"""What ended early goes on: finished pictures stay, the others are made as they would have been."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators.sources.images import load_image
from cnet_app.jobs.library.search import Query
from cnet_app.jobs.runner import HISTORY, Runner
from cnet_app.jobs.store import Store
from cnet_app.request.maps import MapRequest
from cnet_app.request.upscale import UpscaleRequest
from cnet_app.settings import Settings
from models.errors import EngineError, InputError, SaveError
from tests.jobs.fake_engine import FakeEngine, fake_picture, request
from tests.jobs.test_runner import finish
from tests.jobs.test_store import picture, sql


@pytest.fixture
def fake() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def runner(fake: FakeEngine, tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(Settings(output_dir=tmp_path), fake)
    yield runner
    fake.gate.set()
    runner.close()


def test_the_pictures_of_a_job_are_in_the_library_and_its_row_before_they_are_shown(
    runner: Runner, tmp_path: Path
) -> None:
    id = runner.submit(request("a cat", num_images=3, seed=5), "me")
    for state in runner.watch(id):
        assert len(runner.library.search().pictures) >= len(state.paths)
        assert len(runner.history()[0].paths) >= len(state.paths)
    pictures = runner.library.search(Query(sort="oldest", session="me")).pictures
    assert [str(picture.path) for picture in pictures] == list(runner.state(id).paths)
    assert [(picture.job, picture.index, picture.seed) for picture in pictures] == [(id, n, 5 + n) for n in range(3)]


def test_an_upscale_is_in_the_library_as_one(runner: Runner) -> None:
    source = picture(1)
    finish(
        runner, runner.submit(UpscaleRequest(picture=source, factor=2.0, prompt="large", num_inference_steps=2), "me")
    )
    (made,) = runner.library.search().pictures
    assert (made.kind, made.conditions, made.width, made.height, made.prompt) == ("upscale", (), 128, 128, "large")


def test_a_picture_that_the_library_misses_is_shown_all_the_same(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> str:
        raise SaveError("The history could not be written.")

    monkeypatch.setattr(runner.library, "add", full)
    end = finish(runner, runner.submit(request(num_images=2), "me"))
    assert (end.status, end.error) == ("failed", "The history could not be written.")
    assert [Path(path).is_file() for path in end.paths] == [True]


def cancelled(runner: Runner, fake: FakeEngine, **values: Any) -> str:
    """Cancel a job after its first picture."""
    fake.seconds = 0.01
    id = runner.submit(request(num_inference_steps=10, **values), "me")
    for state in runner.watch(id):
        if state.paths:
            runner.cancel(id)
    assert runner.state(id).status == "cancelled"
    return id


def test_the_rest_of_a_cancelled_job_is_made_as_it_would_have_been(runner: Runner, fake: FakeEngine) -> None:
    id = cancelled(runner, fake, num_images=4, seed=20)
    done = len(runner.state(id).paths)
    resumed = runner.resume(id, "me")
    rest = runner.state(resumed).request
    whole = request(num_inference_steps=10, num_images=4, seed=20)
    assert rest == replace(whole, num_images=4 - done, seed=20 + done)
    end = finish(runner, resumed)
    paths = [*runner.state(id).paths, *end.paths]
    assert len(paths) == 4
    for index, path in enumerate(paths):
        assert np.array_equal(load_image(path), fake_picture(whole.only_picture(index), 10))


def test_what_a_dead_engine_left_goes_on(runner: Runner, fake: FakeEngine) -> None:
    fake.faults["dies"] = EngineError("The engine stopped.")
    id = runner.submit(request("dies", num_images=2, seed=3), "me")
    assert finish(runner, id).status == "failed"
    del fake.faults["dies"]
    end = finish(runner, runner.resume(id, "me"))
    assert end.result is not None
    assert end.result.seeds == (3, 4)


def test_what_a_killed_app_left_goes_on_after_the_restart(fake: FakeEngine, tmp_path: Path) -> None:
    store = Store(tmp_path / HISTORY)
    wanted = request("a cat", num_images=3, seed=7)
    store.add("killed", wanted, "me")
    store.update("killed", "running", ["first.png"])
    store.close()
    runner = Runner(Settings(output_dir=tmp_path), fake)
    assert [(record.id, record.status) for record in runner.history(session="me")] == [("killed", "interrupted")]
    assert runner.history(session="you") == []
    end = finish(runner, runner.resume("killed", "another browser"))
    assert (end.session, end.request) == ("another browser", replace(wanted, num_images=2, seed=8))
    runner.close()


def test_a_cancelled_download_starts_again(runner: Runner, fake: FakeEngine) -> None:
    fake.download_bytes = 10**12
    id = runner.download(["large"], "me")
    runner.cancel_all()
    assert finish(runner, id).status == "cancelled"
    fake.download_bytes = 0
    assert finish(runner, runner.resume(id, "me")).status == "done"
    assert fake.downloads == ["large"]


def test_what_cannot_go_on_is_refused(runner: Runner, fake: FakeEngine, tmp_path: Path) -> None:
    done = runner.submit(request(), "me")
    finish(runner, done)
    fake.gate.clear()
    fake.entered.clear()
    running = runner.submit(request(), "me")
    assert fake.entered.wait(5)
    for id in ("all", "map", "bad"):
        task = MapRequest(condition="depth", annotator="midas", source_image=picture(1)) if id == "map" else request()
        runner._store.add(id, task)
        runner._store.update(id, "failed", ["one.png"] if id == "all" else [])
    sql(tmp_path / HISTORY, "UPDATE jobs SET request = '{' WHERE id = 'bad'")
    before = len(runner.history(1000))
    for id, sentence in {
        done: "is done, nothing of it is left",
        running: "has not ended; wait for it, or cancel it",
        "all": "The picture of job 'all' is there already",
        "map": "of kind map, which makes no picture",
        "bad": "This job of the history cannot be opened",
        "lost": "There is no job 'lost' in the history",
    }.items():
        with pytest.raises(InputError, match=sentence):
            runner.resume(id, "me")
    assert len(runner.history(1000)) == before


def test_a_session_continues_its_own_jobs_where_others_can_reach_the_app(fake: FakeEngine, tmp_path: Path) -> None:
    runner = Runner(Settings(output_dir=tmp_path, host="0.0.0.0"), fake)
    fake.faults["fails"] = InputError("no")
    id = runner.submit(request("fails"), "me")
    finish(runner, id)
    with pytest.raises(InputError, match=rf"There is no job '{id}' in the history"):
        runner.resume(id, "you")
    assert finish(runner, runner.resume(id, "me")).status == "failed"
    runner.close()
