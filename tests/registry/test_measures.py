"""The measures: rows by id."""

from __future__ import annotations

import re

import pytest

from cnet_app.registry.measures import MEASURES, measure
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


def test_an_unknown_measure_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no measure 'mean_iuo'; did you mean mean_iou.*the measures are: edge_f1, "):
        measure("mean_iuo")
