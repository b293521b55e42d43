"""ControlMap: pixels, and all that is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from annotators.base import Image, create
from annotators.control_map import ControlMap, DataAnnotator, make_map, sha256_of
from annotators.kinds import KINDS
from annotators.registry import annotator
from annotators.runtime import Runtime


@dataclass(frozen=True)
class _Box:
    """What the annotator below finds."""

    height: int
    width: int

    def draw(self) -> Image:
        canvas = np.zeros((self.height, self.width, 3), np.uint8)
        canvas[1:-1, 1:-1] = 255
        return canvas

    def to_json(self) -> dict[str, Any]:
        return {"box": [self.height, self.width]}

    @classmethod
    def from_json(cls, content: Any) -> _Box:
        return cls(*content["box"])


@dataclass(frozen=True)
class _BoxFinder(DataAnnotator):
    id = "box"
    title = "Box"
    kind = "lines"
    data_type = _Box

    def detect(self, source_image: Image, runtime: Runtime) -> _Box:
        return _Box(*source_image.shape[:2])


def test_a_map_knows_where_it_comes_from(photos: dict[str, Image]) -> None:
    photo = photos["coffee"]
    made = make_map(create(annotator("canny"), {"low_threshold": 50}), photo)
    assert (made.annotator, made.kind, made.seed, made.data, made.warnings) == ("canny", KINDS["lines"], None, None, ())
    assert dict(made.parameters) == {"low_threshold": 50, "high_threshold": 200, "automatic": False}
    assert made.source_sha256 == sha256_of(photo.copy()) != sha256_of(photo[::-1])
    with pytest.raises(ValueError, match="read-only"):
        made.pixels[0] = 0


def test_a_map_that_steers_nothing_says_so() -> None:
    assert make_map(create(annotator("canny")), np.full((64, 64, 3), 128, np.uint8)).warnings == (
        KINDS["lines"].nothing,
    )


def test_what_was_found_goes_with_its_map(photos: dict[str, Image]) -> None:
    made = make_map(_BoxFinder(), photos["coffee"])
    assert made.data == _Box(160, 200)
    assert np.array_equal(made.pixels, _BoxFinder()(photos["coffee"]))


def test_the_seed_is_the_annotators_parameter() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    assert ControlMap(pixels=pixels, kind=KINDS["picture"], parameters={"seed": 7}).seed == 7
