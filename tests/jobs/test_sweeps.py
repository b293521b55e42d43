"""Sweeps run part by part through the runner, remember what is made, and go on where they stopped."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotators.runtime import Runtime
from annotators.sources.images import load_image
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.sweeps.grids import GridWork, create_grid
from cnet_app.jobs.sweeps.manifest import Manifest, read_manifest, take_request, write_manifest
from cnet_app.jobs.sweeps.sweeps import Sweeps, SweepState, run_sweep
from cnet_app.jobs.sweeps.works import open_work
from cnet_app.maps.again import annotate_again
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.recipe import read_request
from cnet_app.request.sweeps.grids import grid_requests, parse_axis
from cnet_app.settings import Settings
from models.errors import EngineError, InputError, SaveError, StudioError, WeightsError
from tests.jobs.fake_engine import FakeEngine, request


@dataclass
class Bench:
    """A runner over the fake engine, and its sweeps."""

    engine: FakeEngine
    runner: Runner
    sweeps: Sweeps
    pictures: Path

    def again(self) -> Bench:
        """The same after a restart of the app."""
        self.close()
        return bench_in(self.pictures)

    def close(self) -> None:
        self.engine.gate.set()
        self.sweeps.close()
        self.runner.close()

    def grid(self, *axes: str, **values: object) -> Manifest:
        wanted = request("a red ball", **values)
        read = [parse_axis(text, wanted) for text in axes]
        return create_grid(self.pictures, "My grid: <1>", wanted, read, grid_requests(wanted, read))

    def finish(
        self, id: str, until: Callable[[SweepState], bool] = lambda state: state.status != "running"
    ) -> SweepState:
        ends = time.monotonic() + 30
        while not until(state := self.sweeps.state(id)):
            assert time.monotonic() < ends
            time.sleep(0.01)
        return state


MAPS = Maps(run_here(Runtime()))


def bench_in(pictures: Path) -> Bench:
    engine = FakeEngine()
    runner = Runner(Settings(output_dir=pictures, max_waiting_per_user=1), engine)
    return Bench(engine, runner, Sweeps(pictures, runner, open_work(MAPS)), pictures)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = bench_in(tmp_path / "pictures")
    yield made
    made.close()


def test_a_grid_makes_every_cell_as_a_picture_of_the_library(bench: Bench) -> None:
    manifest = bench.grid("seed: 3, 4", "unit1.conditioning_scale: 0.5, 1", "prompt: red=blue, green")
    state = bench.finish(bench.sweeps.start(manifest, "me"))
    assert (state.status, state.done, state.failed, state.fraction) == ("done", 8, 0, 1.0)
    for index, part in enumerate(state.manifest.parts):
        path = state.manifest.picture(index)
        assert path is not None and path.parent == bench.pictures
        own = take_request(manifest.folder, part.what["request"])
        assert read_request(path) == replace(own, scheduler="ddim")
        assert (own.seed, own.units[0].conditioning_scale) == (
            (3, 4)[part.what["indices"][0]], (0.5, 1)[part.what["indices"][1]],
        )  # fmt: skip
    assert {record.status for record in bench.runner.history()} == {"done"}
    assert len(bench.runner.history()) == 8
    assert read_manifest(manifest.path) == state.manifest
    assert len(list((manifest.folder / "inputs").iterdir())) == 1  # the map is there once
    assert {path.name for path in manifest.folder.iterdir()} == {"manifest.json", "inputs", "grid.png", "grid.html"}


def test_what_is_dear_to_change_is_changed_least(bench: Bench) -> None:
    """Two bases and three prompts: a load for each base, and each prompt encoded once for each."""
    manifest = bench.grid("num_inference_steps: 1, 2", "prompt: red=blue, green, grey", "base: embedded, sd15")
    bench.finish(bench.sweeps.start(manifest, "me"))
    used = [read_request(path) for index in range(12) if (path := manifest_picture(bench, manifest, index))]
    loads = sum(one.base != last.base for last, one in itertools.pairwise(used))
    texts = sum((one.base, one.prompt) != (last.base, last.prompt) for last, one in itertools.pairwise(used))
    assert (len(used), 1 + loads, 1 + texts) == (12, 2, 6)
    assert bench.engine.prompts == [one.prompt for one in used]


def manifest_picture(bench: Bench, manifest: Manifest, index: int) -> Path | None:
    return read_manifest(manifest.path).picture(index)


def test_a_cancelled_grid_keeps_its_pictures_and_goes_on_after_a_restart(bench: Bench) -> None:
    bench.engine.seconds = 0.02
    manifest = bench.grid("seed: 1-6", num_inference_steps=10)
    id = bench.sweeps.start(manifest, "me")
    bench.finish(id, lambda state: state.done >= 2)
    bench.sweeps.cancel(id)
    state = bench.finish(id)
    assert state.status == "cancelled"
    assert 2 <= state.done < 6
    assert (manifest.folder / "grid.png").is_file()
    kept = [state.manifest.picture(index) for index in range(state.done)]

    later = bench.again()
    try:
        assert later.sweeps.state(id).status == "interrupted"
        later.sweeps.resume(id, "me")
        end = later.finish(id)
        assert (end.status, end.done) == ("done", 6)
        assert [end.manifest.picture(index) for index in range(len(kept))] == kept
        assert len(later.engine.prompts) == 6 - len(kept)
        assert later.again().sweeps.state(id).status == "done"
    finally:
        later.close()


def test_only_pictures_that_are_missing_are_made_again(bench: Bench) -> None:
    manifest = bench.grid("seed: 1-4")
    state = bench.finish(bench.sweeps.start(manifest, "me"))
    removed = state.manifest.picture(2)
    assert removed is not None
    removed.unlink()
    again = bench.finish(bench.sweeps.resume(manifest.id, "me"))
    assert (again.status, again.done, len(bench.engine.prompts)) == ("done", 4, 5)
    made = again.manifest.picture(2)
    assert made is not None and made != removed
    assert read_request(made).seed == 3


def test_a_cell_that_fails_is_named_and_the_others_are_made(bench: Bench) -> None:
    bench.engine.faults["a bad ball"] = InputError("This cannot be.")
    manifest = bench.grid("prompt: red=good, bad, fair")
    state = bench.finish(bench.sweeps.start(manifest, "me"))
    assert (state.status, state.done, state.failed, state.fraction) == ("done", 2, 1, 1.0)
    assert [part.error for part in state.manifest.parts] == ["", "This cannot be.", ""]
    assert "<p>This cannot be.</p>" in (manifest.folder / "grid.html").read_text(encoding="utf-8")
    bench.engine.faults.clear()
    again = bench.finish(bench.sweeps.resume(manifest.id, "me"))
    assert (again.done, again.failed, bench.engine.prompts[-1]) == (3, 0, "a bad ball")


def test_the_same_error_three_times_stops_the_sweep(bench: Bench) -> None:
    bench.engine.faults["a red ball"] = WeightsError("No file.")
    state = bench.finish(bench.sweeps.start(bench.grid("seed: 1-10"), "me"))
    assert (state.status, state.failed) == ("failed", 3)
    assert state.error == "3 pictures in a row failed, so the rest was not tried. No file."


def test_a_sweep_waits_for_its_place_while_other_jobs_fill_the_queue(bench: Bench) -> None:
    bench.engine.gate.clear()
    bench.runner.submit(request("runs"), "me")
    assert bench.engine.entered.wait(5)
    bench.runner.submit(request("waits"), "me")
    id = bench.sweeps.start(bench.grid("seed: 1, 2"), "me")
    time.sleep(0.1)
    assert bench.sweeps.state(id).status == "running"
    bench.engine.gate.set()
    assert bench.finish(id).done == 2


def test_closing_the_app_interrupts_and_a_second_start_is_refused(bench: Bench) -> None:
    bench.engine.gate.clear()
    manifest = bench.grid("seed: 1, 2")
    id = bench.sweeps.start(manifest, "me")
    assert bench.sweeps.running("me") == (id,)
    assert bench.sweeps.running("you") == ()
    with pytest.raises(InputError, match="is running already"):
        bench.sweeps.resume(id, "me")
    bench.sweeps.close()
    assert bench.sweeps.state(id).status == "interrupted"
    with pytest.raises(StudioError, match="The app is closing"):
        bench.sweeps.start(manifest, "me")


@pytest.mark.parametrize("id", ["", "..", "../pictures", "none", "a/b", "x" * 300])
def test_an_unknown_sweep_is_refused(bench: Bench, id: str) -> None:
    with pytest.raises(InputError, match="There is no grid or batch"):
        bench.sweeps.state(id)


def broken(values: dict[str, object]) -> list[bytes]:
    part = {"what": {"labels": []}, "picture": "", "error": ""}
    return [
        b"{", b"[]", b'{"format": "x"}',
        json.dumps(values | {"version": 99}).encode(), json.dumps(values | {"kind": "x"}).encode(),
        json.dumps(values | {"parts": [1]}).encode(), json.dumps(values | {"parts": [part]}).encode(),
        json.dumps(values | {"plan": {}}).encode(),
    ]  # fmt: skip


def test_a_damaged_manifest_is_an_error_in_a_sentence(bench: Bench) -> None:
    manifest = bench.grid("seed: 1")
    for text in broken(json.loads(manifest.path.read_bytes())):
        manifest.path.write_bytes(text)
        with pytest.raises(InputError):
            bench.sweeps.resume(manifest.id, "me")


def test_an_input_that_was_changed_is_noticed(bench: Bench) -> None:
    manifest = bench.grid("seed: 1")
    (map,) = (manifest.folder / "inputs").iterdir()
    map.write_bytes(b"other")
    with pytest.raises(InputError, match="control_image is missing from .* or was changed"):
        take_request(manifest.folder, manifest.parts[0].what["request"])


@pytest.mark.parametrize("error", [EngineError("It died."), SaveError("Full.")])
def test_what_stops_everything_keeps_what_is_made(bench: Bench, error: StudioError) -> None:
    manifest = bench.grid("seed: 1-3")
    made: list[GenerationRequest] = []

    def make(wanted: GenerationRequest) -> Path:
        if made:
            raise error
        made.append(wanted)
        path = bench.pictures / "one.png"
        Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(path)
        return path

    with pytest.raises(type(error)):
        run_sweep(manifest, GridWork(manifest, annotate_again(MAPS)), make)
    kept = read_manifest(manifest.folder)
    assert kept.missing() == [1, 2]
    assert load_image(manifest.folder / "grid.png").ndim == 3


def test_a_manifest_is_never_half_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = bench.grid("seed: 1")
    before = manifest.path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SaveError, match="No space left"):
        write_manifest(manifest.with_part(0, error="x"))
    assert manifest.path.read_bytes() == before
    assert not list(manifest.folder.glob(".*"))
