"""What a family refuses of a request: the sentence of the engine, which the page shows too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cnet_app.request.checks.refusals import (
    UNIT_NEEDS,
    check_refusals,
    guess_refusal,
    mode_refusals,
    negative_refusal,
    sampler_refusals,
    unit_refusals,
)
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models.catalogue.catalog import entry
from models.errors import InputError
from models.families import FAMILIES
from tests.jobs.fake_engine import request
from tests.request.strategies import MAP

SET: dict[str, Any] = {
    "prompt": "a blue box",
    "mask": MAP,
    "weight_map": MAP,
    "depth_curve": ((0.0, 1.0), (1.0, 0.5)),
    "control_form": "diffusers",
}


def with_unit(**settings: Any) -> GenerationRequest:
    return replace(request(), units=(ControlUnit(condition="canny", control_image=MAP, **settings),))


@pytest.mark.parametrize("field", UNIT_NEEDS)
def test_a_setting_of_a_unit_is_refused_where_it_is_set(field: str) -> None:
    poor = FAMILIES["flux2"]
    check_refusals(with_unit(), poor)
    with pytest.raises(InputError) as told:
        check_refusals(with_unit(**{field: SET[field]}), poor)
    assert str(told.value) == unit_refusals(poor)[field]


def test_modes_samplers_and_guess_mode_are_refused_before_anything_is_loaded() -> None:
    flux = FAMILIES["flux"]
    with pytest.raises(InputError) as told:
        check_refusals(with_unit(control_mode="unbalanced"), flux)
    assert str(told.value) == mode_refusals(flux)["unbalanced"]
    with pytest.raises(
        InputError, match="^guess_mode needs control of one side of guidance alone, which FLUX.1"
    ) as told:
        check_refusals(replace(with_unit(), guess_mode=True), flux)
    assert str(told.value) == guess_refusal(flux)
    with pytest.raises(InputError, match="^DDIM has no form for flow matching") as told:
        check_refusals(replace(request(), scheduler="ddim"), flux)
    assert str(told.value) == sampler_refusals(flux)["ddim"]
    assert not guess_refusal(FAMILIES["sd15"]) and not mode_refusals(FAMILIES["sd15"])
    assert set(sampler_refusals(FAMILIES["embedded"])) >= {"pndm"} and not sampler_refusals(FAMILIES["sd15"])


@pytest.mark.parametrize(
    ("base", "reader"),
    [("flux", "FLUX.1"), ("flux2", "this base"), ("flux2_base", ""), ("chroma", ""), ("z_image", "")],
)
def test_a_base_without_a_second_side_reads_no_negative_prompt(base: str, reader: str) -> None:
    row = entry(base)
    assert row.family
    sentence = negative_refusal(FAMILIES[row.family], row.defaults)
    assert bool(sentence) == bool(reader) and reader in sentence
    assert negative_refusal(FAMILIES["flux2"], None) == ""
