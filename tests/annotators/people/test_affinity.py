"""Peaks, limbs and bodies on small maps whose right answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from annotators.people.affinity import FIELDS, JOINTS, LINKS, MOST_PEAKS, STRIDE, bodies_from_fields, find_peaks
from benchmarks.data.drawn_fields import draw_fields, standing

HEIGHT, WIDTH = 184, 240
NECK, SHOULDER, ELBOW, WRIST = 1, 2, 3, 4
ARM = {NECK: (60.0, 40.0), SHOULDER: (90.0, 45.0), ELBOW: (110.0, 80.0), WRIST: (120.0, 120.0)}


def _person(places: dict[int, tuple[float, float]]) -> NDArray[np.float64]:
    person = np.zeros((JOINTS, 3))
    for joint, place in places.items():
        person[joint] = *place, 1
    return person


def _find(*people: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return bodies_from_fields(*draw_fields(list(people), HEIGHT, WIDTH), HEIGHT, WIDTH)


@pytest.mark.parametrize("x", np.linspace(60, 68, 9))
def test_a_peak_lies_at_the_top_of_its_bell(x: float) -> None:
    """Anywhere between two cells."""
    columns, rows = (np.arange(side // STRIDE) * STRIDE + STRIDE / 2 for side in (WIDTH, HEIGHT))
    heat = np.zeros((len(rows), len(columns), JOINTS + 1))
    heat[..., WRIST] = np.exp(-((columns[None] - x) ** 2 + (rows[:, None] - 77.3) ** 2) / (2 * 10.0**2))
    peaks = find_peaks(heat, HEIGHT, WIDTH)
    assert [len(found) for found in peaks] == [joint == WRIST for joint in range(JOINTS)]
    assert peaks[WRIST][0, :2] == pytest.approx((x, 77.3), abs=0.3)
    assert peaks[WRIST][0, 2] == pytest.approx(1, abs=0.05)


def test_of_too_many_peaks_the_highest_are_taken() -> None:
    heat = np.zeros((60, 60, JOINTS), np.float32)
    heights = np.random.default_rng(0).uniform(0.6, 1.0, 400)
    heat[1::3, 1::3, WRIST] = heights.reshape(20, 20)
    found = find_peaks(heat, 480, 480)[WRIST]
    assert len(found) == MOST_PEAKS
    assert found[:, 2].min() >= np.sort(heights)[-MOST_PEAKS] - 0.1


def test_weak_heat_is_no_joint() -> None:
    heat, fields = draw_fields([_person(ARM)], HEIGHT, WIDTH)
    assert len(bodies_from_fields(heat, fields, HEIGHT, WIDTH)) == 1
    assert bodies_from_fields(heat * 0.09, fields, HEIGHT, WIDTH) == []


def test_joints_are_one_body_along_their_fields() -> None:
    (body,) = _find(_person(ARM))
    assert set(np.flatnonzero(body[:, 2])) == set(ARM)
    for joint, place in ARM.items():
        assert body[joint, :2] == pytest.approx(place, abs=1)


def test_without_a_field_joints_do_not_belong_together() -> None:
    heat, fields = draw_fields([_person(ARM)], HEIGHT, WIDTH)
    assert bodies_from_fields(heat, np.zeros_like(fields), HEIGHT, WIDTH) == []
    assert bodies_from_fields(heat, -fields, HEIGHT, WIDTH) == []


def test_a_field_along_a_part_of_the_limb_is_not_enough() -> None:
    heat, fields = draw_fields([_person(ARM)], HEIGHT, WIDTH)
    number = FIELDS[LINKS.index((ELBOW, WRIST))]
    lower = np.arange(len(fields))[:, None, None] * STRIDE + STRIDE / 2 > 108  # the last third, before the wrist
    fields[..., number : number + 2] = np.where(lower, 0, fields[..., number : number + 2])
    assert bodies_from_fields(heat, fields, HEIGHT, WIDTH) == []  # three joints


def test_three_joints_are_no_body() -> None:
    assert _find(_person({joint: ARM[joint] for joint in (NECK, SHOULDER, ELBOW)})) == []


def test_the_wrist_goes_to_the_elbow_that_its_field_comes_from() -> None:
    """Two arms cross: each wrist is nearer to the other's elbow."""
    left = _person({NECK: (60, 30), SHOULDER: (80, 40), ELBOW: (90, 80), WRIST: (150, 140)})
    right = _person({NECK: (180, 30), SHOULDER: (160, 40), ELBOW: (150, 80), WRIST: (90, 140)})
    found = sorted(_find(left, right), key=lambda body: body[NECK, 0])
    assert len(found) == 2
    assert found[0][WRIST, :2] == pytest.approx((150, 140), abs=2)
    assert found[1][WRIST, :2] == pytest.approx((90, 140), abs=2)


def test_two_halves_of_a_body_become_one() -> None:
    """Arm and leg are found before the link that joins them."""
    person = standing(60, 10, 160, 3)
    heat, fields = draw_fields([person], HEIGHT, WIDTH)
    assert len(bodies_from_fields(heat, fields, HEIGHT, WIDTH)) == 1
    cut = fields.copy()
    for first, second in ((1, 8), (1, 11)):  # neck to both hips
        number = LINKS.index((first, second))
        cut[..., FIELDS[number] : FIELDS[number] + 2] = 0
    bodies = bodies_from_fields(heat, cut, HEIGHT, WIDTH)
    assert all(not (body[1, 2] and (body[8, 2] or body[11, 2])) for body in bodies)
    assert bodies


def test_a_limb_longer_than_half_the_picture_loses_to_a_short_one() -> None:
    far = {NECK: (60.0, 20.0), SHOULDER: (90.0, 25.0), ELBOW: (100.0, 30.0), WRIST: (230.0, 170.0)}
    heat, fields = draw_fields([_person(far)], HEIGHT, WIDTH)
    assert bodies_from_fields(heat, 0.4 * fields, HEIGHT, WIDTH) == []  # the wrist is not reached: three joints
    near = far | {WRIST: (110.0, 90.0)}
    heat, fields = draw_fields([_person(near)], HEIGHT, WIDTH)
    assert len(bodies_from_fields(heat, 0.4 * fields, HEIGHT, WIDTH)) == 1


def test_joints_out_of_the_picture_are_not_found() -> None:
    heat, fields = draw_fields([standing(60, 10, 160, 1)], HEIGHT, WIDTH)
    for body in bodies_from_fields(heat, fields, HEIGHT - 60, WIDTH - 60):
        assert body[:, 0].max() <= WIDTH - 60
        assert body[:, 1].max() <= HEIGHT - 60
