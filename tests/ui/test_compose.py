"""Units of Compose: parameters as text, one size for all, networks of their conditions."""

from __future__ import annotations

from typing import Any

import gradio as gr

from cnet_app.jobs.runner import Runner
from cnet_app.request.generation import GenerationRequest
from tests.ui.handlers import by_id, call, find, listeners, run


def test_a_unit_has_parameters_too(built: gr.Blocks, photo: str) -> None:
    def made(written: str) -> tuple[Any, str]:
        values = {"compose-3-photo": photo, "compose-3-annotator": "canny", "compose-3-parameters": written}
        (updates,) = run(built, "compose-3-parameters", "submit", values)
        return updates["compose-3-map"], updates["compose-3-note"]

    assert find(built, "compose-3-parameters").placeholder == "low_threshold=100, high_threshold=200, automatic=false"
    assert (made("low_threshold=30, high_threshold=60")[0] > 0).sum() > 1.3 * (made("")[0] > 0).sum()
    for written, message in (
        ("blur=3", "its parameters are: low_threshold, high_threshold, automatic"),
        ("30", "NAME=VALUE"),
    ):
        pixels, note = made(written)
        assert pixels is None
        assert message in note


def test_the_first_photo_gives_the_size_of_all_maps(built: gr.Blocks, runner: Runner, photo: str, wide: str) -> None:
    values = {
        "compose-1-photo": wide, "compose-1-annotator": "own_map", "compose-3-photo": photo,
        "compose-3-annotator": "canny",
    }  # fmt: skip
    *_, sent = run(built, "compose-go", "click", values, gr.Request(session_hash="me"))
    request = runner.state(next(v for v in sent.values() if isinstance(v, str) and len(v) == 16)).request
    assert isinstance(request, GenerationRequest)
    assert request.width > 1.9 * request.height
    assert [unit.condition for unit in request.units] == ["openpose", "canny"]
    assert {unit.pixels.shape for unit in request.units} == {(request.height, request.width, 3)}


def test_a_condition_brings_its_annotators_and_the_networks_of_the_base(built: gr.Blocks) -> None:
    (fn,) = listeners(built, "compose-1-condition", "input")
    updates = by_id(call(fn, {"compose-1-condition": "depth", "model-base": "sd15"}))
    assert [id for _, id in updates["compose-1-annotator"].choices][-1] == "own_map"
    networks = [id for _, id in updates["compose-1-controlnet"].choices]
    assert "t2iadapter_depth_sd15" in networks
    on_embedded = by_id(call(fn, {"compose-1-condition": "depth"}))
    assert "t2iadapter_depth_sd15" not in [id for _, id in on_embedded["compose-1-controlnet"].choices]


def test_without_any_picture_nothing_is_sent(built: gr.Blocks) -> None:
    *_, updates = run(built, "compose-go", "click", {}, gr.Request(session_hash="me"))
    assert "No unit has a picture yet" in updates["create-progress"]
