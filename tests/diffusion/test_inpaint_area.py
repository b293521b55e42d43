"""Inpainting at full size: only the part around the mask is made, and all else of the picture stays, bit for bit."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from diffusers import ControlNetModel

from cnet_app.diffusion.pipeline import Step, generate
from cnet_app.diffusion.start import mask_notes
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.inpaint import Part, open_part, request_box
from cnet_app.request.pictures import encode_png
from cnet_app.request.tasks import task_from_text, task_to_json
from models.catalogue.catalog import Family
from models.errors import InputError
from models.loader import Base
from models.tiny import tiny_base
from tests.diffusion.conftest import control_map, request_for, unit

Nets = dict[Family, tuple[ControlNetModel, ControlNetModel]]
PHOTO = control_map(5, 256, 160)
COVERED = np.zeros((160, 256), np.uint8)
COVERED[50:130, 100:220] = 255


def full_size(*units: Any, **values: Any) -> GenerationRequest:
    given: dict[str, Any] = {"initial_image": encode_png(PHOTO), "inpaint_mask": encode_png(COVERED)}
    return request_for(*units, **given | {"inpaint_area": "mask", "guidance_scale": 2} | values)


def part_of(request: GenerationRequest) -> Part:
    part = open_part(request)
    assert part
    return part


@pytest.mark.slow
@pytest.mark.parametrize("family", ["embedded", "sd15", "sdxl"])
@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_the_picture_keeps_its_size_and_all_outside_the_mask(
    bases: dict[Family, Base], nets: Nets, family: Family, strength: float
) -> None:
    made = generate(bases[family], nets[family][:1], full_size(unit(), strength=strength))[0]
    assert made.shape == PHOTO.shape
    np.testing.assert_array_equal(made[COVERED == 0], PHOTO[COVERED == 0])
    assert (made[COVERED > 0] != PHOTO[COVERED > 0]).any(axis=-1).mean() > 0.5


@pytest.mark.slow
def test_the_part_is_what_its_own_request_makes(bases: dict[Family, Base], nets: Nets) -> None:
    base, net = bases["sd15"], nets["sd15"][:1]
    request = full_size(unit(), num_images=2, strength=0.8)
    parts, whole = generate(base, net, part_of(request).request()), generate(base, net, request)
    for part, picture in zip(parts, whole, strict=True):
        assert part.shape == (64, 64, 3)
        np.testing.assert_array_equal(picture, part_of(request).put_back(part))
    np.testing.assert_array_equal(generate(base, net, request.only_picture(1))[0], whole[1])


def test_a_part_at_the_models_size_is_not_resized(bases: dict[Family, Base]) -> None:
    covered = np.zeros_like(COVERED)
    covered[30:94, 70:134] = 255
    request = full_size(inpaint_mask=encode_png(covered), inpaint_padding=0)
    assert request_box(request) == (70, 30, 134, 94)
    made = generate(bases["sd15"], [], request)[0]
    np.testing.assert_array_equal(made[30:94, 70:134], generate(bases["sd15"], [], part_of(request).request())[0])


def test_a_remake_from_the_written_request_is_bit_for_bit(bases: dict[Family, Base], nets: Nets) -> None:
    base, net = bases["sd15"], nets["sd15"][:1]
    request = full_size(
        unit(weight_map=encode_png(control_map(2)), prompt="a blue cone", depth_curve=((0, 1), (1, 0.5)))
    )
    again = task_from_text(json.dumps(task_to_json(request)))
    assert again == request and isinstance(again, GenerationRequest)
    np.testing.assert_array_equal(generate(base, net, again)[0], generate(base, net, request)[0])


def test_an_inpainting_base_and_an_inpainting_controlnet_read_the_part(nets: Nets) -> None:
    base = tiny_base("sd15", in_channels=9)
    part = part_of(full_size()).request()
    assert part.initial_image is not None
    filling = unit(condition="inpaint", control_image=part.initial_image)
    request = full_size(filling)
    made = generate(base, nets["sd15"][:1], request)[0]
    alone = generate(base, nets["sd15"][:1], dataclasses.replace(part, units=(filling,)))[0]
    np.testing.assert_array_equal(made, part_of(request).put_back(alone))
    np.testing.assert_array_equal(made[COVERED == 0], PHOTO[COVERED == 0])


def test_progress_shows_the_part(bases: dict[Family, Base]) -> None:
    shapes: list[tuple[int, ...]] = []
    pictures: list[tuple[int, ...]] = []

    def on_step(step: Step) -> None:
        shapes.append(step.preview().shape)

    generate(
        bases["embedded"], [], full_size(), on_step=on_step, on_picture=lambda index, one: pictures.append(one.shape)
    )
    assert shapes == [(64, 64, 3)] * 4
    assert pictures == [PHOTO.shape]


def test_an_empty_mask_is_refused_before_anything_runs(bases: dict[Family, Base]) -> None:
    with pytest.raises(InputError, match="inpaint_mask covers nothing"):
        generate(bases["sd15"], [], full_size(inpaint_mask=encode_png(COVERED * 0)))


@pytest.mark.parametrize(
    ("request_", "notes"),
    [
        (full_size(), []),
        (full_size(inpaint_mask=encode_png(COVERED // 2)), []),  # blended
        (full_size(inpaint_mask=encode_png(COVERED * 0 + 255)), ["The mask covers everything"]),
        (full_size(inpaint_mask=encode_png(COVERED[:80, :128])), ["The mask is 128x80 and the initial picture 256x160"]),
        (full_size(inpaint_padding=64), []),
        (full_size(inpaint_padding=64, inpaint_area="picture", inpaint_mask=encode_png(PHOTO[..., :1].repeat(3, 2))), [
            "inpaint_padding is 64, which has no effect unless inpaint_area is mask.",
        ]),
        (request_for(unit(), unit(weight_map=encode_png(COVERED * 0 + 128))), ["The weight map of unit 2 is middle grey"]),
        (request_for(unit(mask_feather=4)), ["mask_feather of unit 1 softens a mask, but there is none"]),
        (request_for(unit(mask_feather=4, weight_map=encode_png(COVERED))), ["mask_feather of unit 1 softens a mask"]),
        (request_for(unit(mask_feather=4, mask=encode_png(COVERED))), []),
    ],
)  # fmt: skip
def test_what_acts_otherwise_than_it_seems_is_noted(request_: GenerationRequest, notes: list[str]) -> None:
    part = open_part(request_)
    found = [*mask_notes(request_), *(part.notes if part else ())]
    assert len(found) == len(notes)
    assert all(one.startswith(start) for one, start in zip(found, notes, strict=True))
