"""Overfitting told from the noise of looks at the probes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cnet_app.training.monitoring.overfitting import overfits

LOOKS, RUNS = 40, 200


def warnings(level: Callable[[int], float], slope: float, noise: float = 0.02) -> tuple[int, int]:
    """Of RUNS seeded runs, how many are warned of at any look, and how many at the last."""
    ever = last = 0
    for seed in range(RUNS):
        random = np.random.default_rng(seed)
        scores = [level(number) + random.normal(0, noise) for number in range(LOOKS)]
        losses = [0.15 + slope * number / LOOKS + random.normal(0, 0.003) for number in range(LOOKS)]
        found = [overfits(scores[:end], losses[:end]) for end in range(1, LOOKS + 1)]
        ever, last = ever + any(found), last + found[-1]
    return ever, last


@pytest.mark.parametrize(
    "level",
    [lambda _: 0.5, lambda number: 0.2 + 0.4 * number / LOOKS, lambda number: 0.1 + 0.5 * (number > 10)],
    ids=["level", "rising", "sudden convergence"],
)
def test_noise_is_not_overfitting(level: Callable[[int], float]) -> None:
    ever, last = warnings(level, slope=-0.05)
    assert ever <= 0.05 * RUNS
    assert last == 0


@pytest.mark.parametrize(
    "level",
    [lambda number: 0.6 - 0.2 * number / LOOKS, lambda number: 0.1 + 0.5 * (number > 10) - 0.01 * max(0, number - 15)],
    ids=["falling", "after a sudden convergence"],
)
def test_a_lasting_fall_is_overfitting_where_the_loss_falls(level: Callable[[int], float]) -> None:
    assert warnings(level, slope=-0.05)[1] == RUNS
    assert warnings(level, slope=0.05)[0] == 0


def test_few_looks_are_too_few() -> None:
    assert not overfits([0.9, 0.5, 0.1], [3, 2, 1])
