"""Axes from text, the cells of a grid, and their order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.plain import Scalar
from cnet_app.request.prompts.wildcards import Wildcards
from cnet_app.request.sweeps.fields import find_field, with_values
from cnet_app.request.sweeps.grids import Axis, axis_from_json, grid_requests, parse_axis
from cnet_app.request.units import ControlUnit, Lora
from models.errors import InputError

MAP = encode_png(np.zeros((64, 64, 3), np.uint8))
REQUEST = GenerationRequest(
    prompt="a red ball",
    units=(
        ControlUnit(condition="canny", control_image=MAP, annotator="canny", annotator_parameters={"low_threshold": 50}),
        ControlUnit(condition="depth", control_image=MAP),
    ),
    loras=(Lora(name="style"),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("guidance_scale: 3, 5.5,7", "guidance_scale", (3.0, 5.5, 7.0)),
        ("seed=1-4", "seed", (1, 2, 3, 4)),
        ("num_inference_steps: 1-10:3, 50", "num_inference_steps", (1, 4, 7, 10, 50)),
        ("unit1.conditioning_scale: 0.2-1:0.4", "unit1.conditioning_scale", (0.2, 0.6, 1.0)),
        ("lora1.scale: -1--0.5:.5, 0.1", "lora1.scale", (-1.0, -0.5, 0.1)),
        ("unit2.control_mode: balanced, prompt", "unit2.control_mode", ("balanced", "prompt")),
        ("unit1.controlnet: none, C:\\nets\\a.safetensors", "unit1.controlnet", (None, "C:\\nets\\a.safetensors")),
        ("unit1.annotator.automatic: false, TRUE", "unit1.annotator.automatic", (False, True)),
        ("guess_mode: false,true", "guess_mode", (False, True)),
        ("scheduler: ddim, euler_a", "scheduler", ("ddim", "euler_a")),
        ("base: sd15, sdxl", "base", ("sd15", "sdxl")),
        ('prompt: "a cat, asleep", "a dog = good"', "prompt", ("a cat, asleep", "a dog = good")),
    ],
)
def test_an_axis_is_read_from_text(text: str, name: str, values: tuple[object, ...]) -> None:
    axis = parse_axis(text, REQUEST)
    assert axis == Axis(name, values)  # pyright: ignore[reportArgumentType]
    assert [type(value) for value in axis.values] == [type(value) for value in values]
    assert axis_from_json(axis.to_json(), REQUEST) == axis
    assert axis_from_json(text, REQUEST) == axis


def test_a_text_of_the_prompt_is_replaced() -> None:
    axis = parse_axis("prompt: red = green, dark blue", REQUEST)
    assert axis == Axis("prompt", ("green", "dark blue"), "red")
    assert axis_from_json({"name": "prompt", "search": "red", "values": "green, dark blue"}, REQUEST) == axis
    cells = grid_requests(REQUEST, [axis, parse_axis("prompt: ball=cube, cone", REQUEST)])
    assert [cell.request.prompt for cell in cells] == [
        "a green cube", "a green cone", "a dark blue cube", "a dark blue cone",
    ]  # fmt: skip
    assert cells[0].labels == ("green", "cube")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps", "The axis is 'steps', but it must be NAME: VALUES"),
        ("guidance: 3", "no field 'guidance' that can vary (did you mean guidance_scale or"),
        ("num_images: 1,2", "no field 'num_images' that can vary"),
        ("unit3.conditioning_scale: 1", "; it has 2 units; its fields are: width"),
        ("unit2.annotator: canny", "no field 'unit2.annotator' that can vary"),
        ("guidance_scale: 0.5", "guidance_scale is 0.5, but it must be from 1 to 30."),
        ("num_inference_steps: 2.5", "must be a whole number from 1 to 150"),
        ("seed: one", "seed is 'one', but it must be a number"),
        ("unit1.control_mode: loud", "unit1.control_mode is 'loud', but it must be one of: balanced"),
        ("scheduler: dim", "dim"),
        ("unit1.conditioning_scale: 0-1", "a range must be FROM-TO:STEP"),
        ("seed: 5-1", "a range must be FROM-TO:STEP"),
        ("seed: 1-1000", "which has 1,000 values, but at most 100 go"),
        ("seed: 1,,2", "The axis seed has an empty value"),
        ("seed: 1, 2, 1", "The axis seed has 1 twice"),
        ("prompt: blue=red", "The axis prompt replaces 'blue', but the prompt does not hold it"),
        ('prompt: "open', "close the quotes"),
    ],
)
def test_a_wrong_axis_is_refused_in_a_sentence(text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        parse_axis(text, REQUEST)


@pytest.mark.parametrize("values", [3, {"name": "seed"}, {"name": "seed", "values": 3}, {"name": "seed", "values": [1], "x": 1}])  # fmt: skip
def test_json_that_is_no_axis_is_refused(values: object) -> None:
    with pytest.raises(InputError):
        axis_from_json(values, REQUEST)


def grid(*axes: str, request: GenerationRequest = REQUEST, **more: Any) -> Any:
    return grid_requests(request, [parse_axis(text, request) for text in axes], **more)


def test_every_combination_is_a_cell_with_its_values() -> None:
    cells = grid("unit1.conditioning_scale: 0.5, 1", "unit2.control_mode: balanced, control", "lora1.scale: 0, 1")
    assert sorted(cell.indices for cell in cells) == [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    for cell in cells:
        x, y, z = cell.indices
        first, second = REQUEST.units
        units = (
            replace(first, conditioning_scale=(0.5, 1)[x]),
            replace(second, control_mode=("balanced", "control")[y]),
        )
        assert cell.request == replace(REQUEST, units=units, loras=(Lora(name="style", scale=float(z)),))
        assert cell.labels == (("0.5", "1")[x], ("balanced", "control")[y], ("0", "1")[z])


def test_fields_that_limit_each_other_change_together() -> None:
    axes = ("unit1.control_guidance_start: 0.6", "unit1.control_guidance_end: 0.7, 0.8")
    narrow = replace(REQUEST, units=(replace(REQUEST.units[0], control_guidance_end=0.5),))
    assert [cell.request.units[0].control_guidance_end for cell in grid(*axes, request=narrow)] == [0.7, 0.8]
    with pytest.raises(InputError, match="control_guidance_start is 0.6, but it must not be after"):
        grid("unit1.control_guidance_start: 0.6", request=narrow)


def test_what_is_dear_to_change_changes_slowest() -> None:
    cells = grid("seed: 1,2", "base: sd15, sd21", "prompt: red=blue,green")
    told = [(cell.request.base, cell.request.prompt, cell.request.seed) for cell in cells]
    assert told == sorted(told)
    assert cells[1].indices == (1, 0, 0)
    for dear, cheap in [
        ("base: a, b", "unit1.controlnet: c, d"),
        ("unit1.controlnet: c, d", "lora1.scale: 0, 1"),
        ("lora1.scale: 0, 1", "prompt: red=blue, green"),
        ("prompt: red=blue, green", "scheduler: ddim, euler"),
        ("width: 64, 128", "unit1.annotator.low_threshold: 10, 20"),
        ("unit1.annotator.low_threshold: 10, 20", "seed: 1, 2"),
    ]:
        for axes in ((dear, cheap), (cheap, dear)):
            column = axes.index(dear)
            made = grid(*axes, remake=lambda request, index, *_: request.units[index])
            assert [cell.indices[column] for cell in made] == [0, 0, 1, 1]


def test_maps_are_made_again_once_for_each_setting_of_the_annotator() -> None:
    calls: list[tuple[int, str, dict[str, Scalar], int]] = []

    def remake(request: GenerationRequest, index: int, id: str, values: Mapping[str, Scalar]) -> ControlUnit:
        calls.append((index, id, dict(values), request.width))
        return replace(request.units[index], annotator=id, annotator_parameters=values, source_sha256="made")

    axes = ("unit1.annotator.low_threshold: 10, 20", "unit1.conditioning_scale: 0.3, 0.6", "width: 64, 128")
    cells = grid(*axes, remake=remake)
    assert sorted(calls, key=str) == [
        (0, "canny", {"low_threshold": low}, width) for low in (10, 20) for width in (128, 64)
    ]
    for cell in cells:
        unit = cell.request.units[0]
        assert unit.source_sha256 == "made"
        assert unit.annotator_parameters["low_threshold"] == (10, 20)[cell.indices[0]]
        assert unit.conditioning_scale == (0.3, 0.6)[cell.indices[1]]
    with pytest.raises(InputError, match="the picture that it is made of is not known"):
        grid(axes[0])
    with pytest.raises(InputError, match="The low threshold is 250, above the high threshold"):
        grid("unit1.annotator.low_threshold: 250", remake=remake)


def test_another_annotator_begins_with_its_own_parameters() -> None:
    unit = replace(
        REQUEST.units[0], condition="scribble", annotator="scribble_xdog", annotator_parameters={"threshold": 9}
    )
    request = replace(REQUEST, units=(unit,))
    seen: list[tuple[str, dict[str, Scalar]]] = []

    def remake(request: GenerationRequest, index: int, id: str, values: Mapping[str, Scalar]) -> ControlUnit:
        seen.append((id, dict(values)))
        return request.units[index]

    grid("unit1.annotator: scribble_xdog, scribble_hed", request=request, remake=remake)
    assert seen == [("scribble_xdog", {"threshold": 9}), ("scribble_hed", {})]


def test_cells_resolve_wildcards_by_their_own_seed(tmp_path: Path) -> None:
    request = replace(REQUEST, prompt="a {red|green|blue|white} ball")
    wildcards = Wildcards(tmp_path)
    cells = grid("seed: 1-6", "prompt: ball={cube|cone}, hat", request=request, wildcards=wildcards)
    for cell in cells:
        template = "a {red|green|blue|white} " + ("{cube|cone}", "hat")[cell.indices[1]]
        assert cell.request.prompt_template == template
        assert cell.request.prompt == wildcards.resolve(template, cell.request.seed)
    assert grid("seed: 1-6", request=request)[0].request.prompt == request.prompt


def test_a_replaced_prompt_has_no_template_of_the_old_one() -> None:
    request = replace(REQUEST, prompt_template="a {red|blue} ball")
    changed = with_values(request, [(find_field(request, "prompt"), "a hat")])
    assert (changed.prompt, changed.prompt_template) == ("a hat", "")


def test_grids_are_bounded() -> None:
    with pytest.raises(InputError, match="has 4 axes, but it must have 1 to 3"):
        grid("seed: 1", "width: 64", "height: 64", "eta: 0")
    with pytest.raises(InputError, match="has 0 axes"):
        grid()
    with pytest.raises(InputError, match="has 2,500 pictures, but at most 1,000 go"):
        grid("seed: 1-50", "num_inference_steps: 1-50")
    with pytest.raises(InputError, match="Two axes vary seed"):
        grid("seed: 1", "seed: 2")
    with pytest.raises(InputError, match="Two axes vary prompt"):
        grid("prompt: x", "prompt: red=y")
    with pytest.raises(InputError, match="num_images is 2, but each cell of a grid has one picture"):
        grid("seed: 1", request=replace(REQUEST, num_images=2))
