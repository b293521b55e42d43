"""Parts of which posters are drawn: outlines, noise, tones of equal area, and the nearest of a set of points."""

from __future__ import annotations

import numpy as np
import pytest

from cnet_app.embedded.world import shapes
from cnet_app.embedded.world.shapes import DRAWINGS

SEEDS = range(12)
CENTRE = np.array((40.0, 25.0))


def rng_of(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_another_tone_is_none_of_the_taken_ones_and_all_others_occur() -> None:
    rng = rng_of(0)
    assert {shapes.other_tone(rng, 5, 1, 3) for _ in range(60)} == {0, 2, 4}


@pytest.mark.parametrize("angle", [0.0, 0.5, np.pi / 2, 3.0])
def test_a_rotation_keeps_lengths_and_turns_by_its_angle(angle: float) -> None:
    turned = np.array((1.0, 0.0)) @ shapes.rotation(angle)
    np.testing.assert_allclose(turned, (np.cos(angle), np.sin(angle)))
    np.testing.assert_allclose(shapes.rotation(angle) @ shapes.rotation(-angle), np.eye(2), atol=1e-12)


def test_polygons_have_three_to_eight_corners_on_a_circle() -> None:
    counts: set[int] = set()
    for seed in range(40):
        corners = shapes.polygon(rng_of(seed), CENTRE, 10)
        np.testing.assert_allclose(np.linalg.norm(corners - CENTRE, axis=1), 10)
        counts.add(len(corners))
    assert counts == set(range(3, 9))


def test_a_star_has_its_spikes_on_the_circle_and_notches_well_inside() -> None:
    for seed in SEEDS:
        away = np.linalg.norm(shapes.star(rng_of(seed), CENTRE, 10) - CENTRE, axis=1)
        assert 4 <= len(away) / 2 <= 9
        np.testing.assert_allclose(away[::2], 10)
        np.testing.assert_allclose(away[1::2], away[1])
        assert 3.5 <= away[1] <= 6.5


def test_a_blob_is_a_smooth_closed_curve_around_its_centre() -> None:
    for seed in SEEDS:
        points = shapes.blob(rng_of(seed), CENTRE, 10)
        turn = np.unwrap(np.arctan2(*(points - CENTRE).T))
        assert abs(turn[-1] - turn[0]) == pytest.approx(2 * np.pi, rel=0.05)
        assert (np.sign(np.diff(turn)) == np.sign(turn[-1] - turn[0])).all()
        closed = np.vstack([points, points[:1]])
        assert np.linalg.norm(np.diff(closed, axis=0), axis=1).max() < 3


def test_a_blob_without_wobble_is_an_ellipse_of_its_radius() -> None:
    away = np.linalg.norm(shapes.blob(rng_of(1), CENTRE, 10, wobble=0) - CENTRE, axis=1)
    assert away.max() == pytest.approx(10)
    assert 6 <= away.min() <= 10


@pytest.mark.parametrize("octaves", [1, 4])
def test_noise_fills_the_range_from_0_to_1(octaves: int) -> None:
    field = shapes.noise(rng_of(0), 64, 3, octaves)
    assert field.shape == (64, 64)
    assert field.dtype == np.float32
    assert (float(field.min()), float(field.max())) == pytest.approx((0, 1), abs=1e-6)


def test_more_octaves_and_more_cells_make_rougher_noise() -> None:
    def roughness(cells: int, octaves: int) -> float:
        return float(
            np.mean([np.abs(np.diff(shapes.noise(rng_of(seed), 64, cells, octaves))).mean() for seed in SEEDS])
        )

    assert roughness(3, 1) < roughness(3, 4)
    assert roughness(3, 1) < roughness(8, 1)


@pytest.mark.parametrize("tones", [2, 3, 6])
def test_levels_have_equal_areas_and_rise_with_the_field(tones: int) -> None:
    field = shapes.noise(rng_of(2), 128, 4)
    levels = shapes.level(field, tones)
    shares = np.bincount(levels.ravel(), minlength=tones) / levels.size
    np.testing.assert_allclose(shares, 1 / tones, atol=0.02)
    order = np.argsort(field.ravel())
    assert (np.diff(levels.ravel()[order].astype(int)) >= 0).all()


def test_every_pixel_belongs_to_the_nearest_point() -> None:
    """Distances are those of a 5 x 5 mask, within two percent of the true ones."""
    points = rng_of(3).choice(64 * 64, 20, replace=False)
    places = np.stack([points % 64, points // 64], axis=1)
    number = shapes.nearest(places, 64)
    assert set(np.unique(number)) == set(range(1, 21))
    owner = {int(number[y, x]): (int(x), int(y)) for x, y in places}
    ys, xs = np.mgrid[:64, :64]
    pixels = np.stack([xs.ravel(), ys.ravel()], axis=1)
    own = np.linalg.norm(pixels - np.array([owner[int(n)] for n in number.ravel()]), axis=1)
    best = np.linalg.norm(pixels[:, None] - places, axis=2).min(axis=1)
    assert (own <= 1.03 * best + 1e-9).all()


def test_a_backdrop_has_few_tones_and_often_only_one() -> None:
    counts = [len(np.unique(shapes.backdrop(rng_of(seed), 64, 5))) for seed in range(60)]
    assert max(counts) <= 4
    assert 20 <= counts.count(1) <= 50


@pytest.mark.parametrize("write_height", [20, 60])
def test_writing_returns_the_width_of_what_it_draws(write_height: float) -> None:
    for seed in SEEDS:
        canvas = np.zeros((160, 400), np.uint8)
        width = shapes.write(canvas, rng_of(seed), "HOME", np.array((20.0, 120.0)), write_height, 200)
        rows, columns = np.nonzero(canvas == 200)
        assert columns.max() - columns.min() + 1 == pytest.approx(width, abs=0.35 * write_height)
        assert rows.max() - rows.min() + 1 == pytest.approx(write_height, rel=0.45)
        assert abs(int(rows.max()) - 120) <= 0.2 * write_height


def test_a_head_has_the_skins_tone_in_its_middle_and_hair_above() -> None:
    for tilt in (-10.0, 0.0, 10.0):
        canvas = np.full((200, 200), 9, np.uint8)
        shapes.draw_head(canvas, rng_of(0), np.array((100.0, 90.0)), 40, tilt, (1, 2, 3, 4))
        assert canvas[100, 100 + 14] == 1
        up = np.array((0, -1.0)) @ shapes.rotation(np.radians(tilt))
        x, y = np.round(np.array((100.0, 90.0)) + 40 * up).astype(int)
        assert canvas[y, x] == 2
        assert {1, 2, 3, 4, 9} == set(np.unique(canvas))
        assert canvas[0, 0] == 9


def test_a_grid_counts_tiles_and_most_grids_are_not_bent() -> None:
    straight = 0
    for seed in range(30):
        x, y, side = shapes.grid(rng_of(seed), 64)
        assert 0.07 * 64 <= side <= 0.25 * 64
        across, down = np.diff(x, axis=1), np.diff(x, axis=0)
        if max(np.ptp(across), np.ptp(down)) < 1e-4:
            straight += 1
            np.testing.assert_allclose(np.hypot(across[:-1], down[:, :-1]), 1 / side, rtol=1e-3)
            np.testing.assert_allclose(np.diff(y, axis=0), across[0, 0], atol=1e-4)
    assert 10 <= straight < 30


def test_tones_of_tiles_repeat_after_sixteen_tiles() -> None:
    column, row = np.meshgrid(np.arange(40, dtype=np.float32), np.arange(40, dtype=np.float32))
    for seed in SEEDS:
        tones = shapes.tile_tones(rng_of(seed), column, row, 4)
        assert np.array_equal(tones[16:], tones[:-16])
        assert np.array_equal(tones[:, 16:], tones[:, :-16])
        assert tones.max() < 4


def test_hills_in_a_haze_grow_darker_towards_the_front() -> None:
    """Most pictures have the light far away, with the sky in the lightest tone and the last ridge in the darkest."""
    pictures = [DRAWINGS["hills"](rng_of(seed), 96, 5) for seed in range(30)]
    hazy = [tones for tones in pictures if (tones[0] == 4).mean() > 0.5 and (tones[-1] == 0).mean() > 0.5]
    assert len(hazy) > 12
    for tones in hazy:
        rows = tones.astype(float).mean(axis=1)
        assert rows[:10].mean() > rows[43:53].mean() > rows[-10:].mean()
