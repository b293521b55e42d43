"""Modes as functions of places: the formulas of before, exactly, and what a mode needs of a family."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import get_args

import pytest

from cnet_app.registry.modes import CUSTOM, MODES, Place, even_places
from models.errors import InputError
from models.families import FAMILIES, Capability

SD15 = (1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8)
SDXL = (1, 1, 1, 2, 2, 2, 4, 4, 4, 4)
ADAPTER, ADAPTER_XL, TINY = (1, 2, 4, 8), (2, 2, 4, 4), (1, 1, 2, 2, 2)


def soft(count: int) -> tuple[float, ...]:
    """Guess mode of the original code, by number: 0.825 ** (12 - i)."""
    return tuple(0.825 ** (count - 1 - number) for number in range(count))


@pytest.mark.parametrize("reductions", [SD15, SDXL, ADAPTER, ADAPTER_XL, TINY, (4,)], ids=len)
def test_the_factors_are_exactly_those_of_the_formulas_by_number(reductions: Sequence[int]) -> None:
    places, count = even_places(reductions), len(reductions)
    expected = {
        "balanced": (1.0,) * count,
        "prompt": soft(count),
        "control": soft(count),
        "unbalanced": (1.0,) * count,
        "cfg_resolution": tuple(map(float, reductions)),
        "cfg_resolution_normalised": tuple(reduction / max(reductions) for reduction in reductions),
    }
    assert {id: row.weights(places) for id, row in MODES.items() if id != CUSTOM} == expected


@pytest.mark.parametrize("count", range(1, 61))
def test_soft_factors_are_exact_for_any_number_of_places(count: int) -> None:
    assert MODES["prompt"].weights(even_places((1,) * count)) == soft(count)


def test_depth_alone_decides_soft_factors() -> None:
    """Places of a transformer stand at any depth, each as strong as a U-Net's place there."""
    shallow, middle, deep = MODES["prompt"].weights([Place(0.0), Place(0.5), Place(1.0)])
    assert (shallow, middle, deep) == (0.825**2, 0.825, 1.0)
    assert MODES["prompt"].weights([Place(0.75), Place(0.75), Place(1.0)])[0] == pytest.approx(0.825**0.5)


def test_places_go_from_the_shallowest_to_the_deepest() -> None:
    places = even_places(SD15)
    assert [place.reduction for place in places] == list(SD15)
    assert (places[0].depth, places[6].depth, places[-1].depth) == (0.0, 0.5, 1.0)
    assert even_places((4,)) == (Place(1.0, 4),)


@pytest.mark.parametrize(
    ("lacking", "refused"),
    [
        ({"guidance": "none"}, {"control", "unbalanced", "cfg_resolution", "cfg_resolution_normalised"}),
        ({"guidance": "distilled"}, {"control", "unbalanced", "cfg_resolution", "cfg_resolution_normalised"}),
        ({"guidance": "two_passes"}, set[str]()),
        ({"resolutions": False}, {"cfg_resolution", "cfg_resolution_normalised"}),
    ],
    ids=["no guidance", "distilled guidance", "two passes", "no resolutions"],
)
def test_a_family_refuses_the_modes_it_cannot_do(lacking: dict[str, str], refused: set[str]) -> None:
    facts = dataclasses.replace(FAMILIES["sd15"], title="a transformer", **lacking)
    for id, row in MODES.items():
        if id in refused:
            sentence = (
                rf"^Control mode {re.escape(repr(row.title))} needs .*, which a transformer does not have; choose a"
            )
            with pytest.raises(InputError, match=sentence):
                row.check(facts)
        else:
            row.check(facts)


def test_every_family_of_today_has_every_mode() -> None:
    for facts in FAMILIES.values():
        for row in MODES.values():
            row.check(facts)
            assert set(row.needs) <= set(get_args(Capability))
