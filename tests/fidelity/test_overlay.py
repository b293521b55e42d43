"""Overlays of pictures whose agreement is known, pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from annotators.base import Image
from annotators.maps.encoders import ADE20K_CLASSES, ADE20K_PALETTE, encode_segmentation
from annotators.maps.kinds import KINDS
from annotators.people.poses import Person, Pose
from annotators.sources.images import Colour
from cnet_app.fidelity.overlay import AGREE, DIMMED, EXTRA, MISSING, PAINTERS, Overlay, overlay
from cnet_app.registry.conditions import CONDITIONS, Condition, condition
from cnet_app.request.pictures import encode_png
from models.errors import InputError
from tests.fidelity.test_score import BODY, SIDE, blank_map, pose_unit, reading, unit_for, unit_of

GREY = np.full((SIDE, SIDE, 3), 100, np.uint8)
BELOW = (round(100 * DIMMED),) * 3
measured = pytest.mark.parametrize("row", [row for row in CONDITIONS if row.measure], ids=lambda row: row.id)


def drawn(condition_id: str, wanted: Image, found: Image, **options: Any) -> Overlay:
    row = condition(condition_id)
    return overlay(unit_of(condition_id, wanted, **options), GREY, reading(found, row))


def colours(image: Image) -> set[Colour]:
    return {(int(r), int(g), int(b)) for r, g, b in image.reshape(-1, 3)}


def at(image: Image, x: int, y: int) -> Colour:
    red, green, blue = image[y, x].tolist()
    return red, green, blue


def filled(value: int | Colour) -> Image:
    return np.zeros((SIDE, SIDE, 3), np.uint8) + np.array(value, np.uint8)


def column(*places: int) -> Image:
    image = filled(0)
    image[:, list(places)] = 255
    return image


@pytest.mark.parametrize("id", ["canny", "softedge"])
def test_lines_agree_are_missing_or_extra(id: str) -> None:
    made = drawn(id, column(20, 60), column(22, 100))
    assert at(made.image, 20, 5) == at(made.image, 22, 5) == AGREE
    assert at(made.image, 60, 5) == MISSING
    assert at(made.image, 100, 5) == EXTRA
    assert at(made.image, 140, 5) == BELOW
    assert [colour for _, colour in made.legend] == [AGREE, MISSING, EXTRA]


def test_depth_is_signed() -> None:
    wanted, found = filled(127), filled(127)
    found[:, :40], found[:, 150:] = 255, 0
    made = drawn("depth", wanted, found)
    assert [at(made.image, x, 9) for x in (20, 80, 170)] == [EXTRA, BELOW, at(made.image, 180, 9)]
    assert np.abs(np.array(at(made.image, 170, 9)) - MISSING).max() <= 1  # 127 greys are a little less than half
    assert made.legend == (("nearer than wanted", EXTRA), ("farther than wanted", MISSING))
    found[:, :40] = 191
    half = np.array(at(drawn("depth", wanted, found).image, 20, 9))
    assert np.abs(half - (np.array(BELOW) + EXTRA) / 2).max() <= 1


def test_luminance_is_signed_and_colours_are_not() -> None:
    light = drawn("recolor", filled(127), filled(255))
    assert at(light.image, 5, 5) == EXTRA
    assert light.legend[0] == ("lighter than wanted", EXTRA)
    other = drawn("color", filled((200, 20, 20)), filled((20, 200, 20)))
    assert at(other.image, 5, 5) == MISSING
    assert other.legend == (("another colour than wanted", MISSING),)


def test_normals_give_the_heat_of_their_angle() -> None:
    front, side = filled((128, 128, 255)), filled((255, 128, 128))
    found = front.copy()
    found[:, :40] = side[:, :40]
    made = drawn("normal", front, found)
    assert at(made.image, 20, 9) == MISSING
    assert at(made.image, 100, 9) == BELOW


def test_classes_that_differ_are_drawn_as_wanted_and_named() -> None:
    wanted, found = np.zeros((SIDE, SIDE), np.int64), np.zeros((SIDE, SIDE), np.int64)
    wanted[:, : SIDE // 2] = 4
    wanted[: SIDE // 4, :] = found[: SIDE // 4, :] = 2
    made = drawn("segmentation", encode_segmentation(wanted), encode_segmentation(found))
    colour = tuple(ADE20K_PALETTE[4].tolist())
    assert at(made.image, 10, SIDE - 5) == colour
    assert at(made.image, SIDE - 5, SIDE - 5) == at(made.image, 5, 5) not in (colour, BELOW)
    assert made.legend[0] == ("class as wanted", AGREE)
    assert made.legend[1] == (f"{ADE20K_CLASSES[4]} was wanted, another class is there: 38 %", colour)
    assert len(made.legend) == 2


def test_joints_of_a_pose_agree_are_missing_or_extra() -> None:
    pose = Pose((Person(body=BODY),), 128, 128)
    scale = SIDE / 128
    found = BODY * (scale, scale, 1)
    found[4, 0] += 80  # the right hand is elsewhere
    made = overlay(pose_unit(pose), GREY, reading(GREY, condition("openpose"), Pose((Person(body=found),), SIDE, SIDE)))
    x, y = BODY[:, 0] * scale, BODY[:, 1] * scale
    assert at(made.image, int(x[8]), int(y[8])) == AGREE
    assert at(made.image, int(x[4]), int(y[4])) == MISSING
    assert at(made.image, int(x[4] + 80), int(y[4])) == EXTRA
    nobody = overlay(pose_unit(pose), GREY, reading(GREY, condition("openpose"), Pose((), SIDE, SIDE)))
    assert AGREE not in colours(nobody.image) and EXTRA not in colours(nobody.image)
    assert MISSING in colours(nobody.image)


@pytest.mark.slow
@measured
def test_full_agreement_shows_nothing_missing_and_a_blank_picture_nothing_right(row: Condition) -> None:
    unit, pixels, pose = unit_for(row)
    same = overlay(unit, GREY, reading(pixels, row, pose))
    blank, people = blank_map(row)
    other = overlay(unit, GREY, reading(blank, row, people))
    assert same.image.shape == other.image.shape == GREY.shape
    assert not {MISSING, EXTRA} & colours(same.image)
    assert not np.array_equal(same.image, other.image)
    assert same.legend and all(text and len(colour) == 3 for text, colour in same.legend)


@pytest.mark.slow
@measured
def test_outside_of_the_units_mask_nothing_is_drawn(row: Condition) -> None:
    unit, _, _ = unit_for(row)
    half = filled(0)
    half[:, : SIDE // 2] = 255
    options = {"control_data": unit.control_data} if unit.control_data else {}
    masked = unit_of(row.id, unit.pixels, mask=encode_png(half), **options)
    blank, people = blank_map(row)
    made = overlay(masked, GREY, reading(blank, row, people))
    assert colours(made.image[:, SIDE // 2 :]) == {BELOW}


@pytest.mark.parametrize("id", ["shuffle", "ip2p"])
def test_where_nothing_is_compared_nothing_is_drawn(id: str) -> None:
    with pytest.raises(InputError, match="nothing to compare"):
        drawn(id, filled(0), filled(0))


def test_every_kind_of_map_has_a_painter() -> None:
    assert set(PAINTERS) == set(KINDS)
