"""Requests: what is refused and with which sentence, and that JSON loses nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnet_app.request.generation import GenerationRequest, GenerationResult
from cnet_app.request.pictures import encode_png
from cnet_app.request.tasks import task_from_json, task_from_text, task_to_json
from models.errors import InputError
from tests.request.strategies import MAP, requests, unit

NESTED: dict[str, Any] = json.loads('{"a": ' * 500 + "1" + "}" * 500)
WRONG_UNITS: list[tuple[dict[str, Any], str]] = [
    ({"condition": "smell"}, "There is no condition 'smell'; choose one of: canny"),
    ({"condition": None}, "condition is None, but it must be text"),
    ({"control_image": b""}, "empty"),
    ({"control_image": b"not a picture"}, "not a picture"),
    ({"control_image": MAP[:100]}, "damaged or cut off"),
    ({"control_image": "a string"}, "control_image is 'a string'"),
    ({"conditioning_scale": 2.1}, "conditioning_scale is 2.1, but it must be from 0 to 2"),
    ({"conditioning_scale": float("nan")}, "conditioning_scale is nan, but it must be a number from 0 to 2"),
    ({"conditioning_scale": True}, "conditioning_scale is True"),
    ({"conditioning_scale": "1"}, "conditioning_scale is '1'"),
    ({"control_guidance_end": 1.5}, "control_guidance_end is 1.5"),
    ({"control_guidance_start": 0.6, "control_guidance_end": 0.5}, "control_guidance_start is 0.6, but it must not be"),
    ({"control_mode": "soft"}, "control_mode is 'soft', but it must be one of: balanced, prompt, control"),
    ({"control_mode": "custom"}, "block_weights is empty; give one number a block"),
    ({"block_weights": [1, 0.5]}, "block_weights is given, but control_mode is balanced; set it to custom"),
    ({"control_mode": "custom", "block_weights": [-1]}, "block_weights is -1, but it must be from 0 to 16"),
    ({"control_mode": "custom", "block_weights": [1] * 33}, "it must be a list of at most 32"),
    ({"control_mode": "custom", "block_weights": "1"}, "block_weights is '1', but it must be a list"),
    ({"strength_curve": [(0, 1, 2)]}, "strength_curve has (0, 1, 2), but a point is a pair"),
    ({"strength_curve": [(0.5, 1), (0.5, 0)]}, "has a point at 0.5 after one at 0.5, but its fractions must rise"),
    ({"strength_curve": [(0, 3)]}, "strength_curve is 3, but it must be from 0 to 2"),
    ({"strength_curve": 5}, "strength_curve is 5, but it must be a list"),
    ({"depth_curve": [(0, 1, 2)]}, "depth_curve has (0, 1, 2), but a point is a pair: depth, factor"),
    (
        {"depth_curve": [(0.5, 1), (0.2, 0)]},
        "depth_curve has a point at 0.2 after one at 0.5, but its depths must rise",
    ),
    ({"depth_curve": [(2, 1)]}, "depth_curve is 2, but it must be from 0 to 1"),
    ({"prompt": 5}, "prompt is 5, but it must be text"),
    ({"prompt": "a" * 10_001}, "prompt has 10,001 characters"),
    ({"weight_map": b"no picture"}, "not a picture"),
    ({"weight_map": MAP, "mask": MAP}, "mask and weight_map are both given, but a unit takes one of the two"),
    ({"mask": "white"}, "mask is 'white', but it must be the bytes of a PNG"),
    ({"mask": b"no picture"}, "not a picture"),
    ({"mask_feather": -1}, "mask_feather is -1, but it must be from 0 to 256 px"),
    ({"control_mode": ["control"]}, "control_mode is"),
    ({"annotator": 5}, "annotator is 5, but it must be text"),
    ({"annotator_parameters": [1]}, "annotator_parameters is"),
    ({"annotator_parameters": {"low_threshold": float("inf")}}, "annotator_parameters has 'low_threshold': inf"),
    ({"annotator_parameters": {"low_threshold": [1]}}, "annotator_parameters has 'low_threshold'"),
    ({"controlnet": "x" * 1001}, "controlnet has 1,001 characters"),
    ({"controlnet": ""}, "controlnet is empty; give one, or leave controlnet out"),
    ({"annotator": ""}, "annotator is empty"),
    ({"control_data": {"people": []}}, "control_data is given, but maps for Canny are drawn from no data"),
    ({"condition": "openpose", "control_data": [1]}, "control_data must be an object"),
    ({"condition": "openpose", "control_data": {"people": []}}, 'control_data has no "canvas_width"'),
    ({"condition": "openpose", "control_data": {1: 2}}, "control_data has the key 1, but a key must be text"),
    ({"condition": "openpose", "control_data": {"a": float("nan")}}, "control_data holds nan"),
    ({"condition": "openpose", "control_data": NESTED}, "nested more than 32 levels deep"),
    ({"condition": "openpose", "control_data": {"a": b"1"}}, "control_data holds b'1'"),
    ({"condition": "openpose", "control_data": {"a": "x" * 2_000_000}}, "control_data has 2.0 MB, but at most 2 MB"),
    ({"condition": "segmentation", "control_data": {"width": 2, "height": 2, "runs": [[0, 3]]}}, "do not fill 2x2"),
    (
        {"condition": "segmentation", "control_data": {"width": 9000, "height": 4000, "runs": [[0, 36_000_000]]}},
        "control_data is of 9000x4000",
    ),
]
WRONG_REQUESTS: list[tuple[dict[str, Any], str]] = [
    ({"width": 63}, "width is 63, but it must be from 64 to 2048 px"),
    ({"width": 0}, "width is 0, but it must be from 64 to 2048 px"),
    ({"height": 256.5}, "height is 256.5, but it must be a whole number"),
    ({"height": 10**400}, "height is 1000"),
    ({"num_inference_steps": 0}, "num_inference_steps is 0"),
    ({"num_inference_steps": float("inf")}, "num_inference_steps is inf"),
    ({"initial_image": "a.png"}, "initial_image is 'a.png', but it must be the bytes of a PNG"),
    ({"initial_image": b""}, "empty"),
    ({"strength": 0.5}, "strength is given, but there is no initial_image for it"),
    ({"inpaint_mask": MAP}, "inpaint_mask is given, but there is no initial_image for it"),
    ({"inpaint_area": "masked"}, "inpaint_area is 'masked', but it must be one of: picture, mask"),
    ({"inpaint_area": "mask"}, "inpaint_area is mask, but there is no inpaint_mask to paint in; give one"),
    ({"inpaint_padding": 513}, "inpaint_padding is 513, but it must be from 0 to 512 px"),
    ({"initial_image": MAP, "strength": 1.5}, "strength is 1.5, but it must be from 0 to 1"),
    ({"guidance_scale": 0.5}, "guidance_scale is 0.5, but it must be from 1 to 30"),
    ({"guidance_scale": float("nan")}, "guidance_scale is nan"),
    ({"guidance_scale": None}, "guidance_scale is None"),
    ({"num_images": 9}, "num_images is 9"),
    ({"seed": -1}, "seed is -1, but it must be from 0"),
    ({"seed": 2**32}, "seed is 4294967296, but it must be from 0 to"),
    ({"seed": 2**32 - 1, "num_images": 2}, "the seed of the last picture"),
    ({"guess_mode": 1}, "guess_mode is 1, but it must be true or false"),
    ({"prompt": "a" * 10_001}, "prompt has 10,001 characters"),
    ({"prompt": b"bytes"}, "prompt is b'bytes', but it must be text"),
    ({"negative_prompt": "\ud800"}, "negative_prompt holds a character that is no text"),
    ({"prompt": "a\0b"}, "prompt holds a character that is no text"),
    ({"base": 3}, "base is 3, but it must be text"),
    ({"base": ""}, "base is empty; give one, or leave base out"),
    ({"base": "  "}, "base is empty"),
    ({"scheduler": ""}, "scheduler is empty"),
    ({"vae": ""}, "vae is empty"),
    ({"units": "canny"}, "units must be a list"),
    ({"units": [{}]}, "units must be a list of ControlUnit"),
    ({"units": [unit()] * 9}, "units has 9 entries, but at most 8"),
    ({"loras": ["detail"]}, "loras must be a list of Lora"),
    ({"ip_adapter": "face"}, "ip_adapter is 'face', but it must be an IpAdapter"),
    ({"reuse_threshold": 0.6}, "reuse_threshold is 0.6, but it must be from 0 to 0.5"),
    ({"residual_interval": 0}, "residual_interval is 0, but it must be from 1 to 10"),
    ({"vae": 5}, "vae is 5, but it must be text"),
]


@pytest.mark.parametrize(("values", "sentence"), WRONG_UNITS)
def test_unit_refuses(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        unit(**values)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("values", "sentence"), WRONG_REQUESTS)
def test_request_refuses(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        GenerationRequest(**values)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 300


def test_maps_larger_than_a_recipe_can_hold_are_refused() -> None:
    large = unit(control_image=MAP + bytes(14_000_000))
    with pytest.raises(InputError, match=r"Maps and pictures have .* MB, but at most 40 MB"):
        GenerationRequest(units=(large,) * 3)


WRONG_JSON: list[tuple[Any, str]] = [
    ([], "The request is not a JSON object"),
    (None, "The request is not a JSON object"),
    ({"sampler": "ddim"}, "unknown field 'sampler'; its fields are: prompt, negative_prompt"),
    ({"units": {}}, "units is {}, but it must be a list"),
    ({"units": [7]}, "The control unit is not a JSON object"),
    ({"units": [{"condition": "canny"}]}, "has no control_image, but needs it"),
    ({"units": [{"condition": "canny", "control_image": "*"}]}, "not base64"),
    ({"loras": [{"name": "a", "scale": 3}]}, "scale is 3, but it must be from -2 to 2"),
    ({"loras": [{"scale": 1}]}, "The LoRA has no name, but needs it"),
    ({"ip_adapter": {"name": "a", "image": "YWJj"}}, "not a picture"),
    ({"units": [{"condition": "canny", "control_image": "YWJj"}]}, "not a picture"),
    ({"units": [{"condition": "canny", "control_image": "YWJj", "weight": 1}]}, "unknown field 'weight'"),
]


@pytest.mark.parametrize(("values", "sentence"), WRONG_JSON)
def test_json_refuses(values: Any, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        task_from_json(values)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "__import__('os')",
        '{"guidance_scale": NaN}',
        '{"guidance_scale": Infinity}',
        '{"guidance_scale": 1e999}',
        '{"seed": -Infinity}',
        '{"seed": ' + "9" * 5000 + "}",
        '{"seed": ' + "9" * 4000 + "}",
        '{"width": [256]}',
        '{"prompt": {"text": "a"}}',
        '{"units": null}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:24],
)
def test_text_that_is_no_request_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError):
        task_from_text(text)


def test_custom_weights_go_through_json() -> None:
    request = GenerationRequest(
        units=(unit(control_mode="custom", block_weights=[1, 0.5], unconditional_block_weights=(0.25, 2)),)
    )
    assert task_from_text(json.dumps(task_to_json(request))) == request


@pytest.mark.slow
@settings(max_examples=30, deadline=None, derandomize=True)
@given(requests)
def test_json_loses_nothing(request: GenerationRequest) -> None:
    text = json.dumps(task_to_json(request), allow_nan=False)
    assert task_from_text(text) == request


@pytest.mark.slow
@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(list(task_to_json(GenerationRequest()))), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)))  # fmt: skip
def test_any_json_is_a_request_or_an_input_error(values: dict[str, Any]) -> None:
    try:
        request = task_from_json(values)
    except InputError:
        return
    assert task_from_json(task_to_json(request)) == request


@pytest.mark.parametrize("change", [lambda r: setattr(r, "seed", 1), lambda r: setattr(r.units[0], "condition", "x")])
def test_requests_are_frozen(change: Callable[[GenerationRequest], None]) -> None:
    with pytest.raises(AttributeError):
        change(GenerationRequest(units=(unit(),)))


def test_annotator_parameters_are_a_frozen_copy() -> None:
    given = {"low_threshold": 80}
    made = unit(annotator_parameters=given)
    given["low_threshold"] = 1
    assert made.annotator_parameters == {"low_threshold": 80}
    with pytest.raises(TypeError):
        made.annotator_parameters["low_threshold"] = 2  # pyright: ignore[reportIndexIssue]


def test_only_picture_is_the_request_of_one_picture() -> None:
    request = GenerationRequest(prompt="a", seed=5, num_images=4)
    assert request.only_picture(3) == GenerationRequest(prompt="a", seed=8)


def test_pixels_are_the_map() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    np.testing.assert_array_equal(unit(control_image=encode_png(pixels)).pixels, pixels)


def test_result_is_plain_json() -> None:
    request = GenerationRequest(units=(unit(),), seed=3)
    values = json.loads(
        json.dumps(GenerationResult(request=request, paths=("a.png",), seeds=(3,), seconds=0.5).to_json(maps=True))
    )
    assert values["paths"] == ["a.png"]
    assert task_from_json(values["request"]) == request
