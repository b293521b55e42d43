"""From a grey photo to a few tones: thresholds, regions, specks, crops."""

from __future__ import annotations

import numpy as np
import pytest

from cnet_app.embedded.world.photos import (
    HELD_OUT_PHOTOS,
    PHOTO_WEIGHTS,
    TRAIN_PHOTOS,
    as_grey,
    border_share,
    cut_photo,
    drop_specks,
    level_grey,
    load_photo,
    region_means,
    take_crop,
)

RAMP = np.tile(np.arange(256, dtype=np.uint8), (16, 1))


def test_every_training_photo_has_a_weight() -> None:
    assert len(PHOTO_WEIGHTS) == len(TRAIN_PHOTOS)
    assert min(PHOTO_WEIGHTS) > 0


@pytest.mark.parametrize("levels", [2, 3, 5, 12])
def test_a_ramp_is_cut_into_equal_steps(levels: int) -> None:
    tones = level_grey(RAMP, levels)[0].astype(int)
    assert (np.diff(tones) >= 0).all()
    np.testing.assert_allclose(np.bincount(tones, minlength=levels), 256 / levels, atol=7)


def test_the_same_grey_gets_the_same_tone_everywhere() -> None:
    grey = np.random.default_rng(0).integers(30, 220, (40, 40)).astype(np.uint8)
    tones = level_grey(grey, 4)
    for value in np.unique(grey):
        assert len(np.unique(tones[grey == value])) == 1
    assert set(np.unique(tones)) == {0, 1, 2, 3}


def test_a_few_bright_pixels_do_not_take_the_tones_of_a_dark_photo() -> None:
    dark = np.random.default_rng(0).integers(0, 20, (64, 64)).astype(np.uint8)
    dark[0] = 255
    assert len(np.unique(level_grey(dark, 6)[1:])) >= 5


def test_borders_are_counted_once_for_each_line_between_two_tones() -> None:
    halves = np.zeros((40, 40), np.uint8)
    assert border_share(halves) == 0
    halves[:, 20:] = 3
    assert border_share(halves) == pytest.approx(1 / 40)
    halves[20:] = 1
    assert border_share(halves) == pytest.approx((40 + 20) / 1600, abs=2 / 1600)


def test_a_checkerboard_is_all_border() -> None:
    checks = (np.indices((20, 20)).sum(axis=0) % 2).astype(np.uint8)
    assert border_share(checks) > 0.95


def test_regions_get_their_mean_and_the_edge_between_them_stays() -> None:
    rng = np.random.default_rng(0)
    grey = np.full((40, 60), 60, np.uint8)
    grey[:, 30:] = 180
    grey = (grey + rng.integers(-3, 4, grey.shape)).astype(np.uint8)
    flat = region_means(grey)
    assert np.abs(flat[:, :28].astype(int) - 60).max() <= 3
    assert np.abs(flat[:, 32:].astype(int) - 180).max() <= 3
    assert np.abs(flat.astype(float) - grey).mean() < 6
    assert len(np.unique(flat)) < len(np.unique(grey))


def test_specks_of_exactly_the_smallest_size_stay() -> None:
    tones = np.zeros((30, 30), np.uint8)
    tones[5:8, 5:8] = 2
    assert np.array_equal(drop_specks(tones, 9), tones)
    assert not drop_specks(tones, 10).any()


def test_nothing_is_dropped_where_everything_is_a_speck() -> None:
    checks = (np.indices((8, 8)).sum(axis=0) % 2).astype(np.uint8)
    assert np.array_equal(drop_specks(checks, 5), checks)


def test_grey_is_the_usual_weighting_of_the_channels_and_grey_photos_stay() -> None:
    colour = np.zeros((1, 3, 3), np.uint8)
    colour[0, [0, 1, 2], [0, 1, 2]] = 255
    assert as_grey(colour).tolist() == [[76, 150, 29]]
    assert as_grey(RAMP) is RAMP


@pytest.mark.parametrize("held_out", [False, True])
def test_crops_are_grey_squares_of_the_asked_size_that_repeat_for_a_seed(held_out: bool) -> None:
    crops = [take_crop(np.random.default_rng(seed), 48, held_out) for seed in range(6)]
    for seed, crop in enumerate(crops):
        assert crop.shape == (48, 48)
        assert crop.dtype == np.uint8
        assert np.array_equal(crop, take_crop(np.random.default_rng(seed), 48, held_out))
    assert len({crop.tobytes() for crop in crops}) == len(crops)
    assert np.mean([crop.std() for crop in crops]) > 20


@pytest.mark.parametrize("levels", [4, 12])
def test_a_cut_photo_has_its_tones_at_twice_its_size(levels: int) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        tones, lines = cut_photo(take_crop(rng, 48, held_out=False), rng, levels, 0.1)
        assert tones.shape == lines.shape == (96, 96)
        assert 1 < len(np.unique(tones)) <= levels
        assert tones.max() < levels
        assert set(np.unique(lines)) <= {0, 1}


def test_a_lower_limit_of_borders_simplifies_a_photo_further() -> None:
    def borders_of(seed: int, busiest: float) -> float:
        rng = np.random.default_rng(seed)
        return border_share(cut_photo(take_crop(rng, 48, held_out=False), rng, 4, busiest)[0])

    plain, rich = (np.mean([borders_of(seed, busiest) for seed in range(8)]) for busiest in (0.04, 1.0))
    assert plain < 0.8 * rich


def test_lines_of_a_cut_photo_lie_on_its_edges() -> None:
    grey = np.full((64, 64), 40, np.uint8)
    grey[:, 32:] = 210
    tones, lines = cut_photo(grey, np.random.default_rng(1), 4, 0.2)
    columns = np.flatnonzero(lines.any(axis=0))
    assert len(columns)
    assert 64 - 4 <= columns.min() <= columns.max() <= 64 + 4
    assert tones[64, 10] < tones[64, 118]


def test_large_photos_are_shrunk_and_small_ones_are_not_enlarged() -> None:
    sides = {name: min(load_photo(name).shape[:2]) for name in TRAIN_PHOTOS + HELD_OUT_PHOTOS}
    assert max(sides.values()) <= 640
    assert min(sides.values()) < 300
