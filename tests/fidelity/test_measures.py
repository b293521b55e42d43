"""Scores on maps whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from cnet_app.fidelity.measures import (
    MAP_MEASURES,
    PEOPLE_MEASURES,
    edge_f1,
    mean_angle,
    mean_iou,
    ms_ssim,
    pck,
    pearson,
    people_pck,
    rmse,
)
from cnet_app.registry.measures import MEASURES, Measure, measure

BLACK = np.zeros((256, 256, 3), np.uint8)
RAMP = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (256, 256, 3)).copy()


def line(column: int) -> np.ndarray:
    image = BLACK.copy()
    image[:, column] = 255
    return image


@pytest.mark.parametrize(("shift", "score"), [(0, 1.0), (2, 1.0), (3, 0.0)])
def test_edges_count_within_two_pixels(shift: int, score: float) -> None:
    assert edge_f1(line(100), line(100 + shift)) == pytest.approx(score)


def test_half_of_the_edges_missing_is_recall_of_a_half() -> None:
    both = np.maximum(line(50), line(200))
    assert edge_f1(both, line(50)) == pytest.approx(2 / 3)


def test_empty_maps_agree_with_each_other_only() -> None:
    assert edge_f1(BLACK, BLACK) == 1.0
    assert edge_f1(BLACK, line(10)) == 0.0


def test_similarity_falls_with_noise() -> None:
    rng = np.random.default_rng(0)
    picture = np.repeat(rng.integers(0, 256, (32, 32, 1), np.uint8).repeat(8, 0).repeat(8, 1), 3, axis=2)
    noisy = np.clip(picture + rng.normal(0, 40, picture.shape), 0, 255).astype(np.uint8)
    assert ms_ssim(picture, picture) == pytest.approx(1.0)
    assert 0.3 < ms_ssim(picture, noisy) < 0.98
    assert ms_ssim(picture, 255 - picture) < 0.3


def test_rmse_of_full_range_is_one() -> None:
    assert rmse(BLACK, BLACK + 255) == pytest.approx(1.0)


def test_correlation_ignores_brightness_and_contrast_alone() -> None:
    assert pearson(RAMP, (RAMP // 2 + 60).astype(np.uint8)) == pytest.approx(1.0, abs=1e-3)
    assert pearson(RAMP, 255 - RAMP) == pytest.approx(-1.0)
    assert pearson(RAMP, RAMP.transpose(1, 0, 2)) == pytest.approx(0.0, abs=1e-6)
    assert (pearson(BLACK, BLACK), pearson(RAMP, BLACK), pearson(BLACK, RAMP)) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("id", MAP_MEASURES)
def test_a_measure_of_a_part_is_that_of_the_part_alone(id: str) -> None:
    rng = np.random.default_rng(1)
    one, other = (
        rng.integers(0, 2, (16, 16, 1), np.uint8).repeat(16, 0).repeat(16, 1).repeat(3, 2) * 255 for _ in "ab"
    )
    there = np.zeros((256, 256), np.bool_)
    there[:128] = True
    mixed = np.where(there[..., None], one, other)
    row, compare = measure(id), MAP_MEASURES[id]
    tolerance = (
        0.1 if id.startswith("ms_ssim") else 0.02
    )  # its windows, and the tolerance of lines, reach over the border
    assert compare(one, mixed, where=there) == pytest.approx(row.best, abs=tolerance * (row.range[1] - row.range[0]))
    assert abs(compare(one, mixed, where=~there) - row.best) > abs(compare(one, mixed) - row.best)


def test_angle_between_front_and_side() -> None:
    front, side = BLACK + np.array([128, 128, 255], np.uint8), BLACK + np.array([255, 128, 128], np.uint8)
    assert mean_angle(front, front) < 0.5
    assert mean_angle(front, side) == pytest.approx(90, abs=1)


def test_overlap_of_shifted_halves() -> None:
    wanted, got = BLACK.copy(), BLACK.copy()
    wanted[:, :128] = (6, 230, 230)
    got[:, :64] = (6, 230, 230)
    assert mean_iou(wanted, got) == pytest.approx((64 / 128 + 128 / 192) / 2)


def test_joints_count_within_a_tenth_of_the_height() -> None:
    person = np.zeros((18, 3))
    person[:, 1], person[:, 2] = np.linspace(0, 170, 18), 1
    moved = person + np.array([16.0, 0, 0])
    moved[9:, 0] += 10
    assert pck(person, [person]) == 1.0
    assert pck(person, [moved]) == pytest.approx(0.5)
    assert pck(person, []) == 0.0


def test_people_count_equally_and_nobody_is_refused() -> None:
    person = np.zeros((18, 3))
    person[:, 1], person[:, 2] = np.linspace(0, 170, 18), 1
    assert people_pck([person, person + np.array([500.0, 0, 0])], [person]) == 0.5
    with pytest.raises(ValueError, match="at least one person"):
        people_pck([], [person])


def test_small_colours_count_where_no_colour_covers_one_percent() -> None:
    noise = np.arange(256 * 256, dtype=np.uint32).reshape(256, 256)
    many = np.stack([noise >> 8, noise & 255, 0 * noise], axis=2).astype(np.uint8)
    assert mean_iou(many, many) == 1.0
    assert mean_iou(many, BLACK) < 0.01


def test_every_row_of_the_registry_has_one_function_and_the_reverse() -> None:
    functions = [*MAP_MEASURES, *PEOPLE_MEASURES]
    assert sorted(functions) == sorted(row.id for row in MEASURES)


@pytest.mark.parametrize("row", [row for row in MEASURES if row.id in MAP_MEASURES], ids=lambda row: row.id)
def test_a_maps_own_score_is_the_best_of_the_range_and_another_maps_is_inside(row: Measure) -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 2, (8, 8, 1), np.uint8).repeat(32, 0).repeat(32, 1).repeat(3, 2) * 255 for _ in "ab")
    best, worst = row.range[::-1] if row.higher_is_better else row.range
    assert MAP_MEASURES[row.id](one, one) == pytest.approx(best, abs=0.01 * (row.range[1] - row.range[0]))
    assert min(best, worst) < MAP_MEASURES[row.id](one, other) < max(best, worst)
