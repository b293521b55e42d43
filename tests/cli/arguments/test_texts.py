"""Parsing of control units, LoRAs and sizes as users type them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotators.sources.images import load_image
from cnet_app.cli.arguments.texts import parse_control, parse_lora, parse_size
from cnet_app.request.units import Lora
from models.errors import InputError


@pytest.mark.parametrize(
    ("text", "name", "scale"),
    [
        ("style", "style", 1.0),
        ("style.v2:0.8", "style.v2", 0.8),
        ("/loras/a b/style.safetensors:-.5", "/loras/a b/style.safetensors", -0.5),
        ("C:\\loras\\style.safetensors", "C:\\loras\\style.safetensors", 1.0),
        ("C:/loras/style.safetensors:2", "C:/loras/style.safetensors", 2.0),
        ("at 3:4.pt:1", "at 3:4.pt", 1.0),
    ],
)
def test_a_loras_weight_follows_the_last_colon_that_is_no_paths(text: str, name: str, scale: float) -> None:
    assert parse_lora(text) == Lora(name=name, scale=scale)


def test_control_reads_a_map_of_ones_own() -> None:
    steered = parse_control("canny=a.png,mode=custom,weights=1/0.5,unconditional_weights=0/2,curve=0:1/0.5:0,feather=8")
    assert steered.options == {
        "control_mode": "custom",
        "block_weights": (1.0, 0.5),
        "unconditional_block_weights": (0.0, 2.0),
        "strength_curve": ((0.0, 1.0), (0.5, 0.0)),
        "mask_feather": 8.0,
    }
    read = parse_control("depth=a, b.png,annotator=none,scale=0.5,mode=control")
    assert (read.path, read.annotator) == (Path("a, b.png"), None)
    assert read.options == {"conditioning_scale": 0.5, "control_mode": "control"}


def test_control_reads_a_prompt_and_curves_of_the_unit(tmp_path: Path) -> None:
    grey = np.full((16, 16, 3), 128, np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    read = parse_control(
        f"canny=a.png,prompt=a Red cone, matte,depth_curve=0:0.5/1:2,weight_map={tmp_path / 'grey.png'},scale=0.5"
    )
    weight_map = read.options["weight_map"]
    assert isinstance(weight_map, bytes) and (load_image(weight_map) == grey).all()
    assert {name: value for name, value in read.options.items() if name != "weight_map"} == {
        "prompt": "a Red cone, matte",
        "depth_curve": ((0.0, 0.5), (1.0, 2.0)),
        "conditioning_scale": 0.5,
    }
    assert parse_control("canny=a.png,prompt=7").options == {"prompt": "7"}
    with pytest.raises(
        InputError, match=r"depth_curve is '0-1', but it must be depth:factor points, such as 0:1/0.5:0.2"
    ):
        parse_control("canny=a.png,depth_curve=0-1")


def test_control_chooses_the_best_annotator_that_can_run() -> None:
    assert parse_control("scribble=a.png").annotator == "scribble_xdog"


@pytest.mark.parametrize("text", ["256", "256x", "x256", "-1x5", "2.5x2", "1e3x9"])
def test_size_says_how_it_is_written(text: str) -> None:
    with pytest.raises(InputError, match="WIDTHxHEIGHT"):
        parse_size(text)


def test_the_mask_of_a_unit_is_what_was_painted_on_its_sheet(tmp_path: Path) -> None:
    sheet = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    sheet.paste((0, 0, 0, 255), (0, 0, 16, 32))
    sheet.save(tmp_path / "mask.png")
    read = parse_control(f"canny=a.png,mask={tmp_path / 'mask.png'},feather=2")
    mask = read.options["mask"]
    assert isinstance(mask, bytes)
    assert (load_image(mask)[:, :16] == 255).all() and not load_image(mask)[:, 16:].any()
    assert read.notes == ("mask.png is transparent: what is painted in it, in any colour, is the mask.",)
