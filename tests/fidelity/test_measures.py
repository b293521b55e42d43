"""Scores on maps whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from cnet_app.fidelity.measures import MEASURES, edge_f1, mean_angle, mean_iou, ms_ssim, pck, rmse
from cnet_app.registry.conditions import CONDITIONS

BLACK = np.zeros((256, 256, 3), np.uint8)


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


def test_every_condition_has_a_measure() -> None:
    assert {row.measure for row in CONDITIONS} <= {*MEASURES, "pck"}
