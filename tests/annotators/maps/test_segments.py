"""Classes of pixels as data: colours, legend, JSON, and every way a JSON can be wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from annotators.base import Image
from annotators.maps.encoders import ADE20K_CLASSES, ADE20K_PALETTE
from annotators.maps.segments import NOTHING, Segments
from annotators.segmentation import ADE20K
from models.errors import InputError

WALL, SKY, PERSON = 0, 2, 12
SEGMENTS = Segments(np.array([[SKY, SKY, SKY, NOTHING], [WALL, PERSON, WALL, WALL]], np.int16))


def test_every_pixel_has_its_classes_colour() -> None:
    drawn = SEGMENTS.draw()
    assert drawn.dtype == np.uint8
    assert drawn[0, 0].tolist() == ADE20K_PALETTE[SKY].tolist() == [6, 230, 230]
    assert drawn[1, 1].tolist() == ADE20K_PALETTE[PERSON].tolist()
    assert drawn[0, 3].tolist() == [0, 0, 0]


def test_the_legend_names_what_is_there_largest_first() -> None:
    legend = SEGMENTS.legend()
    assert [(entry.id, entry.name, entry.share) for entry in legend] == [
        (WALL, "wall", 0.375), (SKY, "sky", 0.375), (PERSON, "person", 0.125),
    ]  # fmt: skip
    assert all(entry.colour == tuple(ADE20K_PALETTE[entry.id]) for entry in legend)
    assert Segments(np.full((2, 2), NOTHING, np.int16)).legend() == []


def test_runs_are_counted_from_the_top_left() -> None:
    content = SEGMENTS.to_json()
    assert content["runs"] == [[SKY, 3], [NOTHING, 1], [WALL, 1], [PERSON, 1], [WALL, 2]]
    assert (content["height"], content["width"], content["palette"]) == (2, 4, "ADE20K")
    assert content["legend"][0] == {"id": WALL, "name": "wall", "colour": [120, 120, 120], "share": 0.375}


@pytest.mark.parametrize("shape", [(1, 1), (7, 13), (64, 48)])
def test_there_and_back(shape: tuple[int, int]) -> None:
    classes = np.random.default_rng(0).integers(-1, 150, shape).astype(np.int16)
    again = Segments.from_json(json.loads(json.dumps(Segments(classes).to_json())))
    assert again.classes.dtype == np.int16
    assert np.array_equal(again.classes, classes)
    assert np.array_equal(ADE20K().read(Segments(classes).to_json()).draw(), Segments(classes).draw())


def test_a_run_may_go_over_the_end_of_a_row() -> None:
    found = Segments.from_json({"height": 2, "width": 3, "runs": [[5, 4], [6, 2]]})
    assert found.classes.tolist() == [[5, 5, 5], [5, 6, 6]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runs": [[2, 7]]}, "do not fill 4x2 pixels"),
        ({"runs": [[2, 9]]}, "do not fill 4x2 pixels"),
        ({"runs": [[2, 10], [2, -2]]}, "do not fill 4x2 pixels"),
        ({"runs": [[150, 8]]}, "do not fill 4x2 pixels with classes from -1 to 149"),
        ({"runs": [[-2, 8]]}, "do not fill 4x2 pixels"),
        ({"runs": [[2, 8, 1]]}, "must have height, width and runs"),
        ({"runs": [[2, "all"]]}, "must have height, width and runs"),
        ({"runs": [[10**30, 8]]}, "must have height, width and runs"),
        ({"runs": None}, "must have height, width and runs"),
        ({"height": "two"}, "must have height, width and runs"),
        ({"height": 0, "runs": []}, "do not fill 4x0 pixels|must have height"),
        ({"height": 10**6, "width": 10**6}, "do not fill 1000000x1000000 pixels"),
    ],
)
def test_wrong_json_is_refused_in_a_sentence(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Segments.from_json(SEGMENTS.to_json() | change)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("content", [None, 7, [], "runs", {"people": []}])
def test_what_is_no_segmentation_is_refused(content: object) -> None:
    with pytest.raises(InputError, match="The segmentation is"):
        Segments.from_json(content)


def test_padding_adds_pixels_without_a_class() -> None:
    padded = SEGMENTS.padded(5, 5)
    assert padded.classes.dtype == np.int16
    assert np.array_equal(padded.classes[1:3, :4], SEGMENTS.classes)  # the odd pixel is right and below
    assert (padded.classes == NOTHING).sum() == 25 - 7
    drawn: Image = padded.draw()
    assert not drawn[3:].any()


def test_every_class_has_a_name_and_survives_a_picture() -> None:
    classes = np.arange(150, dtype=np.int16).reshape(10, 15)
    legend = Segments(classes).legend()
    assert {entry.name for entry in legend} == set(ADE20K_CLASSES)
    assert {entry.share for entry in legend} == {round(1 / 150, 4)}
