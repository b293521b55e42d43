"""Scores come in the background, the newest first, and hinder nobody."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators.base import Image
from annotators.canny import Canny
from annotators.maps.control_map import ControlMap, make_map
from annotators.runtime import Runtime
from cnet_app.api.jobs import describe_job, describe_record
from cnet_app.engine.protocol import EngineStatus
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.scoring import Scorer, score_now
from cnet_app.jobs.state import JobState
from cnet_app.maps.again import annotate_again
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.recipe import read_recipe, save_picture
from cnet_app.request.recipes.scores import UnitScore
from cnet_app.request.units import ControlUnit
from cnet_app.settings import Settings
from models.downloads import whole
from models.errors import WeightsError
from tests.jobs.fake_engine import FakeEngine, request

LINES = np.zeros((64, 64, 3), np.uint8)
LINES[:, 10:13] = LINES[:, 40:43] = 255
UNIT = ControlUnit(condition="canny", control_image=encode_png(Canny()(LINES)), annotator="canny")
SHUFFLE = ControlUnit(condition="shuffle", control_image=encode_png(LINES))
ASKED = GenerationRequest(units=(UNIT, SHUFFLE), width=64, height=64, seed=1)


class Results:
    """Collects what a scorer reports."""

    def __init__(self) -> None:
        self.taken: list[tuple[Path, tuple[UnitScore, ...]]] = []
        self.busy = False

    def take(self, path: Path, scores: tuple[UnitScore, ...]) -> None:
        self.taken.append((path, scores))

    def wait(self, count: int = 1) -> list[tuple[Path, tuple[UnitScore, ...]]]:
        until(lambda: len(self.taken) >= count)
        return self.taken


def until(done: Callable[[], bool], seconds: float = 10.0) -> None:
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.01)


@pytest.fixture
def results() -> Results:
    return Results()


@pytest.fixture
def start(results: Results) -> Iterator[Callable[..., Scorer]]:
    """Starts a scorer, over real maps where no other `annotate` is given."""
    scorers: list[Scorer] = []

    def started(annotate: Any = None, **options: Any) -> Scorer:
        scorer = Scorer(annotate or annotate_again(Maps(run_here(Runtime()))), **options)
        scorers.append(scorer)
        scorer.start(results.take, lambda: results.busy)
        return scorer

    yield started
    for scorer in scorers:
        scorer.close()


def saved(folder: Path, picture: Image = LINES, asked: GenerationRequest = ASKED) -> Path:
    return save_picture(folder, picture, asked, 0)


def test_a_picture_gets_its_scores_and_keeps_them_in_its_recipe(
    start: Callable[..., Scorer], results: Results, tmp_path: Path
) -> None:
    path = saved(tmp_path)
    start().submit(path, ASKED)
    ((taken, scores),) = results.wait()
    assert taken == path
    assert [(one.condition, one.agreement) for one in scores] == [("canny", 1.0), ("shuffle", None)]
    found = read_recipe(path)
    assert found.scores == scores
    assert found.request == ASKED


def test_a_picture_that_has_scores_is_not_measured_again(
    start: Callable[..., Scorer], results: Results, tmp_path: Path
) -> None:
    path = saved(tmp_path)
    score_now(path, annotate_again(Maps(run_here(Runtime()))))
    known = read_recipe(path).scores
    assert [one.agreement for one in known] == [1.0, None]

    def annotate(unit: ControlUnit, picture: Image) -> ControlMap:
        raise AssertionError("measured again")

    start(annotate).submit(path, ASKED)
    assert results.wait() == [(path, known)]


def test_a_blank_picture_follows_nothing(start: Callable[..., Scorer], results: Results, tmp_path: Path) -> None:
    start().submit(saved(tmp_path, np.zeros_like(LINES)), ASKED)
    assert results.wait()[0][1][0].agreement == 0.0


def test_a_picture_waits_while_pictures_are_made_and_one_at_once_does_not(
    start: Callable[..., Scorer], results: Results, tmp_path: Path
) -> None:
    results.busy = True
    scorer = start()
    later, now = saved(tmp_path), saved(tmp_path)
    scorer.submit(later, ASKED)
    scorer.submit(now, ASKED, at_once=True)
    results.wait()
    time.sleep(0.5)
    assert [path for path, _ in results.taken] == [now]
    results.busy = False
    assert [path for path, _ in results.wait(2)] == [now, later]


def test_a_job_that_begins_between_two_units_goes_first(
    start: Callable[..., Scorer], results: Results, tmp_path: Path
) -> None:
    calls: list[str] = []

    def annotate(unit: ControlUnit, picture: Image) -> ControlMap:
        calls.append(unit.condition)
        results.busy = True
        return make_map(Canny(), picture)

    asked = GenerationRequest(units=(UNIT, UNIT), width=64, height=64, seed=1)
    start(annotate).submit(saved(tmp_path, asked=asked), asked)
    until(lambda: bool(calls))
    time.sleep(0.5)
    assert len(calls) == 1
    results.busy = False
    results.wait()
    assert len(calls) == 2


def test_the_newest_comes_first_and_the_oldest_falls_out(
    start: Callable[..., Scorer], results: Results, tmp_path: Path
) -> None:
    results.busy = True
    scorer = start(max_waiting=2)
    paths = [saved(tmp_path) for _ in range(3)]
    for path in paths:
        scorer.submit(path, ASKED)
    results.busy = False
    results.wait(2)
    time.sleep(0.3)
    assert [path for path, _ in results.taken] == [paths[2], paths[1]]


def test_faults_are_reasons_and_the_next_picture_is_scored(
    start: Callable[..., Scorer], results: Results, tmp_path: Path
) -> None:
    faults: list[Exception | None] = [WeightsError("HED is not here; download it."), RuntimeError("a bug"), None]

    def annotate(_unit: ControlUnit, picture: Image) -> ControlMap:
        fault = faults.pop(0)
        if fault:
            raise fault
        return make_map(Canny(), picture)

    scorer = start(annotate)
    for count in (1, 2, 3):
        scorer.submit(saved(tmp_path), ASKED)
        results.wait(count)
    scorer.submit(tmp_path / "gone.png", ASKED)
    reasons = [scores[0].reason for _, scores in results.wait(4)]
    assert reasons[0] == "HED is not here; download it."
    assert reasons[1].startswith("Something went wrong in the app itself (error ")
    assert reasons[2] == ""
    assert reasons[3].startswith("There is no file gone.png")


def test_a_listener_that_fails_stops_nothing(tmp_path: Path, results: Results) -> None:
    def take(path: Path, scores: tuple[UnitScore, ...]) -> None:
        results.take(path, scores)
        raise RuntimeError("a bug")

    scorer = Scorer(lambda _, picture: make_map(Canny(), picture))
    scorer.start(take, lambda: False)
    try:
        for count in (1, 2):
            scorer.submit(saved(tmp_path), ASKED)
            results.wait(count)
    finally:
        scorer.close()


def test_a_picture_that_cannot_be_written_still_has_its_scores(
    start: Callable[..., Scorer], results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path)
    before = path.read_bytes()

    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(whole, "flush", full)
    start().submit(path, ASKED)
    ((_, scores),) = results.wait()
    assert scores[0].agreement == 1.0
    assert path.read_bytes() == before


def test_nothing_runs_before_the_start_nor_after_the_end(tmp_path: Path, results: Results) -> None:
    before = threading.active_count()
    scorer = Scorer(lambda _, picture: make_map(Canny(), picture))
    scorer.submit(saved(tmp_path), ASKED)
    assert threading.active_count() == before
    scorer.start(results.take, lambda: False)
    scorer.start(results.take, lambda: False)
    assert threading.active_count() == before + 1
    results.wait()
    scorer.close()
    assert threading.active_count() == before
    scorer.start(results.take, lambda: False)
    assert threading.active_count() == before


def test_a_request_without_units_has_no_score(start: Callable[..., Scorer], results: Results, tmp_path: Path) -> None:
    scorer = start()
    scorer.submit(saved(tmp_path), GenerationRequest())
    scorer.submit(saved(tmp_path), ASKED)
    assert len(results.wait()) == 1


@pytest.fixture
def fake() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def runner(fake: FakeEngine, tmp_path: Path) -> Iterator[Runner]:
    maps = Maps(run_here(Runtime()))
    runner = Runner(Settings(output_dir=tmp_path / "pictures"), fake, Scorer(annotate_again(maps)))
    yield runner
    fake.gate.set()
    runner.close()


def finished(runner: Runner, **values: Any) -> JobState:
    id = runner.submit(request(**values), "me")
    end = list(runner.watch(id))[-1]
    until(lambda: len(runner.state(id).scores) == len(end.paths))
    return runner.state(id)


def test_a_job_its_history_and_its_pictures_get_the_scores(runner: Runner) -> None:
    state = finished(runner, units=(UNIT, SHUFFLE), num_images=3, seed=4)
    assert state.status == "done"
    means = [state.scores[path][0].agreement for path in state.paths]
    assert all(mean is not None for mean in means)
    assert [read_recipe(Path(path)).scores for path in state.paths] == [state.scores[path] for path in state.paths]
    until(lambda: bool(runner.history(1)[0].scores))
    (record,) = runner.history(1)
    expected = {"canny": pytest.approx(np.mean([mean or 0 for mean in means]), abs=1e-3)}
    until(lambda: runner.history(1)[0].scores == expected)
    assert (record.status, describe_record(record)["status"]) == ("done", "done")
    described = describe_job(state)
    assert [scores[0]["agreement"] for scores in described["scores"]] == means
    ordered = [means[index] for index in described["best_first"]]
    assert ordered == sorted(means, reverse=True, key=lambda mean: mean or 0)


@pytest.mark.parametrize(("device", "at_once"), [("cpu", False), ("cuda:0", True)])
def test_scores_come_during_the_job_on_a_gpu_alone(device: str, at_once: bool, tmp_path: Path) -> None:
    engine = FakeEngine(seconds=0.2, state=EngineStatus(state="ready", base="embedded", device=device))
    scorer = Scorer(annotate_again(Maps(run_here(Runtime()))))
    runner = Runner(Settings(output_dir=tmp_path / "pictures"), engine, scorer)
    id = runner.submit(request(units=(UNIT,), num_images=2), "me")
    states = list(runner.watch(id))
    assert any(state.scores for state in states if not state.is_over) == at_once
    until(lambda: len(runner.state(id).scores) == 2)
    assert runner.state(id).status == "done"
    until(lambda: bool(runner.history(1)[0].scores))
    assert runner.history(1)[0].status == "done"
    runner.close()


def test_a_runner_without_a_scorer_makes_pictures_without_scores(tmp_path: Path) -> None:
    runner = Runner(Settings(output_dir=tmp_path / "pictures"), FakeEngine())
    (state,) = [list(runner.watch(runner.submit(request(units=(UNIT,)), "me")))[-1]]
    runner.close()
    assert (state.status, dict(state.scores)) == ("done", {})
    assert describe_job(state)["scores"] == [None]
