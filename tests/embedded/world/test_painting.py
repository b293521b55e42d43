"""Painters of tone maps: which colours go where, how wide lines are, and how pictures are shrunk."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cnet_app.embedded.world.painting import PAINTERS, PALETTES, borders, halve, lay, paint_ink, paint_poster, spread
from cnet_app.embedded.world.photos import border_share
from cnet_app.embedded.world.posters import draw, overlay
from cnet_app.embedded.world.shapes import DRAWINGS

FIRE = np.array(PALETTES["fire"], np.float32)
NONE = np.zeros((64, 64), np.uint8)


def stripes(tones: int) -> NDArray[np.uint8]:
    """Return upright stripes of every tone, 64 px square."""
    return np.tile(np.arange(64) * tones // 64, (64, 1)).astype(np.uint8)


def test_halving_takes_the_mean_of_four() -> None:
    field = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert halve(field).tolist() == [[2.5, 4.5], [10.5, 12.5]]


def test_a_cover_is_laid_on_where_its_mask_is_one() -> None:
    cover = np.zeros((4, 4), np.uint8)
    cover[:2, :2] = 1
    laid = lay(np.full((2, 2, 3), 100, np.float32), cover, np.array((200, 0, 100), np.float32))
    assert laid[0, 0].tolist() == [200, 0, 100]
    assert laid[[0, 1, 1], [1, 0, 1]].tolist() == [[100, 100, 100]] * 3


@pytest.mark.parametrize("levels", [2, 3, 6, 12])
def test_tones_reach_from_the_first_colour_to_the_last(levels: int) -> None:
    colours = spread(FIRE, levels)
    assert colours.shape == (levels, 3)
    assert np.array_equal(colours[[0, -1]], FIRE[[0, -1]])
    assert (np.diff(colours @ (0.299, 0.587, 0.114)) > 0).all()


def test_as_many_tones_as_colours_are_the_colours_and_more_lie_between_them() -> None:
    assert np.array_equal(spread(FIRE, 6), FIRE)
    assert np.array_equal(spread(FIRE, 3), FIRE[[0, 2, 5]])
    many = spread(FIRE, 11)
    np.testing.assert_allclose(many[::2], FIRE, atol=1e-4)
    np.testing.assert_allclose(many[1::2], (FIRE[:-1] + FIRE[1:]) / 2, atol=1e-4)


@pytest.mark.parametrize("width", [3, 5, 7])
def test_lines_between_regions_have_the_asked_width(width: int) -> None:
    halves = (np.tile(np.arange(40) >= 20, (40, 1))).astype(np.uint16) * np.uint16(700)
    columns = np.flatnonzero(borders(halves, width)[20])
    assert len(columns) == pytest.approx(width, abs=1)
    assert columns.mean() == pytest.approx(19.5, abs=0.5)
    assert not borders(np.full((20, 20), 9, np.uint8), width).any()


@pytest.mark.parametrize("style", PAINTERS)
@pytest.mark.parametrize("levels", [3, 5])
def test_every_painter_fills_half_the_side_of_its_tones(style: str, levels: int) -> None:
    for seed in range(4):
        picture = PAINTERS[style](stripes(levels), NONE, FIRE, levels, np.random.default_rng(seed))
        assert picture.shape == (32, 32, 3)
        assert picture.dtype == np.float32
        assert picture.min() >= 0
        assert len(np.unique(picture.round().reshape(-1, 3), axis=0)) >= 2


def test_a_flat_poster_has_the_colour_of_each_tone() -> None:
    picture = paint_poster(stripes(4), NONE, FIRE, 4, np.random.default_rng(0))
    wanted = spread(FIRE, 4)
    for tone in range(4):
        assert np.array_equal(picture[16, tone * 8 + 4], np.floor(wanted[tone]))


def test_lines_of_a_flat_poster_are_drawn_in_the_darkest_colour_for_about_a_third() -> None:
    lines = NONE.copy()
    lines[30:34] = 1
    bright = np.full((64, 64), 3, np.uint8)
    drawn = 0
    for seed in range(60):
        line = paint_poster(bright, lines, FIRE, 4, np.random.default_rng(seed))[16, 16]
        drawn += np.array_equal(line, FIRE[0])
        assert np.array_equal(line, FIRE[0]) or np.array_equal(line, FIRE[-1])
    assert 8 <= drawn <= 30


def test_ink_is_dark_on_lines_and_solids_and_paper_is_bright() -> None:
    tones = np.full((64, 64), 3, np.uint8)
    tones[:, :16] = 0
    for seed in range(6):
        picture = paint_ink(tones, NONE, FIRE, 4, np.random.default_rng(seed))
        np.testing.assert_allclose(picture[16, 2], FIRE[0])
        np.testing.assert_allclose(picture[16, 28], 0.6 * FIRE[-1] + 0.4 * 255, rtol=1e-6)


def test_ink_does_not_fill_a_picture_that_is_mostly_dark() -> None:
    tones = np.zeros((64, 64), np.uint8)
    tones[:, 48:] = 3
    picture = paint_ink(tones, NONE, FIRE, 4, np.random.default_rng(0))
    assert picture[16, 4].min() > 150


def test_glass_has_dark_lead_between_cells_of_bright_colour() -> None:
    for seed in range(6):
        picture = PAINTERS["glass"](stripes(2), NONE, FIRE, 2, np.random.default_rng(seed))
        lead = picture[:, 15:17].mean(axis=(0, 1))
        np.testing.assert_allclose(lead, 0.5 * FIRE[0], atol=12)
        assert picture[:, 20:28].mean() > 2 * picture[:, 15:17].mean()


def test_an_overlay_changes_a_part_and_keeps_its_strokes_outside() -> None:
    strokes = np.ones((64, 64), np.uint8)
    reversals = 0
    for seed in range(20):
        tones = stripes(4)
        laid, kept = overlay(np.random.default_rng(seed), tones, strokes, 4)
        changed = laid != tones
        assert 0 < changed.mean() < 0.8
        assert laid.max() < 4
        assert not kept[changed].any() or np.array_equal(kept, strokes)
        reversals += bool(changed.any() and np.array_equal(laid[changed], (3 - tones)[changed]))
    assert 2 <= reversals <= 16


@pytest.mark.parametrize("content", ["tiles", "clouds"])
def test_drawings_are_repeated_until_they_are_neither_empty_nor_too_fine(content: str) -> None:
    def is_good(tones: NDArray[np.uint8]) -> bool:
        return 0.035 < 2 * border_share(tones) < 0.11

    once = [is_good(DRAWINGS[content](np.random.default_rng(seed), 128, 4)) for seed in range(30)]
    repeated = [is_good(draw(content, np.random.default_rng(seed), 128, 4, 0.11)) for seed in range(30)]
    assert sum(repeated) > sum(once)
    assert all(again for again, first in zip(repeated, once, strict=True) if first)
