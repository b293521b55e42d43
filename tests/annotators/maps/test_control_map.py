"""ControlMap: pixels, and all that is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

from annotators.base import Filter, Image, create, param
from annotators.embedded import OpenPoseEmbedded, SegmentationEmbedded
from annotators.maps.control_map import FAINT, MADE_UP, ControlMap, DataAnnotator, make_map, make_map_at, sha256_of
from annotators.maps.kinds import KINDS
from annotators.maps.segments import Segments
from annotators.people.poses import Pose
from annotators.registry import annotator
from annotators.runtime import Runtime
from annotators.sources.images import pad, resize


@dataclass(frozen=True)
class _Box:
    """The people that the annotator below returns."""

    height: int
    width: int

    def draw(self) -> Image:
        canvas = np.zeros((self.height, self.width, 3), np.uint8)
        canvas[1:-1, 1:-1] = 255
        return canvas

    def to_json(self) -> dict[str, Any]:
        return {"box": [self.height, self.width]}

    def padded(self, width: int, height: int) -> _Box:
        return _Box(height, width)

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


@dataclass(frozen=True)
class _Faint(Filter):
    id = "faint"
    title = "Faint"
    kind = "soft_lines"

    grey: int = param(0, "Of the line.", minimum=0, maximum=255)

    def annotate(self, source_image: Image) -> Image:
        canvas = np.zeros_like(source_image)
        canvas[:, 20] = self.grey
        return canvas


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


def test_a_map_of_a_picture_of_one_colour_is_made_up() -> None:
    made = make_map(_BoxFinder(), np.full((64, 64, 3), 128, np.uint8))
    assert made.pixels.any()
    assert made.warnings == (MADE_UP,)


@pytest.mark.parametrize(("grey", "warnings"), [(FAINT - 1, (KINDS["soft_lines"].nothing,)), (FAINT, ())])
def test_lines_too_faint_to_control_are_warned_of(
    grey: int, warnings: tuple[str, ...], photos: dict[str, Image]
) -> None:
    assert make_map(_Faint(grey), photos["coffee"]).warnings == warnings


def test_what_was_found_goes_with_its_map(photos: dict[str, Image]) -> None:
    made = make_map(_BoxFinder(), photos["coffee"])
    assert made.data == _Box(160, 200)
    assert np.array_equal(made.pixels, _BoxFinder()(photos["coffee"]))


@pytest.mark.parametrize("mode", ["crop", "stretch"])
def test_a_map_at_a_size_is_that_of_the_resized_picture(mode: Any, photos: dict[str, Image]) -> None:
    canny, photo = create(annotator("canny")), photos["coffee"]
    made = make_map_at(partial(make_map, canny), photo, 96, 128, mode)
    assert np.array_equal(made.pixels, canny(resize(photo, 96, 128, mode)))
    with pytest.raises(ValueError, match="read-only"):
        made.pixels[0] = 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("id", "background"),
    [("canny", 0), ("scribble_xdog", 0), ("softedge_gradient", 0), ("depth_embedded", 0), ("normal_embedded", (128, 128, 255))],
)  # fmt: skip
def test_the_map_is_padded_not_the_picture(
    id: str, background: Any, photos: dict[str, Image], runtime: Runtime
) -> None:
    """A bright photo before black bars would get two long edges, and a depth or relief that nothing in it has."""
    photo, annotate = np.maximum(photos["coffee"], 120), create(annotator(id))
    made = make_map_at(partial(make_map, annotate, runtime=runtime), photo, 100, 160, "pad")
    assert made.pixels.shape == (160, 100, 3)
    assert np.array_equal(made.pixels[40:120], annotate(resize(photo, 100, 80), runtime))
    assert (made.pixels[:40] == background).all()
    assert (made.pixels[120:] == background).all()
    with pytest.raises(ValueError, match="read-only"):
        made.pixels[0] = 0


def test_a_padded_picture_goes_on_at_its_border(photos: dict[str, Image]) -> None:
    made = make_map_at(partial(make_map, create(annotator("as_it_is"))), photos["coffee"], 100, 160, "pad")
    assert (made.pixels[:40] == made.pixels[40]).all()
    assert (made.pixels[120:] == made.pixels[119]).all()


def test_data_is_padded_with_its_map(photos: dict[str, Image], runtime: Runtime) -> None:
    photo = photos["astronaut"]
    finder = OpenPoseEmbedded(score_threshold=0.05)
    made = make_map_at(partial(make_map, finder, runtime=runtime), photo, 200, 400, "pad")
    alone = finder.detect(photo, runtime)
    assert isinstance(made.data, Pose)
    assert (made.data.width, made.data.height, len(made.data.people)) == (200, 400, len(alone.people))
    assert len(alone.people) > 0
    for person, other in zip(made.data.people, alone.people, strict=True):
        found = other.body[:, 2] > 0
        assert np.array_equal(person.body[found], other.body[found] + (0, 120, 0))
        assert not person.body[~found].any()
    assert np.array_equal(made.pixels, made.data.draw())
    named = make_map_at(partial(make_map, SegmentationEmbedded(), runtime=runtime), photo, 200, 401, "pad")
    assert isinstance(named.data, Segments)
    classes = SegmentationEmbedded().detect(photo, runtime).classes
    assert np.array_equal(named.data.classes[120:280], classes)
    assert (named.data.classes[:120] == -1).all()
    assert (named.data.classes[280:] == -1).all()
    assert np.array_equal(named.pixels, pad(Segments(classes).draw(), 200, 401, (0, 0, 0)))


def test_a_strip_is_padded_too() -> None:
    strip = np.random.default_rng(0).integers(0, 256, (8, 800, 3), np.uint8)
    assert make_map_at(partial(make_map, create(annotator("canny"))), strip, 64, 64, "pad").pixels.shape == (64, 64, 3)


def test_the_seed_is_the_annotators_parameter() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    assert ControlMap(pixels=pixels, kind=KINDS["picture"], parameters={"seed": 7}).seed == 7
