"""The measures: rows by id."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cnet_app.registry.measures import MEASURES, Measure, measure
from models.errors import InputError


def test_ids_are_unique_and_texts_are_complete() -> None:
    assert len({row.id for row in MEASURES}) == len(MEASURES)
    for row in MEASURES:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", row.id)
        assert row.title and row.help.endswith(".")
        assert row.range[0] < row.range[1]


def test_a_row_is_found_by_its_id_and_labelled_with_its_unit() -> None:
    assert measure("pck").label == "PCK"
    assert measure("mean_angle").label == "mean angle (degrees)"


@pytest.mark.parametrize("row", MEASURES, ids=lambda row: row.id)
def test_agreement_rises_from_the_blank_value_to_the_best(row: Measure) -> None:
    values = np.linspace(row.blank_value, row.best, 50)
    agreements = [row.agreement(value) for value in values]
    assert (agreements[0], agreements[-1]) == (0.0, 1.0)
    assert all(np.diff(agreements) > 0)
    worst = row.range[0] if row.higher_is_better else row.range[1]
    assert row.agreement(worst) == 0.0
    assert row.range[0] <= row.blank_value <= row.range[1]


def test_blank_values_are_those_of_their_definition() -> None:
    rng = np.random.default_rng(0)
    greys = rng.uniform(0, 1, 100_000)
    assert measure("rmse").blank_value == pytest.approx(np.sqrt(np.square(greys - 0.5).mean()), abs=0.002)
    assert measure("grey_rmse").blank_value == pytest.approx(255 * measure("rmse").blank_value, abs=0.2)
    angles = np.degrees(np.arccos(rng.uniform(0, 1, 100_000)))  # on a half-sphere the cosine is spread evenly
    assert measure("mean_angle").blank_value == pytest.approx(angles.mean(), abs=0.3)


def test_an_unknown_measure_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no measure 'mean_iuo'; did you mean mean_iou.*the measures are: edge_f1, "):
        measure("mean_iuo")
