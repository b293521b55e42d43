"""Every kind of task: through JSON and through a process border, of older and newer schemas, and what is refused."""

from __future__ import annotations

import base64
import json
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from annotators.maps.segments import Segments
from annotators.people.poses import Person, Pose
from cnet_app.request.downloads import DownloadRequest
from cnet_app.request.generation import GenerationRequest, GenerationResult
from cnet_app.request.maps import MapRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.plain import SCHEMA
from cnet_app.request.tasks import KINDS, MIGRATIONS, Task, task_from_json, task_from_text, task_to_json
from cnet_app.request.units import MAX_DATA_BYTES, fitting_data
from cnet_app.request.upscale import UpscaleRequest
from models.errors import InputError
from tests.request.strategies import MAP, TASKS, requests, tasks, unit


def test_every_kind_of_task_is_tested_here() -> None:
    missing = set(KINDS) - set(TASKS)
    assert not missing, f"give tests/request/strategies.py a strategy for {', '.join(missing)}"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(tasks)
def test_json_loses_nothing(task: Task) -> None:
    values = task_to_json(task)
    assert (values["kind"], values["schema"]) == (type(task).kind, SCHEMA)
    assert task_from_text(json.dumps(values, allow_nan=False)) == task


@settings(max_examples=40, deadline=None, derandomize=True)
@given(tasks)
def test_a_task_crosses_a_process_border(task: Task) -> None:
    assert pickle.loads(pickle.dumps(task)) == task  # noqa: S301
    assert hash(pickle.loads(pickle.dumps(task))) == hash(task)  # noqa: S301


@settings(max_examples=20, deadline=None, derandomize=True)
@given(requests)
def test_what_version_1_wrote_is_read(request: GenerationRequest) -> None:
    values = task_to_json(request)
    del values["kind"], values["schema"]
    assert task_from_json(values) == request


def test_empty_names_of_version_1_are_the_defaults_that_they_stood_for() -> None:
    units = [{"condition": "canny", "control_image": base64.b64encode(MAP).decode(), "controlnet": "", "annotator": ""}]
    made = task_from_json({"base": "", "vae": "", "units": units, "prompt": ""})
    assert made == GenerationRequest(units=(unit(),))
    with pytest.raises(InputError, match="base is empty"):
        task_from_json({"kind": "generation", "schema": 2, "base": ""})


def test_every_older_schema_has_its_migration() -> None:
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA))


@pytest.mark.parametrize("kind", [*KINDS, "video"])
def test_a_newer_schema_has_a_sentence_of_its_own(kind: str) -> None:
    with pytest.raises(
        InputError, match=r"newer version \(schema 9; this version reads up to 2\); update ControlNet Studio"
    ):
        task_from_json({"kind": kind, "schema": 9, "dreams": True})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"schema": "2"}, "schema is '2', but it must be a whole number from 1 to 2"),
        ({"schema": True}, "schema is True"),
        ({"schema": 0}, "schema is 0"),
        ({"kind": "video", "schema": 2}, "kind is 'video', but it must be one of: generation, map, upscale, download"),
        ({"kind": ["map"]}, "kind is ['map']"),
        ({"kind": "map", "schema": 2}, "The request has no condition, but needs it"),
        ({"kind": "map", "schema": 2, "prompt": "a"}, "unknown field 'prompt'"),
        ({"kind": "download", "schema": 2, "ids": "sd15"}, "ids is 'sd15', but it must be a list of 1 to 64"),
        ({"kind": "upscale", "schema": 2, "picture": {"sha256": "00", "bytes": 1}}, "a hash alone holds no picture"),
    ],
)
def test_json_refuses(values: Any, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        task_from_json(values)
    assert sentence in str(caught.value)


WRONG_MAPS: list[tuple[dict[str, Any], str]] = [
    ({"condition": "smell"}, "There is no condition 'smell'"),
    ({"annotator": "hed"}, "annotator is 'hed', but a map for Canny is made by one of: canny"),
    (
        {"condition": "scribble", "annotator": "xdog"},
        "no annotator 'xdog' (did you mean scribble_xdog?); choose one of: scribble_hed",
    ),
    ({"annotator": ""}, "annotator is empty"),
    ({"annotator_parameters": {"low": 1}}, "canny has no parameter 'low'; its parameters are: low_threshold"),
    ({"annotator_parameters": {"low_threshold": 999}}, "low_threshold is 999, but it must be from 1 to 255"),
    ({"annotator_parameters": {"low_threshold": [1]}}, "annotator_parameters has 'low_threshold': [1]"),
    ({"source_image": b"no picture"}, "not a picture"),
    ({"source_image": None}, "source_image is None"),
    ({"source_image": MAP + bytes(40_000_000)}, "at most 40 MB"),
]


@pytest.mark.parametrize(("values", "sentence"), WRONG_MAPS)
def test_a_map_request_refuses(values: dict[str, Any], sentence: str) -> None:
    known: dict[str, Any] = {"condition": "canny", "annotator": "canny", "source_image": MAP}
    with pytest.raises(InputError) as caught:
        MapRequest(**known | values)
    assert sentence in str(caught.value)


def test_a_map_request_holds_every_parameter_of_its_annotator() -> None:
    task = MapRequest(condition="canny", annotator="canny", annotator_parameters={"low_threshold": 5}, source_image=MAP)
    assert set(task.annotator_parameters) > {"low_threshold", "high_threshold"}
    assert task.annotator_parameters["low_threshold"] == 5
    assert task.made_by(task.pixels).shape == (64, 64, 3)
    assert task.size == (64, 64)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"factor": 5}, "factor is 5, but it must be from 1 to 4"),
        ({"strength": 2}, "strength is 2, but it must be from 0 to 1"),
        ({"picture": b""}, "empty"),
        ({"picture": encode_png(np.zeros((1100, 900, 3), np.uint8))}, "makes 1800x2200 pixels of this picture, but it may be at most 1.86"),
        ({"base": ""}, "base is empty"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
    ],
)  # fmt: skip
def test_an_upscale_refuses(values: dict[str, Any], sentence: str) -> None:
    known: dict[str, Any] = {"picture": MAP}
    with pytest.raises(InputError) as caught:
        UpscaleRequest(**known | values)
    assert sentence in str(caught.value)


def test_an_upscale_takes_over_what_made_the_picture() -> None:
    made_with = GenerationRequest(prompt="a", guidance_scale=7.5, base="sd15", scheduler="ddim", seed=3, width=64)
    task = UpscaleRequest(picture=MAP, factor=1.5, **made_with.shared)  # pyright: ignore[reportArgumentType]
    assert (task.guidance_scale, task.base, task.scheduler, task.seed) == (7.5, "sd15", "ddim", 3)
    assert task.size == (96, 96)


@pytest.mark.parametrize("ids", [(), ("../x",), ("/etc/passwd",), ("a/b/c",), ("",), (3,), ("a b",), ("x",) * 65])
def test_a_download_names_catalogue_rows_or_repositories_only(ids: Any) -> None:
    with pytest.raises(InputError, match=r"^ids (has|is)"):
        DownloadRequest(ids=ids)


def test_people_and_classes_stay_editable_in_a_unit() -> None:
    pose = Pose((Person(body=np.full((18, 3), 7.0)),), height=64, width=48)
    carried = unit(condition="openpose", control_data=pose.to_json())
    back = task_from_text(json.dumps(task_to_json(GenerationRequest(units=(carried,)))))
    assert isinstance(back, GenerationRequest)
    assert back.units[0] == carried
    assert back.units[0].pose is not None
    assert back.units[0].pose.to_json() == pose.to_json()
    assert back.units[0].segments is None
    classes = Segments(np.arange(6, dtype=np.int16).reshape(2, 3))
    labels = unit(condition="segmentation", control_data=classes.to_json())
    assert labels.segments is not None
    assert np.array_equal(labels.segments.classes, classes.classes)
    with pytest.raises(TypeError):
        carried.control_data["people"] = []  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]


def test_data_that_is_too_large_for_a_recipe_is_left_out() -> None:
    assert fitting_data({"a": "x" * 10}) == {"a": "x" * 10}
    assert fitting_data({"a": "x" * MAX_DATA_BYTES}) is None


def test_control_data_counts_towards_the_size_of_a_recipe() -> None:
    data = Pose((), height=64, width=64).to_json() | {"notes": "x" * 1_900_000}
    large = unit(condition="openpose", control_data=data, control_image=MAP + bytes(4_000_000))
    GenerationRequest(units=(large,) * 6)
    with pytest.raises(InputError, match="at most 40 MB"):
        GenerationRequest(units=(large,) * 7)


def test_a_result_names_its_pictures_by_hash_or_holds_them_whole() -> None:
    request = GenerationRequest(units=(unit(mask=MAP),), initial_image=MAP)
    result = GenerationResult(request=request, paths=("a.png",), seeds=(0,), seconds=0.5)
    short, whole = json.dumps(result.to_json()), json.dumps(result.to_json(maps=True))
    picture = base64.b64encode(MAP).decode()
    assert (short.count(picture), whole.count(picture)) == (0, 3)
    assert short.count(f'"bytes": {len(MAP)}') == 3
    with pytest.raises(InputError, match="a hash alone holds no picture"):
        task_from_json(json.loads(short)["request"])
