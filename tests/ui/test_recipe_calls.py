"""A recipe becomes a draft that makes the same request again; what another program's recipe lacks is named."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from annotators.people.poses import Person, Pose
from annotators.sources.images import load_image, resize
from cnet_app.jobs.create import create_runner
from cnet_app.maps.annotate import build_unit
from cnet_app.maps.own import control_image_from_map, control_image_from_pose
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.recipe import read_request
from cnet_app.request.units import ControlUnit
from cnet_app.request.upscale import UpscaleRequest
from cnet_app.settings import Settings
from tests.jobs.fake_engine import request
from tests.request.foreign.pictures import A1111, png
from tests.source import ROOT
from tests.ui.studio_calls import Desk

PHOTO = np.ascontiguousarray(data.astronaut()[::2, ::2])
NEEDS_WEIGHTS = pytest.mark.skipif(
    not (ROOT / "models" / "embedded" / "base" / "model_index.json").exists(),
    reason="the embedded weights are not here",
)
ORIGIN = {"annotator": None, "annotator_parameters": {}, "source_sha256": None, "control_data": None}
"""A restored map is one of the user's own: how it was made is in the layer's note."""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.runner.close()


def rings(width: int = 128, height: int = 96) -> bytes:
    """White circles on black."""
    y, x = np.mgrid[:height, :width]
    lit = np.hypot(x - width / 2, y - height / 2).astype(int) % 12 == 0
    return encode_png(np.repeat(lit[..., None], 3, axis=2).astype(np.uint8) * 255)


def gradient(width: int = 128, height: int = 96) -> bytes:
    ramp = np.broadcast_to(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, width, 3))
    return encode_png(np.ascontiguousarray(ramp))


def standing() -> Pose:
    body = np.zeros((18, 3))
    body[:, 0], body[:, 1], body[:, 2] = np.linspace(20, 100, 18), np.linspace(10, 90, 18), 1
    return Pose((Person(body=body),), 96, 128)


def rich_request(desk: Desk) -> GenerationRequest:
    """One that uses every kind of map and nearly every setting."""
    canny = ControlUnit(
        condition="canny", control_image=rings(), annotator="canny", annotator_parameters={"low_threshold": 40},
        conditioning_scale=0.7, control_guidance_start=0.1, control_guidance_end=0.8, control_mode="prompt",
        strength_curve=((0.0, 1.0), (1.0, 0.4)), depth_curve=((0.0, 1.0), (1.0, 0.5)), mask=gradient(), mask_feather=3.0,
        prompt="a ring",
    )  # fmt: skip
    pose = build_unit("openpose", control_image_from_pose("openpose", standing(), None, 128, 96))
    classes = build_unit(
        "segmentation",
        control_image_from_map("segmentation", np.full((96, 128, 3), (120, 120, 120), np.uint8), 128, 96),
    )
    drawn = ControlUnit(condition="scribble", control_image=rings(), weight_map=gradient())
    return GenerationRequest(
        prompt="rings", negative_prompt="squares", width=128, height=96, units=(canny, pose, classes, drawn), seed=77,
        num_inference_steps=3, guidance_scale=4.5, scheduler="euler", residual_interval=2, reuse_threshold=0.07, norm_preserving=True,
        initial_image=encode_png(PHOTO), strength=0.5, inpaint_mask=gradient(),
    )  # fmt: skip


def pixels_of(value: Any) -> Any:
    """Return a request's fields with every picture as its pixels."""
    if isinstance(value, bytes):
        return load_image(value).tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: pixels_of(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return [pixels_of(part) for part in value] if isinstance(value, tuple) else value


def comparable(request: GenerationRequest) -> Any:
    units = tuple(dataclasses.replace(unit, **ORIGIN) for unit in request.units)
    return pixels_of(dataclasses.replace(request, units=units))


def generated_again(desk: Desk, answer: dict[str, Any]) -> GenerationRequest:
    """Return the request that Generate sends after a restore."""
    draft = desk.fetched(answer["draft"])
    size = draft["size"]
    frame = {name: size[name] for name in ("width", "height", "fit")}
    sent = desk.call("generate", draft=draft | {"frame": frame, "photo": None})
    assert "error" not in sent, sent
    task = desk.runner.request(sent["jobs"][0])
    desk.wait(sent["jobs"][0])
    assert isinstance(task, GenerationRequest)
    return task


@pytest.mark.slow
def test_all_settings_of_a_picture_make_the_same_request(desk: Desk) -> None:
    made = desk.make(rich_request(desk))
    answer = desk.call("read_recipe", id=desk.picture_ids()[0])
    assert answer["program"] == "ControlNet Studio" and answer["notes"] == []
    assert [layer["source"] for layer in answer["draft"]["layers"]] == ["map", "pose", "map", "drawing"]
    assert (
        "map by Canny" in answer["draft"]["layers"][0]["note"]
        and "low threshold 40" in answer["draft"]["layers"][0]["note"]
    )
    again = generated_again(desk, answer)
    assert comparable(again) == comparable(read_request(Path(made.paths[0])))
    assert again.units[1].pose is not None


@pytest.mark.slow
def test_the_repainted_part_of_a_large_picture_is_made_again(desk: Desk) -> None:
    mask = np.zeros((256, 256, 3), np.uint8)
    mask[60:120, 90:160] = 255
    part = GenerationRequest(
        prompt="rings", width=128, height=96, seed=4, num_inference_steps=3, initial_image=encode_png(PHOTO), strength=0.5,
        units=(ControlUnit(condition="canny", control_image=rings(), mask=gradient()),),
        inpaint_mask=encode_png(mask), inpaint_area="mask", inpaint_padding=16,
    )  # fmt: skip
    made = desk.make(part)
    again = generated_again(desk, desk.call("read_recipe", id=desk.picture_ids()[0]))
    assert comparable(again) == comparable(read_request(Path(made.paths[0])))


def test_a_dropped_picture_and_its_sidecar_bring_the_same_recipe(desk: Desk, tmp_path: Path) -> None:
    made = desk.make(request("a cat", seed=5))
    dropped = desk.call("read_recipe", path=made.paths[0])
    with zipfile.ZipFile(desk.call("zip", ids=desk.picture_ids())["path"]) as archive:
        text = archive.read(next(name for name in archive.namelist() if name.endswith(".json"))).decode()
    assert desk.call("read_recipe", text=text) == dropped
    assert dropped["draft"]["seed"] == {"locked": True, "value": 5}
    assert "not JSON" in desk.call("read_recipe", text="[")["error"]


def test_a_foreign_recipe_fills_what_it_has_and_names_the_rest(desk: Desk, tmp_path: Path) -> None:
    answer = desk.call("read_recipe", path=str(png(tmp_path / "a.png", parameters=A1111)))
    draft, notes = answer["draft"], "; ".join(answer["notes"])
    assert answer["partial"] and "AUTOMATIC1111" in answer["program"]
    assert draft["prompt"].startswith("a castle on a hill") and draft["seed"]["value"] == 1234567890
    assert (draft["size"]["width"], draft["size"]["height"]) == (512, 768)
    assert draft["settings"]["negative_prompt"] == 'blurry, "text",\ndull'
    assert draft["settings"]["num_inference_steps"] == 28
    assert "ControlNet Canny" in notes and "ink style" in notes


def test_a_picture_without_a_recipe_is_a_photo(desk: Desk, tmp_path: Path) -> None:
    plain = str(png(tmp_path / "plain.png"))
    answer = desk.call("read_recipe", path=plain)
    assert answer["program"] == "" and "holds no recipe" in answer["reason"]


def test_vary_changes_the_seed_alone(desk: Desk) -> None:
    made = desk.make(request("a cat", seed=5))
    sent = desk.call("vary", id=desk.picture_ids()[0])
    first, second = read_request(Path(made.paths[0])), read_request(Path(desk.wait(sent["jobs"][0]).paths[0]))
    assert second.seed == sent["seed"] != 5
    assert dataclasses.replace(second, seed=5) == first


def test_an_upscale_with_the_demo_model_is_gentle_and_says_so(desk: Desk) -> None:
    desk.make(request("a cat", seed=5))
    sent = desk.call("upscale", id=desk.picture_ids()[0])
    task = desk.runner.request(sent["jobs"][0])
    assert isinstance(task, UpscaleRequest) and task.strength == 0.25 and task.size == (128, 128)
    assert (sent["width"], sent["height"]) == (128, 128) and "25 %" in sent["warnings"][0]
    made = desk.wait(sent["jobs"][0])
    assert made.status == "done"
    small, large = desk.picture_ids()[::-1]
    assert desk.call("before", id=small) == {"path": None}
    begun_from = load_image(Path(desk.call("before", id=large)["path"]))
    assert np.array_equal(begun_from, resize(load_image(desk.runner.library.get(small).path), 128, 128))
    assert "from 1 to 4" in desk.call("upscale", id=desk.picture_ids()[0], factor=9)["error"]


def test_where_a_picture_followed_its_map(desk: Desk) -> None:
    edges = desk.context.maps.annotate("canny", "canny", resize(PHOTO, 128, 128), None, 128, 128)
    desk.make(GenerationRequest(prompt="x", width=128, height=128, units=(build_unit("canny", edges),)))
    (id,) = desk.picture_ids()
    drawn = desk.call("overlay", id=id, index=0)
    assert [row["name"] for row in drawn["legend"]] == ["line as wanted", "line is missing", "line was not wanted"]
    assert Image.open(drawn["path"]).size == (128, 128)
    assert "none at place 1" in desk.call("overlay", id=id, index=1)["error"]


@pytest.mark.slow
@NEEDS_WEIGHTS
def test_a_restored_picture_is_made_again_bit_for_bit(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.runner.close()
    runner, maps = create_runner(Settings(output_dir=tmp_path / "real", base="embedded", engine="thread", offline=True))
    desk.runner, desk.context = runner, dataclasses.replace(desk.context, runner=runner, maps=maps)
    edges = maps.annotate("canny", "canny", PHOTO, None, 256, 256)
    unit = build_unit("canny", edges, conditioning_scale=0.8, mask=gradient(256, 256))
    wanted = GenerationRequest(prompt="a poster of a castle", units=(unit,), seed=11, num_inference_steps=4)
    first = desk.make(wanted)
    answer = desk.call("read_recipe", id=desk.picture_ids()[0])
    draft = desk.fetched(answer["draft"])
    frame = {"width": 256, "height": 256, "fit": "crop"}
    second = desk.wait(desk.call("generate", draft=draft | {"frame": frame, "photo": None})["jobs"][0])
    runner.close()
    assert np.array_equal(load_image(Path(first.paths[0])), load_image(Path(second.paths[0])))
