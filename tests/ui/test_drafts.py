"""What the page holds becomes the request that was meant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from annotators.canny import Canny
from annotators.maps.encoders import encode_segmentation
from annotators.sources.images import load_image
from cnet_app.registry.conditions import CONDITIONS
from cnet_app.request.generation import GenerationRequest
from tests.ui.conftest import FRAME, Caller

Photo = dict[str, Any]


def test_text_alone_makes_a_picture(caller: Caller) -> None:
    request = caller.generate(prompt="a poster")
    assert (request.prompt, request.units, request.width, request.height) == ("a poster", (), 128, 128)
    assert request.base == caller.context.base()[0]


def test_a_layer_becomes_a_unit_with_its_map(caller: Caller, photo: Photo) -> None:
    layer = {
        "condition": "canny", "parameters": {"low_threshold": 50, "high_threshold": 90}, "conditioning_scale": 0.5,
        "control_guidance_start": 0.1, "control_guidance_end": 0.8, "control_mode": "prompt",
        "strength_curve": [[0, 1], [1, 0.5]], "depth_curve": [[0, 0.5], [1, 1]], "prompt": "edges",
    }  # fmt: skip
    (unit,) = caller.generate(layer, photo=photo).units
    picture = load_image(caller.context.assets.get(photo["sha256"]))
    assert np.array_equal(unit.pixels, Canny(low_threshold=50, high_threshold=90)(picture))
    assert (unit.condition, unit.annotator, unit.conditioning_scale) == ("canny", "canny", 0.5)
    assert (unit.control_guidance_start, unit.control_guidance_end, unit.control_mode) == (0.1, 0.8, "prompt")
    assert (unit.strength_curve, unit.depth_curve) == (((0, 1), (1, 0.5)), ((0, 0.5), (1, 1)))
    assert unit.prompt == "edges"


def test_a_layer_that_is_off_is_left_out(caller: Caller, photo: Photo) -> None:
    assert not caller.generate({"condition": "canny", "enabled": False}, photo=photo).units


def test_a_drawing_is_the_map_itself(caller: Caller) -> None:
    sheet = np.zeros((128, 128, 3), np.uint8)
    sheet[40:44, 20:100] = 255
    (unit,) = caller.generate({"condition": "scribble", "source": "drawing", "drawing": caller.put(sheet)}).units
    assert unit.annotator is None
    assert np.array_equal(unit.pixels, sheet)


def test_masks_and_weights_travel_as_they_were_painted(caller: Caller, photo: Photo) -> None:
    mask = np.zeros((128, 128, 3), np.uint8)
    mask[:64] = 255
    weights = np.full((128, 128, 3), 128, np.uint8)
    weights[:64] = 1
    first, second = caller.generate(
        {"condition": "canny", "mask": caller.put(mask), "mask_feather": 3},
        {"condition": "canny", "weight_map": caller.put(weights)},
        photo=photo,
    ).units
    assert first.mask and np.array_equal(load_image(first.mask), mask) and first.mask_feather == 3
    assert second.weight_map and np.array_equal(load_image(second.weight_map), weights)


def test_a_picture_to_start_from_takes_the_photo_and_its_mask(caller: Caller, photo: Photo) -> None:
    mask = np.zeros((128, 128, 3), np.uint8)
    mask[30:60, 30:60] = 255
    request = caller.generate(photo=photo, start={"picture": None, "mask": caller.put(mask), "strength": 0.7})
    assert request.initial_image and request.inpaint_mask and request.strength == 0.7
    assert np.array_equal(load_image(request.inpaint_mask), mask)


def test_repainting_at_full_size_keeps_the_original_and_cuts_the_maps_sources(caller: Caller) -> None:
    large = np.zeros((256, 512, 3), np.uint8)
    large[:, :256] = 200  # one edge, in the middle
    frame = {"width": 128, "height": 64, "fit": "crop"}
    mask = np.zeros((64, 128, 3), np.uint8)
    mask[28:36, 100:110] = 255  # right of the edge
    request = caller.generate(
        {"condition": "canny"},
        photo=caller.put(large),
        frame=frame,
        start={"mask": caller.put(mask), "area": "mask", "padding": 8},
    )
    assert request.initial_image and request.inpaint_mask
    assert load_image(request.initial_image).shape == large.shape
    covered = load_image(request.inpaint_mask)[..., 0] > 127
    assert covered.shape == large.shape[:2]
    rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    assert abs(rows[0] - 112) <= 1 and abs(rows[-1] - 143) <= 1
    assert abs(columns[0] - 400) <= 1 and abs(columns[-1] - 439) <= 1
    assert not request.units[0].pixels.any()  # the edge is not in the part


def test_settings_off_their_defaults_are_sent(caller: Caller) -> None:
    settings = {
        "negative_prompt": "dark",
        "num_inference_steps": 7,
        "guidance_scale": 3,
        "scheduler": "ddim",
        "eta": 0.5,
    }
    request = caller.generate(prompt="a", settings=settings, count=3, seed={"locked": True, "value": 5})
    assert (request.negative_prompt, request.num_inference_steps, request.guidance_scale) == ("dark", 7, 3)
    assert (request.scheduler, request.eta, request.seed, request.num_images) == ("ddim", 0.5, 5, 3)


def test_a_seed_that_is_not_locked_is_drawn(caller: Caller) -> None:
    assert len({caller.generate(prompt="a").seed for _ in range(4)}) > 1


def test_each_picture_of_a_wildcard_is_a_job_of_its_own(caller: Caller) -> None:
    sent = caller("generate", draft={"frame": {"width": 64, "height": 64}, "prompt": "a {red|blue} ball", "count": 3})
    assert len(sent["jobs"]) == 3


@pytest.mark.parametrize(
    ("draft", "sentence"),
    [
        ({"layers": [{"condition": "canny"}]}, "There is no photo yet; drop, paste, choose or take one."),
        ({"layers": [{"condition": "canny", "source": "own"}]}, "This layer has no photo of its own yet; choose one."),
        ({"layers": [{"condition": "nothing"}]}, "There is no condition 'nothing'"),
        ({"start": {"strength": 0.5}}, "There is no picture to start from yet"),
        ({"settings": {"num_inference_steps": 1000}}, "“Steps” is 1000, but it must be from 1 to 150"),
        ({"frame": {"width": 5, "height": 64}}, "“Width” is 5, but it must be"),
        ({"photo": {"sha256": "../etc"}, "layers": [{"condition": "canny"}]}, "but it must be the hash of a picture"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(caller: Caller, draft: dict[str, Any], sentence: str) -> None:
    refused = caller("generate", draft={"frame": {"width": 64, "height": 64}, **draft})
    assert sentence.lower() in refused["error"].lower(), refused


@pytest.mark.slow
@pytest.mark.parametrize("row", CONDITIONS, ids=lambda row: row.id)
def test_every_conditions_example_makes_its_map(caller: Caller, row: Any) -> None:
    given = caller("example", condition=row.id)
    assert given["image"].startswith("data:image/png;base64,")
    assert given["prompt"] == row.example_prompt


def test_a_hole_in_the_photo_to_start_from_is_its_mask(caller: Caller) -> None:
    photo = np.full((128, 128, 4), 90, np.uint8)
    photo[..., 3] = 255
    photo[40:80, 40:80, 3] = 0
    sent = caller(
        "generate", draft={"frame": FRAME, "layers": [], "photo": caller.put(photo), "start": {"strength": 0.5}}
    )
    request = caller.context.runner.request(sent["jobs"][0])
    assert isinstance(request, GenerationRequest) and request.inpaint_mask and request.initial_image
    assert np.array_equal(load_image(request.inpaint_mask)[..., 0] == 255, photo[..., 3] == 0)
    assert (load_image(request.initial_image) == 90).all()
    part = caller.generate(photo=caller.put(photo), start={"area": "mask"})
    assert part.inpaint_mask and np.array_equal(load_image(part.inpaint_mask)[..., 0] == 255, photo[..., 3] == 0)


def test_a_map_of_ones_own_is_read_as_one_and_the_page_is_told(caller: Caller) -> None:
    sheet = np.zeros((128, 128, 4), np.uint8)
    sheet[40:44, 20:100] = 255
    layer = {"condition": "canny", "source": "map", "picture": caller.put(sheet)}
    (unit,) = caller.generate(layer).units
    assert np.array_equal(unit.pixels, np.where(sheet[..., 3:] == 255, 255, 0).repeat(3, axis=2))
    numbers = np.zeros((128, 128), np.uint8)
    numbers[64:] = 9
    layer = {"condition": "segmentation", "source": "map", "picture": caller.put(numbers)}
    made = caller("map", layer=layer, frame=FRAME)
    assert "holds class numbers, read as ADE20K's from 0: wall and grass" in made["warnings"][0]


def test_a_repainted_photo_tells_nothing_of_its_place(caller: Caller) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # as a phone stores a photo that is taken upright
    exif.get_ifd(0x8825)[29] = "51.5 north"
    pixels = np.asarray(data.astronaut())[::4, ::2]
    path = caller.folder / "photo.jpg"
    Image.fromarray(pixels).save(path, exif=exif, quality=95)
    photo, mask = caller("put", path=str(path)), np.zeros((128, 128, 3), np.uint8)
    assert (photo["width"], photo["height"]) == (128, 256)
    mask[60:70, 60:70] = 255
    request = caller.generate(photo=photo, start={"area": "mask", "mask": caller.put(mask)})
    assert request.initial_image and b"51.5" not in request.initial_image
    assert np.array_equal(load_image(request.initial_image), load_image(path))


def test_class_numbers_that_count_from_1_are_put_right_by_a_repair(caller: Caller) -> None:
    numbers = np.full((128, 128), 3, np.uint8)
    numbers[64:] = 10
    layer = {"condition": "segmentation", "source": "map", "picture": caller.put(numbers)}
    offer = {"id": "count_from_1", "title": "Count classes from 1", "done": False}
    assert caller("map", layer=layer, frame=FRAME)["repairs"] == [offer]
    repaired = layer | {"repairs": ["count_from_1"]}
    made = caller("map", layer=repaired, frame=FRAME)
    assert made["repairs"] == [offer | {"done": True}]
    (unit,) = caller.generate(repaired).units
    assert np.array_equal(unit.pixels, encode_segmentation(numbers.astype(np.int64) - 1))
    coloured = layer | {"picture": caller.put(unit.pixels)}
    assert caller("map", layer=coloured, frame=FRAME)["repairs"] == []
