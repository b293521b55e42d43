"""`upscale`: larger pictures, by their own recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from models.catalogue.resolve import resolve
from tests.cli.conftest import Call


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_models")
def test_upscale_makes_a_picture_larger_by_its_own_recipe(call: Call, tmp_path: Path) -> None:
    own = ("--prompt", "a red ball", "--negative-prompt", "night", "--seed", 5, "--steps", 3, "--guidance-scale", 2.5, "--scheduler", "euler")  # fmt: skip
    _, out, _ = call("generate", *own, "--size", "64x64", "--output", tmp_path, "--json")
    small = json.loads(out)["paths"][0]
    code, out, err = call("upscale", small, "--factor", "1.5", "--output", tmp_path, "--json")
    assert code == 0, err
    made = json.loads(out)
    assert Image.open(made["paths"][0]).size == (96, 96)
    expected = {
        "prompt": "a red ball",
        "negative_prompt": "night",
        "seed": 5,
        "base": "sd15",
        "num_inference_steps": 3,
        "guidance_scale": 2.5,
        "scheduler": "euler",
        "strength": 0.4,
    }
    assert {name: made["request"][name] for name in expected} == expected


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_models")
def test_another_base_takes_the_prompts_alone(call: Call, tmp_path: Path, tiny_models: Path) -> None:
    own = ("--prompt", "a red ball", "--steps", 3, "--guidance-scale", 2.5, "--size", "64x64")
    _, out, _ = call("generate", *own, "--output", tmp_path, "--json")
    small = json.loads(out)["paths"][0]
    other = tiny_models / "mine"
    other.symlink_to(tiny_models / "sd15")
    code, out, err = call("upscale", small, "--base", other, "--factor", "1", "--output", tmp_path, "--json")
    assert code == 0, err
    request = json.loads(out)["request"]
    assert (request["prompt"], request["base"]) == ("a red ball", str(other))
    assert request["guidance_scale"] == resolve(str(other), "base").defaults.guidance_scale != 2.5


@pytest.mark.slow
def test_any_picture_can_be_made_larger(
    call: Call, photo: Path, tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = call("upscale", photo, "--factor", "9", "--output", tmp_path)
    assert (code, err) == (2, "factor is 9, but it must be from 1 to 4.\n")
    code, out, err = call("upscale", photo, "--factor", "1", "--output", tmp_path, "--json")
    assert code == 0, err
    defaults = resolve("sd15", "base").defaults
    request = json.loads(out)["request"]
    assert (request["num_inference_steps"], request["guidance_scale"]) == (
        defaults.num_inference_steps,
        defaults.guidance_scale,
    )
    monkeypatch.setenv("CNET_BASE", "embedded")  # the shipped model has a tile ControlNet, too
    code, _, err = call("upscale", photo, "--factor", "1", "--output", tmp_path)
    assert code == 0, err
