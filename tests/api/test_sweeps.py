"""Grids and batches as the page and programs call them: JSON in, JSON out, and errors as data."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotators.canny import Canny
from annotators.sources.images import load_image, resize
from cnet_app.api.sweeps import PUBLIC_PICTURES, SweepCalls
from cnet_app.jobs.sweeps.sweeps import Sweeps
from cnet_app.jobs.sweeps.works import open_work
from cnet_app.request.recipe import read_request
from cnet_app.request.tasks import task_to_json
from tests.api.conftest import Api

CANNY = {"condition": "canny", "parameters": {"low_threshold": 60}}
SMALL = {"num_inference_steps": 2, "width": 64, "height": 64, "seed": 3}


def calls_over(api: Api) -> Iterator[SweepCalls]:
    settings, maps = api.endpoints.settings, api.endpoints.maps
    sweeps = Sweeps(settings.output_dir, api.runner, open_work(maps))
    yield SweepCalls(settings, api.runner, maps, sweeps)
    api.engine.gate.set()
    sweeps.close()


@pytest.fixture
def calls(api: Api) -> Iterator[SweepCalls]:
    yield from calls_over(api)


@pytest.fixture
def public_calls(public: Api) -> Iterator[SweepCalls]:
    yield from calls_over(public)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in (1, 2, 10):
        pixels = np.full((64, 64, 3), 30, np.uint8)
        pixels[10:40, 4 * number : 4 * number + 15] = (220, 180, 60)
        Image.fromarray(pixels).save(folder / f"p{number}.png")
    return folder


def file(path: Path) -> dict[str, Any]:
    return {"path": str(path)}


def finished(calls: SweepCalls, started: dict[str, Any]) -> dict[str, Any]:
    assert "error" not in started, started
    ends = time.monotonic() + 30
    while (state := calls.sweep_state(started["sweep"], pictures=True))["status"] == "running":
        assert time.monotonic() < ends
        time.sleep(0.02)
    return json.loads(json.dumps(state))  # plain JSON


def test_a_grid_is_made_and_described(calls: SweepCalls, photo: Path) -> None:
    control = {"image": file(photo), "conditioning_scale": 0.6, **CANNY}
    axes = ["seed: 1-2", {"name": "unit1.annotator.low_threshold", "values": [20, 90]}]
    started = calls.start_grid(axes, "a {red|blue} ball", [control], SMALL, name="Mine")
    assert (started["pictures"], started["warnings"]) == (4, [])
    state = finished(calls, started)
    expected = {
        "sweep": started["sweep"], "kind": "grid", "name": "Mine", "status": "done", "total": 4, "done": 4, "failed": 0,
        "fraction": 1.0, "job": None, "doing": "", "error": "", "failures": [], "notes": [],
    }  # fmt: skip
    assert {name: state[name] for name in expected} == expected
    assert set(state) - set(expected) == {"folder", "manifest", "last", "png", "html", "pictures"}
    assert state["last"] == state["pictures"][-1]
    assert load_image(Path(state["png"]["path"])).ndim == 3
    assert Path(state["html"]["path"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    small = resize(load_image(photo), 64, 64)
    for picture in state["pictures"]:
        request = read_request(Path(picture["path"]))
        (unit,) = request.units
        low = unit.annotator_parameters["low_threshold"]
        assert low in (20, 90)
        assert np.array_equal(unit.pixels, Canny(low_threshold=int(low))(small))
        assert request.prompt_template == "a {red|blue} ball"
        assert request.prompt in ("a red ball", "a blue ball")


def test_a_grid_of_a_recipe_needs_its_photos_for_annotators_alone(calls: SweepCalls, photo: Path, photos: Path) -> None:
    made = finished(calls, calls.start_grid(["seed: 1"], "a ball", [{"image": file(photo), **CANNY}], SMALL))
    recipe = made["pictures"][0]
    assert finished(calls, calls.start_grid(["seed: 7, 8"], recipe=recipe))["done"] == 2
    thresholds = ["unit1.annotator.low_threshold: 20, 90"]
    assert "is not known; give that picture" in calls.start_grid(thresholds, recipe=recipe)["error"]
    assert finished(calls, calls.start_grid(thresholds, recipe=recipe, sources=[file(photo)]))["done"] == 2
    other = calls.start_grid(thresholds, recipe=recipe, sources=[file(photos / "p1.png")])
    assert other == {"error": "The picture given for unit1 is not the one that its map was made of; give that one."}
    assert "leave these out" in calls.start_grid(["seed: 1"], "a hat", recipe=recipe)["error"]


def test_a_grid_of_a_request_that_is_there(calls: SweepCalls, photo: Path) -> None:
    made = finished(calls, calls.start_grid(["seed: 1"], "a ball", [{"image": file(photo), **CANNY}], SMALL))
    request = replace(read_request(Path(made["pictures"][0]["path"])), prompt="a {b|c}")
    axes, source = ["unit1.annotator.low_threshold: 20, 90"], load_image(photo)
    prompts = [
        {read_request(Path(one["path"])).prompt for one in finished(calls, started)["pictures"]}
        for started in (
            calls.start_grid_of(request, axes, [source]),
            calls.start_grid_of(request, axes, [source], wildcards=False),
        )
    ]
    assert prompts[0] < {"a b", "a c"}
    assert prompts[1] == {"a {b|c}"}


def test_a_batch_of_a_folder_with_a_table(calls: SweepCalls, photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    table.write_text("file\tprompt\np10.png\ta hat\np1\t\n")
    started = calls.start_batch(
        folder=str(photos), table=file(table), prompt="a ball", controls=[CANNY], options=SMALL, name="Photos"
    )
    state = finished(calls, started)
    assert (state["kind"], state["done"], state["png"], state["html"]) == ("batch", 2, None, None)
    assert [Path(one["path"]).name for one in state["pictures"]] == ["p10.png", "p1.png"]
    hat, ball = (read_request(Path(one["path"])) for one in state["pictures"])
    assert (hat.prompt, ball.prompt) == ("a hat", "a ball")
    assert np.array_equal(hat.units[0].pixels, Canny(low_threshold=60)(load_image(photos / "p10.png")))
    assert len(list(calls.settings.output_dir.glob("*.png"))) == 2  # in the library, too


def test_a_batch_of_uploads_takes_captions_among_them(calls: SweepCalls, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "p2.txt").write_text("a hat")
    files = [file(photos / "p10.png"), file(tmp_path / "p2.txt"), file(photos / "p2.png")]
    recipe = tmp_path / "recipe.json"
    made = finished(
        calls, calls.start_batch([file(photos / "p1.png")], prompt="a ball", controls=[CANNY], options=SMALL)
    )
    recipe.write_text(json.dumps(task_to_json(read_request(Path(made["pictures"][0]["path"])))))
    state = finished(calls, calls.start_batch(files, recipe=file(recipe)))
    prompts = {Path(one["path"]).name: read_request(Path(one["path"])).prompt for one in state["pictures"]}
    assert prompts == {"p2.png": "a hat", "p10.png": "a ball"}
    request = read_request(Path(made["pictures"][0]["path"]))
    assert finished(calls, calls.start_batch_of(request, files, size="fixed"))["done"] == 2


def test_a_sweep_is_cancelled_and_resumed(calls: SweepCalls, api: Api, photos: Path) -> None:
    api.engine.gate.clear()
    (photos / "bad.png").write_bytes(b"no")
    started = calls.start_batch(folder=str(photos), prompt="a ball", controls=[CANNY], options=SMALL)
    while not (state := calls.sweep_state(started["sweep"]))["job"]:
        time.sleep(0.01)
    assert (state["status"], state["total"]) == ("running", 4)
    assert "pictures" not in state
    calls.cancel_sweep(started["sweep"])
    assert finished(calls, started)["status"] == "cancelled"
    api.engine.gate.set()
    assert calls.resume_sweep(started["sweep"])["status"] == "running"
    state = finished(calls, started)
    assert (state["status"], state["done"], state["failed"]) == ("done", 3, 1)
    assert state["failures"][0]["name"] == "bad.png"


def test_mistakes_are_data(calls: SweepCalls, photos: Path) -> None:
    recipe = file(photos / "p1.png")
    for answer, text in [
        (calls.start_grid([], "a ball"), "has 0 axes"),
        (calls.start_grid(["speed: 3"], "a ball"), "no field 'speed'"),
        (calls.start_grid(["seed: 1"], "a {ball"), "is closed by no }"),
        (calls.start_grid(["seed: 1"], recipe=recipe), "p1.png holds no recipe"),
        (calls.start_batch(prompt="a ball"), "either uploaded files or a folder"),
        (calls.start_batch(folder=str(photos), prompt="a ball"), "has no control image and no picture to start from"),
        (calls.start_batch(folder=str(photos), controls=[CANNY], size="large"), "size is 'large'"),  # pyright: ignore[reportArgumentType]
        (calls.start_batch([recipe], controls=[CANNY], into=["unit2"]), "into is 'unit2'"),
        (calls.sweep_state("none"), "There is no grid or batch"),
        (calls.resume_sweep("none"), "There is no grid or batch"),
        (calls.cancel_sweep("../x"), "There is no grid or batch"),
    ]:
        assert list(answer) == ["error"]
        assert text in answer["error"]


def test_visitors_are_bounded(public_calls: SweepCalls, public: Api, photos: Path) -> None:
    many = public_calls.start_grid([f"seed: 1-{PUBLIC_PICTURES}", "guess_mode: true, false"], "a ball", options=SMALL)
    assert many["error"] == "There are 200 pictures to make, but this app makes at most 100 at once."
    assert (
        "does not offer" in public_calls.start_grid(["base: embedded, /etc/passwd"], "a ball", options=SMALL)["error"]
    )
    assert "upload the pictures" in public_calls.start_batch(folder=str(photos), controls=[CANNY])["error"]
    table = photos / "t.csv"
    table.write_text("file,base\np1.png,/etc/passwd\n")
    upload = [file(photos / "p1.png")]
    named = public_calls.start_batch(upload, table=file(table), controls=[CANNY], options=SMALL)
    assert "cannot name models" in named["error"]
    public.engine.gate.clear()
    assert "sweep" in public_calls.start_batch(upload, controls=[CANNY], options=SMALL, session="me")
    second = public_calls.start_batch(upload, controls=[CANNY], options=SMALL, session="me")
    assert second["error"].startswith("One of your grids or batches is running already")
    assert "sweep" in public_calls.start_batch(upload, controls=[CANNY], options=SMALL, session="you")


def test_the_endpoint_makes_a_job_for_each_picture_of_a_prompt_with_wildcards(api: Api) -> None:
    answer = api.endpoints.generate("a {red|blue|green|white} ball", [], {**SMALL, "num_images": 3})
    assert len(answer["jobs"]) == 3
    assert answer["job"] == answer["jobs"][0]
    pictures = [api.endpoints.jobs(job, wait=20)["pictures"][0]["path"] for job in answer["jobs"]]
    assert [read_request(Path(path)).seed for path in pictures] == [3, 4, 5]
    plain = api.endpoints.generate("a ball", [], {**SMALL, "num_images": 3})
    assert plain["jobs"] == [plain["job"]]
    assert "options has no field" in api.endpoints.generate("a", [], {"prompt_template": "x"})["error"]


def test_jobs_of_a_prompt_with_wildcards_are_queued_all_or_none(api: Api) -> None:
    object.__setattr__(api.endpoints.settings, "max_waiting_per_user", 2)
    api.engine.gate.clear()
    assert "wait already" in api.endpoints.generate("{a|b}", [], {**SMALL, "num_images": 4}, "me")["error"]
    api.engine.gate.set()
    time.sleep(0.2)
    assert {record.status for record in api.runner.history()} == {"cancelled"}
