"""Presets for few steps agree with the catalogue and the samplers, and set a request's values."""

from __future__ import annotations

from typing import Any

import pytest

from cnet_app.registry.presets import FEW_STEPS, FewSteps, apply, preset, presets_for, remove
from cnet_app.registry.samplers import sampler
from cnet_app.request.generation import GenerationRequest
from models.catalogue.catalog import entry
from models.errors import InputError
from models.families import FAMILIES


@pytest.mark.parametrize("row", FEW_STEPS, ids=lambda row: row.id)
def test_a_preset_names_what_there_is_and_makes_a_request(row: FewSteps) -> None:
    assert (entry(row.lora).kind, entry(row.lora).family) == ("lora", row.family)
    assert sampler(row.scheduler).id == row.scheduler
    assert preset(row.id, row.family) is row
    values: dict[str, Any] = {"prompt": "a ball", "num_inference_steps": 20, "guidance_scale": 9.0}
    made = apply(values, row)
    assert made.pop("loras") == ((row.lora, 1.0),)
    request = GenerationRequest(**made)
    assert (request.prompt, request.scheduler) == ("a ball", row.scheduler)
    assert (request.num_inference_steps, request.guidance_scale) == (4, 1.0)
    assert values["num_inference_steps"] == 20


def test_ids_are_unique() -> None:
    assert len({row.id for row in FEW_STEPS}) == len(FEW_STEPS)
    assert {row.id for family in FAMILIES for row in presets_for(family)} == {row.id for row in FEW_STEPS}
    assert {row.family for row in presets_for("sd15")} == {"sd15"}


def test_other_loras_stay_and_another_presets_goes() -> None:
    lcm, lightning = preset("lcm_sdxl", "sdxl"), preset("lightning_sdxl", "sdxl")
    values = apply(apply({"loras": (("style", 0.5),)}, lcm), lightning)
    assert values["loras"] == (("style", 0.5), ("lightning_sdxl_4steps", 1.0))


def test_another_family_and_an_unknown_id_are_refused() -> None:
    with pytest.raises(
        InputError, match="lcm_sdxl is made for SDXL, but the base is SD 1.5; .* there are: lcm_sd15, hyper_sd15"
    ):
        preset("lcm_sdxl", "sd15")
    with pytest.raises(InputError, match="no preset 'magic'; for SD 2.1 there are: "):
        preset("magic", "sd21")


def test_removing_a_preset_is_the_reverse_of_applying_it() -> None:
    start = {"scheduler": "default", "num_inference_steps": 20, "guidance_scale": 9.0}
    before = {"prompt": "a ball", "loras": (("style", 0.5),), **start}
    for row in FEW_STEPS:
        assert remove(apply(before, row), start) == before
    assert remove(before, {"num_inference_steps": 3}) == before


def test_removing_a_preset_leaves_what_was_changed_since() -> None:
    start = {"scheduler": "default", "num_inference_steps": 20, "guidance_scale": 9.0}
    changed = apply(start, preset("lcm_sd15", "sd15")) | {"num_inference_steps": 8}
    assert remove(changed, start) == start | {"loras": (), "num_inference_steps": 8}
