"""The part of a picture around its mask: where it lies, how it is cut out and put back, and what its maps are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from annotators.people.poses import Person, Pose
from annotators.sources.images import load_image
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.inpaint import (
    Box,
    Part,
    crop_sources,
    cut_out,
    described_part,
    inpaint_box,
    open_part,
    request_box,
)
from cnet_app.request.pictures import encode_png
from models.errors import InputError

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def mask(width: int, height: int, box: Box, level: int = 255) -> Pixels:
    """Black but for a box."""
    pixels = np.zeros((height, width), np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = level
    return pixels


def noise(width: int, height: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def request_for(picture: Pixels, covered: Pixels, **values: Any) -> GenerationRequest:
    given: dict[str, Any] = {"width": 64, "height": 64, "inpaint_area": "mask", "inpaint_padding": 0}
    return GenerationRequest(initial_image=encode_png(picture), inpaint_mask=encode_png(covered), **given | values)


def part_of(request: GenerationRequest) -> Part:
    part = open_part(request)
    assert part
    return part


@pytest.mark.parametrize(
    ("size", "white", "target", "padding", "expected"),
    [
        ((200, 100), (60, 40, 100, 60), (64, 64), 0, (60, 30, 100, 70)),
        ((200, 100), (60, 40, 100, 60), (64, 64), 10, (50, 20, 110, 80)),
        ((200, 100), (60, 40, 100, 60), (128, 64), 0, (60, 40, 100, 60)),
        ((200, 100), (60, 40, 100, 60), (64, 128), 0, (60, 10, 100, 90)),
        ((200, 100), (0, 0, 40, 10), (64, 64), 5, (0, 0, 45, 45)),  # the padding ends at the picture's border
        ((200, 100), (190, 90, 200, 100), (64, 64), 30, (160, 60, 200, 100)),
        ((200, 100), (180, 0, 200, 60), (64, 64), 0, (140, 0, 200, 60)),  # moved inside
        ((200, 100), (0, 0, 200, 100), (64, 64), 0, (0, -50, 200, 150)),  # too flat: sticks out on both sides alike
        ((100, 300), (40, 10, 60, 210), (128, 64), 0, (-150, 10, 250, 210)),
        ((1000, 667), (0, 0, 1000, 667), (768, 512), 0, (0, 0, 1000, 667)),  # narrower by a pixel alone
        ((200, 100), (50, 50, 51, 51), (64, 64), 0, (47, 47, 55, 55)),  # never smaller than a picture can be
    ],
)
def test_the_box_has_the_aspect_and_lies_inside_where_it_can(
    size: tuple[int, int], white: Box, target: tuple[int, int], padding: int, expected: Box
) -> None:
    covered = mask(*size, white)
    assert inpaint_box(covered, *target, padding) == expected
    assert inpaint_box(np.dstack([covered, covered * 0, covered * 0]), *target, padding) == expected
    assert inpaint_box(mask(*size, white, level=1), *target, padding) == expected


sides, targets = st.integers(8, 200), st.integers(8, 32).map(lambda n: 8 * n)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(sides, sides, targets, targets, st.integers(0, 64), st.data())
def test_the_box_holds_the_mask_and_never_distorts(
    width: int, height: int, wide: int, high: int, padding: int, data: st.DataObject
) -> None:
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    x0, y0, x1, y1 = inpaint_box(mask(width, height, (left, top, right, bottom)), wide, high, padding)
    assert x0 <= max(0, left - padding) and x1 >= min(width, right + padding)
    assert y0 <= max(0, top - padding) and y1 >= min(height, bottom + padding)
    across, down = x1 - x0, y1 - y0
    assert (x0 >= 0 and x1 <= width) or (across > width and x0 + x1 in (width, width - 1))
    assert (y0 >= 0 and y1 <= height) or (down > height and y0 + y1 in (height, height - 1))
    assume(min(across, down) > 50)  # whole pixels
    assert across / down == pytest.approx(wide / high, rel=0.03)


def test_an_empty_mask_has_no_box() -> None:
    with pytest.raises(InputError, match=r"^inpaint_mask covers nothing: paint the part to change white, or leave"):
        inpaint_box(mask(64, 64, (0, 0, 0, 0)), 64, 64, 32)


def test_a_box_too_large_to_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"^The mask needs 9000x9000 pixels .* mask a smaller part, or choose a size"):
        inpaint_box(mask(100, 9000, (0, 0, 100, 9000)), 64, 64, 0)


def test_what_sticks_out_repeats_the_border() -> None:
    picture = noise(10, 8)
    assert np.array_equal(cut_out(picture, (2, 1, 7, 5)), picture[1:5, 2:7])
    wide = cut_out(picture, (-2, -1, 13, 9))
    assert wide.shape == (10, 15, 3)
    assert np.array_equal(wide[1:9, 2:12], picture)
    assert (wide[:, :2] == wide[:, 2:3]).all() and (wide[:, 12:] == wide[:, 11:12]).all()
    assert (wide[0] == wide[1]).all() and (wide[9] == wide[8]).all()
    assert cut_out(picture[..., 0], (-1, 0, 10, 8)).shape == (8, 11)


@pytest.mark.parametrize("white", [(60, 40, 100, 60), (0, 0, 30, 90), (0, 0, 200, 100)])
def test_a_part_is_put_back_where_the_mask_is_white_and_nowhere_else(white: Box) -> None:
    picture, part, covered = noise(200, 100), noise(64, 64, seed=1), mask(200, 100, white)
    made = part_of(request_for(picture, covered)).put_back(part)
    assert made.shape == picture.shape
    assert np.array_equal(made[covered == 0], picture[covered == 0])
    assert (made[covered == 255] != picture[covered == 255]).any(axis=-1).mean() > 0.9


def test_a_part_of_the_same_size_is_put_back_bit_for_bit_and_grey_blends() -> None:
    picture, part = noise(200, 100), noise(64, 64, seed=1)
    covered = mask(200, 100, (20, 10, 84, 74))
    covered[:, 52:84] = np.where(covered[:, 52:84] > 0, 51, 0)
    made = part_of(request_for(picture, covered)).put_back(part)
    assert np.array_equal(made[10:74, 20:52], part[:, :32])
    blended = picture[10:74, 52:84] * 0.8 + part[:, 32:] * 0.2
    assert np.array_equal(made[10:74, 52:84], np.floor(blended + 127 / 255 + 1e-9).astype(np.uint8))


def test_the_parts_request_is_an_ordinary_one() -> None:
    picture, covered = noise(200, 100), mask(200, 100, (20, 10, 84, 74), level=9)
    request = request_for(picture, covered, prompt="a ball", strength=0.6, inpaint_padding=0)
    part = part_of(request).request()
    assert (part.inpaint_area, part.inpaint_padding, part.prompt, part.strength) == ("picture", 32, "a ball", 0.6)
    assert part.initial_image is not None and part.inpaint_mask is not None
    assert np.array_equal(load_image(part.initial_image), picture[10:74, 20:84])
    assert (load_image(part.inpaint_mask) == 255).all()  # grey is new, and blended when it is put back
    assert request_box(part) is None
    assert open_part(part) is None
    assert described_part(part, picture) == (picture, part.inpaint_mask)


def test_a_mask_made_smaller_keeps_its_thin_lines() -> None:
    covered = mask(512, 512, (0, 0, 512, 512))
    covered[:, 1:511] = 0
    part = part_of(request_for(noise(512, 512), covered)).request()
    assert part.inpaint_mask is not None
    found = load_image(part.inpaint_mask)[..., 0] > 0
    assert found[:, 0].all() and found[:, -1].all()
    assert not found[:, 1:-1].any()


def test_sources_of_the_pictures_size_are_cut() -> None:
    picture, covered = noise(200, 100), mask(200, 100, (20, 10, 84, 74))
    body = np.zeros((18, 3))
    body[0] = 50, 40, 1
    pose = Pose(people=(Person(body=body),), width=200, height=100)
    request = request_for(picture, covered)
    photo, people, other = crop_sources(request, [picture, pose, picture[:50]])
    assert np.array_equal(np.asarray(photo), picture[10:74, 20:84])
    assert isinstance(people, Pose)
    assert (people.width, people.height) == (64, 64)
    assert people.people[0].body[0].tolist() == [30, 30, 1]
    assert people.people[0].body[1].tolist() == [0, 0, 0]
    assert np.array_equal(np.asarray(other), picture[:50])
    whole = request_for(picture, covered, inpaint_area="picture", inpaint_padding=32)
    assert crop_sources(whole, [picture])[0] is picture


def test_the_part_of_a_finished_picture_is_what_its_maps_describe() -> None:
    picture, covered = noise(200, 100), mask(200, 100, (20, 10, 84, 74))
    request = request_for(picture, covered)
    found, own_mask = described_part(request, picture)
    assert np.array_equal(found, picture[10:74, 20:84])
    assert own_mask is not None and (load_image(own_mask) == 255).all()
    with pytest.raises(
        InputError, match=r"^The picture is 100x50 px, but the one it was painted into 200x100; its maps"
    ):
        described_part(request, picture[::2, ::2])


def test_a_mask_of_another_size_covers_the_same_part() -> None:
    request = request_for(noise(200, 100), mask(400, 200, (40, 20, 168, 148)))
    assert request_box(request) == (20, 10, 84, 74)
