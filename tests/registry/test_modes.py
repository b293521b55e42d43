"""Modes as functions of places: the formulas of before, exactly, and what a mode needs of a family."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

import pytest

from cnet_app.registry.modes import MODES, Mode, Place, even_places
from models.families import FAMILIES
from models.family_facts import Capability

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
    assert {id: MODES[id].weights(places) for id in expected} == expected


@pytest.mark.parametrize("row", MODES.values(), ids=lambda row: row.id)
@pytest.mark.parametrize("reductions", [SD15, SDXL, ADAPTER, TINY], ids=len)
def test_a_mode_has_a_finite_factor_for_every_place(row: Mode, reductions: Sequence[int]) -> None:
    factors = row.weights(even_places(reductions))
    assert len(factors) == len(reductions)
    assert all(0 <= factor < math.inf for factor in factors)
    assert any(factors)
    assert row.by_place or len(set(factors)) == 1
    assert row.title and row.help.endswith(".")


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
    ("facts", "lacking", "refused"),
    [
        ({"guidance": "none"}, "guidance_sides", {"control", "unbalanced"}),
        ({"guidance": "distilled"}, "guidance_sides", {"control", "unbalanced"}),
        ({"guidance": "two_passes"}, None, set[str]()),
        ({"resolutions": False}, "resolutions", {"cfg_resolution", "cfg_resolution_normalised"}),
    ],
    ids=["no guidance", "distilled guidance", "two passes", "no resolutions"],
)
def test_a_family_refuses_the_modes_it_cannot_do(
    facts: dict[str, Any], lacking: Capability | None, refused: set[str]
) -> None:
    family = dataclasses.replace(FAMILIES["sd15"], title="a transformer", **facts)
    needing = {id for id, row in MODES.items() if lacking in row.needs}
    assert refused <= needing
    for id, row in MODES.items():
        if id in needing:
            sentence = (
                rf"^Control mode {re.escape(repr(row.title))} needs .*, which a transformer does not have; choose a"
            )
            assert re.match(sentence, row.refusal(family))
        else:
            assert row.refusal(family) == ""


def test_a_refusal_names_only_families_that_have_the_mode() -> None:
    for facts in FAMILIES.values():
        for row in MODES.values():
            for able in row.refusal(facts).partition("another family: ")[2].rstrip(".").split(", "):
                assert not able or row.refusal(next(one for one in FAMILIES.values() if one.title == able)) == ""
    assert "FLUX.2" not in MODES["unbalanced"].refusal(FAMILIES["flux"])


def test_unets_have_every_mode() -> None:
    for facts in FAMILIES.values():
        if facts.backbone == "unet" and facts.guidance == "batched":
            for row in MODES.values():
                assert row.refusal(facts) == ""
