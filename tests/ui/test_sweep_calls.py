"""Grids and batches as the page begins and follows them, and the wildcards of its prompt."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotators.canny import Canny
from annotators.sources.images import load_image, resize
from cnet_app.jobs.sweeps.grids import grid_table
from cnet_app.request.recipe import read_request
from models.errors import EngineError
from tests.ui.conftest import FRAME, Caller

STEPS = {"num_inference_steps": 2}


def canny(**values: Any) -> dict[str, Any]:
    return {"id": "a", "condition": "canny", "source": "photo", "conditioning_scale": 0.5, **values}


def draft(photo: dict[str, Any] | None = None, **values: Any) -> dict[str, Any]:
    return {"prompt": "a red ball", "photo": photo, "frame": FRAME, "layers": [canny()], "settings": STEPS, **values}


def finished(caller: Caller, started: dict[str, Any]) -> dict[str, Any]:
    assert "sweep" in started, started
    ends = time.monotonic() + 30
    while (found := caller("sweep", sweep=started["sweep"]))["status"] == "running":
        assert time.monotonic() < ends
        time.sleep(0.02)
    return found


def requests_of(described: dict[str, Any]) -> list[Any]:
    return [read_request(Path(one["path"])) for one in described["pictures"]]


def upload(caller: Caller, name: str, column: int) -> str:
    """Upload a photo, 96x64, with a bright box whose place shows which one it is."""
    pixels = np.full((64, 96, 3), 30, np.uint8)
    pixels[10:40, column : column + 20] = (220, 180, 60)
    Image.fromarray(pixels).save(caller.folder / name)
    return str(caller.folder / name)


def text(caller: Caller, name: str, content: str) -> str:
    (caller.folder / name).write_text(content)
    return str(caller.folder / name)


def test_fields_are_those_that_act_on_this_draft_in_the_words_of_the_form(
    caller: Caller, photo: dict[str, Any]
) -> None:
    second = canny(id="b", enabled=False)
    depth = canny(id="c", condition="depth", source="map", picture=photo)
    layers = [canny(parameters={"low_threshold": 60}), second, depth]
    fields = {
        field["name"]: field for field in caller("sweep_fields", draft=draft(photo, layers=layers, count=4))["fields"]
    }
    scale = fields["unit2.conditioning_scale"]
    assert (scale["full"], scale["kind"], scale["value"]) == ("Depth: Control strength", "number", 0.5)
    assert (scale["minimum"], scale["maximum"], scale["example"]) == (0, 2, "0.25, 0.5, 0.75")
    low = fields["unit1.annotator.low_threshold"]
    assert (low["group"], low["label"], low["value"]) == ("Canny 1", "Low threshold", 60)
    assert {"unit1.annotator", "unit1.control_mode", "scheduler", "seed", "prompt"} <= set(fields)
    assert not {"strength", "inpaint_padding", "unit1.mask_feather", "unit2.annotator", "num_images"} & set(fields)
    assert fields["unit1.annotator"]["label"] == "Preprocessor"
    assert {"value": "ddim", "title": "DDIM"} in fields["scheduler"]["choices"]
    assert [choice["value"] for choice in fields["guess_mode"]["choices"]] == [True, False]
    assert fields["vae"]["choices"][0] == {"value": None, "title": "The model's own"}
    alone = {field["name"] for field in caller("sweep_fields", draft=draft(layers=[]))["fields"]}
    assert not {"guess_mode", "residual_interval", "unit1.conditioning_scale"} & alone


def test_a_plan_counts_pictures_and_effort_and_refuses_in_the_words_of_the_form(
    caller: Caller, photo: dict[str, Any]
) -> None:
    def plan(*axes: dict[str, Any]) -> Any:
        return caller("sweep_plan", draft=draft(photo), axes=list(axes))

    steps, seeds = {"name": "num_inference_steps", "values": "2, 4"}, {"name": "seed", "values": "1-3"}
    assert plan(steps, seeds) == {"pictures": 6, "effort": 9}
    assert plan()["error"].startswith("Nothing varies yet")
    wrong = plan({"name": "unit1.conditioning_scale", "values": "0.2, 3"})["error"]
    assert wrong.startswith("“Canny: Control strength” is 3, but it must be from 0 to 2")
    twice = plan({"name": "unit1.annotator.low_threshold", "values": [20, 20]})["error"]
    assert twice.startswith("The axis “Canny: Low threshold” has 20 twice")
    assert "does not hold it" in plan({"name": "prompt", "search": "blue", "values": ["green"]})["error"]
    assert not caller("sweeps")["sweeps"]


def test_a_grid_makes_maps_again_as_the_drafts_fit_has_it(caller: Caller, photo: dict[str, Any]) -> None:
    frame = {"width": 128, "height": 64, "fit": "pad"}
    axes = [
        {"name": "unit1.annotator.low_threshold", "values": [20, 90]},
        {"name": "prompt", "search": "red", "values": ["green", "blue, light"]},
    ]
    started = caller("grid", draft=draft(photo, frame=frame, count=3), axes=axes, name="Mine")
    assert (started["pictures"], started["warnings"]) == (4, [])
    described = finished(caller, started)
    assert (described["name"], described["done"], described["status"]) == ("Mine", 4, "done")
    assert Path(described["png"]["path"]).is_file() and Path(described["html"]["path"]).is_file()
    made = requests_of(described)
    assert {request.prompt for request in made} == {"a green ball", "a blue, light ball"}
    source = load_image(caller.files[0])
    for request in made:
        low = int(request.units[0].annotator_parameters["low_threshold"])
        expected = caller.context.maps.annotate("canny", "canny", source, {"low_threshold": low}, 128, 64, "pad")
        assert np.array_equal(request.units[0].pixels, expected.pixels)
    assert len(list(caller.context.settings.output_dir.glob("*.png"))) == 4


def test_values_of_a_grid_are_named_by_their_titles(caller: Caller, photo: dict[str, Any]) -> None:
    axes = [
        {"name": "scheduler", "values": ["ddim", "euler"]},
        {"name": "unit1.control_mode", "values": ["prompt", "balanced"]},
        {"name": "guess_mode", "values": [False, True]},
    ]
    started = caller("grid", draft=draft(photo), axes=axes)
    finished(caller, started)
    table = grid_table(caller.context.sweeps.state(started["sweep"]).manifest)
    expected = [("DDIM", "Euler"), ("My prompt is more important", "Balanced"), ("Off", "On")]
    assert [labels for _, labels in table.axes] == expected


def test_an_axis_over_models_that_are_not_here_asks_for_their_download(caller: Caller) -> None:
    asked = caller("grid", draft=draft(layers=[]), axes=[{"name": "base", "values": ["embedded", "sd15"]}])
    assert "sd15" in asked["missing"]["ids"]


def test_a_batch_takes_a_table_and_its_pictures_are_kept_for_a_resume(caller: Caller) -> None:
    files = [upload(caller, name, column) for name, column in (("p1.png", 5), ("p2.png", 30), ("p10.png", 60))]
    table = text(caller, "prompts.csv", "file,prompt\np10,a hat\np2.png,\n")
    started = caller("batch", draft=draft(), files=files, table=table, into=["a"], name="Photos")
    described = finished(caller, started)
    assert (described["kind"], described["total"], described["done"]) == ("batch", 2, 2)
    hat, ball = requests_of(described)
    assert (hat.prompt, ball.prompt) == ("a hat", "a red ball")
    assert (hat.width, hat.height) == (160, 104)  # the photo's own shape
    pixels = load_image(caller.folder / "p10.png")
    assert np.array_equal(hat.units[0].pixels, Canny()(resize(pixels, 160, 104)))
    Path(described["pictures"][0]["path"]).unlink()
    for file in files:
        Path(file).unlink()
    caller("resume_sweep", sweep=started["sweep"])
    again = requests_of(finished(caller, started))[0]
    assert (again.prompt, np.array_equal(again.units[0].pixels, hat.units[0].pixels)) == ("a hat", True)


def test_a_batch_of_a_fixed_size_with_captions_starts_from_its_pictures(caller: Caller) -> None:
    files = [upload(caller, "p1.png", 5), upload(caller, "p2.png", 30), text(caller, "p2.txt", "a hat")]
    start = {"strength": 0.5, "picture": None, "mask": None, "area": "picture"}
    sent = {"files": files, "into": ["start"], "size": "fixed"}
    described = finished(caller, caller("batch", draft=draft(layers=[], start=start), **sent))
    made = requests_of(described)
    assert [request.prompt for request in made] == ["a red ball", "a hat"]
    assert all((request.width, request.height, request.strength) == (128, 128, 0.5) for request in made)
    initial = load_image(made[1].initial_image)
    assert np.array_equal(initial, resize(load_image(caller.folder / "p2.png"), 128, 128))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"into": []}, "choose at least one that is on"),
        ({"into": ["b"]}, "choose at least one that is on"),
        ({"files": []}, "There are no pictures in the batch"),
        ({"files": ["/etc/passwd"]}, "did not arrive"),
        ({"table": "/etc/passwd"}, "did not arrive"),
        ({"size": "large"}, "it must be follow or fixed"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(caller: Caller, changes: dict[str, Any], sentence: str) -> None:
    values = {"files": [upload(caller, "p1.png", 5)], "into": ["a"], **changes}
    assert sentence in caller("batch", draft=draft(), **values)["error"]


def test_the_columns_of_a_table_are_named_in_the_words_of_the_form(caller: Caller) -> None:
    table = text(caller, "t.csv", "file,unit1.conditioning_scale\np1.png,7\n")
    error = caller("batch", draft=draft(), files=[upload(caller, "p1.png", 5)], table=table, into=["a"])["error"]
    assert "“Canny: Control strength” is 7" in error


def test_a_sweep_is_cancelled_seen_after_a_restart_and_resumed(caller: Caller) -> None:
    caller.engine.gate.clear()
    started = caller("grid", draft=draft(layers=[]), axes=[{"name": "seed", "values": "1-3"}])
    (running,) = caller("sweeps")["sweeps"]
    assert (running["sweep"], running["status"], running["total"]) == (started["sweep"], "running", 3)
    caller("cancel_sweep", sweep=started["sweep"])
    assert finished(caller, started)["status"] == "cancelled"
    caller.engine.gate.set()
    caller.context.sweeps._sweeps.clear()  # as after a start of the app
    assert caller("sweeps")["sweeps"] == []
    (known,) = caller("sweeps", ids=[started["sweep"], "gone"])["sweeps"]
    assert (known["status"], known["done"]) == ("interrupted", 0)
    assert caller("resume_sweep", sweep=started["sweep"]) == {}
    assert finished(caller, started)["done"] == 3
    shutil.rmtree(known["folder"])


def test_a_sweep_that_stopped_is_described_with_its_fault(caller: Caller) -> None:
    caller.engine.faults["a broken ball"] = EngineError("The engine stopped; try again.")
    broken = draft(layers=[], prompt="a broken ball")
    described = finished(caller, caller("grid", draft=broken, axes=[{"name": "seed", "values": "1-5"}]))
    assert (described["status"], described["done"], described["failed"]) == ("failed", 0, 3)
    assert described["fault"] == "3 pictures in a row failed, so the rest was not tried. The engine stopped; try again."


def test_a_visitor_of_a_public_app_has_only_their_own_sweeps(public: Caller) -> None:
    public.engine.gate.clear()
    started = public("grid", draft=draft(layers=[]), axes=[{"name": "seed", "values": "1, 2"}])
    other = Caller(public.context, public.engine, public.folder, session="somebody else")
    assert other("sweeps", ids=[started["sweep"]])["sweeps"] == []
    for call in ("sweep", "cancel_sweep", "resume_sweep"):
        assert other(call, sweep=started["sweep"])["error"].startswith("There is no grid or batch")
    (own,) = public("sweeps")["sweeps"]
    assert (own["folder"], own["manifest"]) == ("", "")
    public.engine.gate.set()
    assert finished(public, started)["done"] == 2


def test_a_sweep_has_its_owner_after_a_restart_and_one_of_nobody_is_shown_to_nobody(public: Caller) -> None:
    started = public("grid", draft=draft(layers=[]), axes=[{"name": "seed", "values": "1, 2"}])
    assert finished(public, started)["done"] == 2
    public.context.sweeps._sweeps.clear()  # as after a start of the app
    other = Caller(public.context, public.engine, public.folder, session="somebody else")
    for call in ("sweep", "cancel_sweep", "resume_sweep"):
        assert other(call, sweep=started["sweep"])["error"].startswith("There is no grid or batch")
    assert public("sweep", sweep=started["sweep"])["status"] == "done"
    (path,) = public.context.settings.output_dir.glob("grids/*/manifest.json")
    values = json.loads(path.read_text())
    assert public.session not in path.read_text() and values["owner"]
    path.write_text(json.dumps({name: value for name, value in values.items() if name != "owner"}))
    assert public("sweep", sweep=started["sweep"])["error"].startswith("There is no grid or batch")


def test_only_the_latest_sweeps_are_held_in_memory(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnet_app.jobs.sweeps.sweeps.REMEMBERED", 1)
    axes = [{"name": "seed", "values": "1"}]
    all_of_them = [caller("grid", draft=draft(layers=[]), axes=axes) for _ in range(4)]
    for started in all_of_them:
        assert finished(caller, started)["done"] == 1
    last = caller("grid", draft=draft(layers=[]), axes=axes)
    assert len(caller.context.sweeps._sweeps) == 2
    assert [caller("sweep", sweep=one["sweep"])["status"] for one in all_of_them] == ["done"] * 4
    finished(caller, last)


def test_wildcards_are_counted_while_they_are_typed(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "wildcards").mkdir()
    (tmp_path / "wildcards" / "colour.txt").write_text("red\ngreen\n{light|dark} blue\n")
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    assert caller("wildcards", prompt="a ball") == {"factors": [], "count": 1, "names": [], "fault": ""}
    found = caller("wildcards", prompt="a __colour__ {ball|box|hat}")
    assert (found["factors"], found["count"], found["names"]) == ([4, 3], 12, ["colour"])
    assert "is closed by no }" in caller("wildcards", prompt="a {ball")["fault"]
    assert "There is no wildcard __color__" in caller("wildcards", prompt="a __color__")["fault"]
