"""Intervals and tests against scipy, against known answers, and on data that leave nothing to estimate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from cnet_app.evaluation import statistics
from cnet_app.evaluation.statistics import (
    IntervalKind,
    Means,
    Overlaps,
    Pairs,
    Settings,
    bootstrap,
    holm,
    paired_test,
    value_of,
)
from models.errors import InputError

QUICK = Settings(resamples=2000)
SKEWED = np.random.default_rng(3).exponential(1, 60)


def scipys_interval(values: Any, method: str) -> Any:
    return stats.bootstrap((values,), np.mean, method=method, n_resamples=9999, rng=1).confidence_interval


@pytest.mark.parametrize("kind", ["percentile", "bca"])
def test_an_interval_is_scipys_but_for_chance(kind: IntervalKind) -> None:
    found, expected = bootstrap(Means(SKEWED), Settings(interval=kind)), scipys_interval(SKEWED, kind)
    assert found == pytest.approx((expected.low, expected.high), abs=0.02)


def test_the_corrected_interval_of_skewed_values_reaches_further_up() -> None:
    plain, corrected = (bootstrap(Means(SKEWED), Settings(interval=kind)) for kind in statistics.INTERVALS)
    assert plain and corrected
    assert corrected[0] > plain[0] and corrected[1] > plain[1]


def test_the_same_seed_gives_the_same_interval_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap(Means(SKEWED), QUICK)
    monkeypatch.setattr(statistics, "MOST_NUMBERS", 1000)
    assert bootstrap(Means(SKEWED), QUICK) == whole
    assert bootstrap(Means(SKEWED), Settings(resamples=2000, seed=1)) != whole


@pytest.mark.parametrize("kind", ["percentile", "bca"])
def test_equal_values_have_an_interval_without_width_and_one_value_has_none(kind: IntervalKind) -> None:
    settings = Settings(interval=kind, resamples=200)
    assert bootstrap(Means(np.full(5, 0.25)), settings) == (0.25, 0.25)
    assert bootstrap(Means(np.full(1, 0.25)), settings) is None
    assert paired_test(Means(np.ones(1)), Means(np.zeros(1)), settings) is None


def test_an_interval_of_95_percent_holds_the_truth_that_often() -> None:
    rng = np.random.default_rng(0)
    settings = Settings(resamples=400)
    intervals = [bootstrap(Means(rng.normal(0, 1, 40)), settings) for _ in range(300)]
    assert 0.9 <= np.mean([low < 0 < high for low, high in filter(None, intervals)]) <= 0.98


def test_overlaps_are_counted_over_all_pictures_together() -> None:
    overlaps = Overlaps(np.array([[5.0, 0], [1, 2]]), np.array([[10.0, 0], [10, 4]]))
    assert value_of(overlaps) == pytest.approx((6 / 20 + 2 / 4) / 2)
    assert overlaps.estimate(np.array([[1.0, 0]])) == pytest.approx([0.5])  # the second class is not there
    assert bootstrap(overlaps, QUICK) == pytest.approx((0.3, 0.5), abs=0.11)


@pytest.mark.parametrize("size", [8, 40])
def test_the_permutation_test_is_scipys(size: int) -> None:
    rng = np.random.default_rng(size)
    one = rng.normal(0.5, 0.2, size)
    other = one - rng.normal(0.05, 0.12, size)
    found = paired_test(Means(one), Means(other), Settings())
    expected = stats.permutation_test(
        (one, other), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples", vectorized=True, rng=1
    )
    assert found == pytest.approx(expected.pvalue, abs=1e-9 if size == 8 else 0.02)


def test_few_pictures_are_exchanged_in_every_way() -> None:
    assert paired_test(Means(np.ones(5)), Means(np.zeros(5)), QUICK) == 2 / 32


def test_overlaps_of_equal_methods_do_not_differ_and_of_unequal_ones_do() -> None:
    rng = np.random.default_rng(0)
    either = np.full((30, 3), 100.0)
    good, bad = (Overlaps(rng.integers(low, low + 20, (30, 3)).astype(float), either) for low in (60, 40))
    assert paired_test(good, good, QUICK) == 1.0
    found = paired_test(good, bad, QUICK)
    assert found is not None and found < 0.001
    interval = bootstrap(Pairs(good, bad), QUICK)
    assert interval and interval[0] > 0.1


def test_wilcoxons_test_is_scipys_and_needs_numbers() -> None:
    settings = Settings(test="wilcoxon")
    one, other = Means(SKEWED), Means(SKEWED[::-1].copy())
    expected: Any = stats.wilcoxon(one.values - other.values)
    assert paired_test(one, other, settings) == expected.pvalue
    assert paired_test(one, one, settings) == 1.0
    overlaps = Overlaps(np.ones((3, 1)), np.ones((3, 1)))
    with pytest.raises(InputError, match="take the permutation test"):
        paired_test(overlaps, overlaps, settings)


def test_holms_correction_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.5, None, 0.9]) == (1.0, None, 1.0)
    assert holm([]) == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 1.5}, "level is 1.5, but it must be from 0.5 to 0.999"),
        ({"resamples": 5}, "resamples is 5, but it must be from 100 to 1000000"),
        ({"interval": "t"}, "interval is 't', but it must be one of: percentile, bca"),
        ({"test": "t"}, "test is 't', but it must be one of: permutation, wilcoxon"),
    ],
)
def test_wrong_settings_are_refused(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Settings(**options)
