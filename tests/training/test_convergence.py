"""The detector on curves whose jump is known: scores of eight probes, each with noise of its own."""

from __future__ import annotations

import numpy as np
import pytest

from cnet_app.training.monitoring.convergence import LOOKS, find_jump
from cnet_app.training.monitoring.progress import Progress

EVERY, PROBES = 25, 8


def curve(seed: int, jump: int | None, last: int = 1000, noise: float = 0.08) -> tuple[list[int], list[float]]:
    """Return steps and mean scores: 0.3 before a jump, up to 0.65 within two looks after it."""
    rng = np.random.default_rng(seed)
    steps = list(range(0, last + 1, EVERY))
    rise = [0.0 if jump is None else float(np.clip((step - jump) / (2 * EVERY), 0, 1)) for step in steps]
    return steps, [0.3 + 0.35 * one + float(rng.normal(0, noise, PROBES).mean()) for one in rise]


@pytest.mark.parametrize("seed", range(10))
def test_a_jump_is_found_within_100_steps(seed: int) -> None:
    place = int(np.random.default_rng(seed).integers(8, 28)) * EVERY
    jump = find_jump(*curve(seed, place))
    assert jump and abs(jump.step - place) <= 100
    assert jump.after - jump.before > 0.1


@pytest.mark.parametrize("seed", range(100))
def test_none_is_found_where_there_is_none(seed: int) -> None:
    assert find_jump(*curve(seed, None)) is None


def test_a_run_notes_its_jump_once_and_as_soon_as_it_shows() -> None:
    steps, scores = curve(3, 500)
    progress, noted = Progress(), list[int]()
    for step, score in zip(steps, scores, strict=True):
        progress.step = step
        if progress.add_look(score):
            noted.append(step)
    assert len(noted) == 1 and progress.converged is not None
    assert noted[0] - progress.converged == (LOOKS - 1) * EVERY
    assert Progress.from_state(progress.to_state()) == progress


def test_looks_without_gain_are_counted_from_the_best() -> None:
    progress = Progress()
    for step, score in enumerate([0.2, 0.5, 0.5, 0.4]):
        progress.step = step
        progress.add_look(score)
    assert progress.best == (1, 0.5) and progress.looks_without_gain == 2
