"""The judge of words, on pictures whose words are known."""

from __future__ import annotations

import numpy as np
import pytest

from cnet_app.embedded.evaluate.words import WordJudge, colours_right, named_colour, style_features
from cnet_app.embedded.world import Sample, clouded, create_scene
from cnet_app.embedded.world.words import COLOURS

SIZE = 96


@pytest.fixture(scope="module")
def scenes() -> list[Sample]:
    return [create_scene(seed, SIZE) for seed in range(48)]


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("light", [0.5, 1.0])
def test_names_a_colour_in_light_and_shadow(name: str, light: float) -> None:
    image = np.full((8, 8, 3), 128, np.uint8)
    image[2:6, 2:6] = (np.array(COLOURS[name]) * light).astype(np.uint8)
    assert named_colour(image, np.ones((8, 8), bool)) == name


@pytest.mark.slow
def test_true_pictures_have_the_colours_of_their_captions(scenes: list[Sample]) -> None:
    right = [ok for sample in scenes for ok in colours_right(sample.image, sample)]
    swapped = [ok for sample in scenes for ok in colours_right(sample.image[..., ::-1], sample)]
    assert np.mean(right) > 0.9
    assert np.mean(swapped) < 0.5


def test_knows_skies_and_styles_it_has_not_seen(scenes: list[Sample]) -> None:
    judge = WordJudge(scenes[:36])
    skies = [judge.sky(s.image, s) == s.sky for s in scenes[36:] if s.sky]
    styles = [judge.style(s.image, s) == s.style for s in scenes[36:]]
    assert np.mean(skies) > 0.7
    assert np.mean(styles) > 0.5
    assert style_features(scenes[0].image, scenes[0]).shape == (37,)


@pytest.mark.slow
def test_blotches_are_not_taken_for_another_style(scenes: list[Sample]) -> None:
    judge, rng = WordJudge(scenes), np.random.default_rng(1)
    flat = [s for s in (create_scene(seed, SIZE) for seed in range(100, 180)) if s.style == "flat"]
    named = [judge.style(clouded(s.image, rng, 6), s) for s in flat]
    assert named.count("flat") / len(named) > 0.8
