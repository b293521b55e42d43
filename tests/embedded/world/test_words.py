"""The grammar of captions, and the words behind it."""

from __future__ import annotations

import colorsys

import pytest

from annotators.maps.encoders import ADE20K_CLASSES
from cnet_app.embedded.world import words


@pytest.mark.parametrize(
    ("things", "sky", "caption"),
    [
        ([("red", "ball")], None, "a flat picture of a red ball"),
        ([("orange", "box")], "day", "a flat picture of an orange box under a day sky"),
        (
            [("red", "ball"), ("blue", "cone")],
            "studio",
            "a flat picture of a red ball and a blue cone in a grey studio",
        ),
        (
            [("red", "ball"), ("blue", "cone"), ("pink", "person")],
            None,
            "a flat picture of a red ball, a blue cone and a pink person",
        ),
    ],
)
def test_captions_list_their_things(things: list[tuple[str, str]], sky: str | None, caption: str) -> None:
    assert words.scene_caption("flat", things, sky) == caption


def test_the_style_may_come_last() -> None:
    caption = words.scene_caption("neon", [("orange", "box")], "night", style_last=True)
    assert caption == "an orange box under a night sky, neon picture"


def test_every_word_has_what_belongs_to_it() -> None:
    assert set(words.SKY_PHRASES) == set(words.SKIES)
    assert set(words.ADE20K_CLASS) == set(words.SHAPES)
    assert {words.ADE20K_CLASS[shape] for shape in words.SHAPES} <= set(ADE20K_CLASSES)
    assert len(set(words.ADE20K_CLASS.values())) == len(words.SHAPES)


def test_named_colours_are_strong_and_apart_in_hue() -> None:
    """The judge of colours reads nothing but the hue."""
    hues: list[float] = []
    for rgb in words.COLOURS.values():
        hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in rgb))
        assert min(saturation, value) > 0.5
        hues.append(hue)
    around = sorted(hues)
    gaps = [(after - before) % 1 for before, after in zip(around, [*around[1:], around[0]], strict=True)]
    assert min(gaps) > 0.05
