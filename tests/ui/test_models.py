"""Models: only what fits the base is offered, few-step settings are undone by Off, the form becomes fields of a request."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from cnet_app.registry.presets import FEW_STEPS
from cnet_app.request.units import Lora
from cnet_app.ui.bases import OFFERS, controlnet_choices, defaults_of, family_of, model_choices, preset_choices
from cnet_app.ui.forms.models import ModelsForm
from models.catalog import CATALOG
from models.errors import InputError
from models.families import FAMILIES, Family
from tests.ui.handlers import by_id, call, listeners, named

LCM = next(row for row in FEW_STEPS if row.id == "lcm_sd15")


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_made_for_another_family_is_not_offered(family: Family) -> None:
    families = {row.id: row.family for row in CATALOG}
    listed = [id for offer in ("vae", "lora", "ip_adapter") for _, id in model_choices(OFFERS[offer], family)]
    listed += [id for _, id in controlnet_choices("canny", family)]
    assert {families[id] for id in listed if id} <= {family, None}
    presets = [id for _, id in preset_choices(family)]
    assert [row.id for row in FEW_STEPS if row.family == family] == presets[1:]


def test_a_family_that_is_not_known_gets_everything() -> None:
    assert len(preset_choices(None)) == len(FEW_STEPS) + 1


def test_facts_of_a_base_come_from_its_row_or_its_family() -> None:
    assert (family_of("sd15"), defaults_of("sd15").size) == ("sd15", 512)
    assert (family_of("someone/else"), defaults_of("someone/else").size) == (None, 512)


def fields(app: gr.Blocks, **given: Any) -> dict[Any, Any]:
    return {f"model-{name}": value for name, value in given.items()}


def before_of(fn: Any) -> Any:
    """The state of what was before."""
    return next(c for c in fn.inputs if isinstance(c, gr.State) and c.value == {})


def test_off_restores_what_was_before_few_steps(built: gr.Blocks) -> None:
    (fn,) = listeners(built, "model-preset", "input")
    before = before_of(fn)
    mine = {**fields(built, lora_1="mine", scale_1=0.5), "create-scheduler": "ddim", "create-num_inference_steps": 33, "create-guidance_scale": 7}  # fmt: skip
    chosen = call(fn, {**mine, "model-preset": LCM.id})
    updates = by_id(chosen)
    assert (updates["model-lora_1"], updates["create-num_inference_steps"]) == (LCM.lora, LCM.num_inference_steps)
    now = {c.elem_id: value for c, value in chosen.items() if c.elem_id} | {before: chosen[before]}
    other = call(fn, {**now, "model-preset": "hyper_sd15"})  # from one preset to the next, what was before stays known
    assert other[before] == chosen[before]
    restored = call(fn, {**now, "model-preset": ""})
    assert {id: by_id(restored)[id] for id in mine} == mine
    assert restored[before] == {}
    assert call(fn, {"model-preset": ""}) == gr.skip()


def test_another_base_takes_few_steps_of_its_predecessor_away(built: gr.Blocks) -> None:
    fn = named(built, "choose_base")
    before = before_of(fn)
    was = {"lora_1": "", "scale_1": 1.0, "scheduler": "default", "num_inference_steps": 20, "guidance_scale": 9.0}
    values = {before: was, **fields(built, preset=LCM.id, lora_1=LCM.lora), "create-scheduler": "lcm"}
    updates = by_id(call(fn, {**values, "model-base": "sdxl"}))
    assert (updates["model-preset"].value, updates["model-lora_1"].value) == ("", "")
    assert (updates["create-scheduler"], updates["create-num_inference_steps"]) == ("default", 30)
    same = by_id(call(fn, {**values, "model-base": "sd15_inpaint"}))
    assert (same["model-preset"].value, same["model-lora_1"].value) == (LCM.id, LCM.lora)
    assert "create-num_inference_steps" not in same


def test_the_form_becomes_fields_of_a_request(photo: str) -> None:
    with gr.Blocks():
        form = ModelsForm("sd15")

    def read(**given: Any) -> dict[str, Any]:
        values = {component: given.get(name, component.value) for name, component in form.fields.items()}
        return form.options(values, "the best")

    plain = read()
    assert plain == {"base": "the best", "vae": None, "loras": (), "ip_adapter": None, "residual_interval": 1}
    full = read(base="mine.safetensors", vae="soft.pt", lora_2="ink", scale_2=0.5)
    assert (full["base"], full["vae"], full["loras"]) == ("mine.safetensors", "soft.pt", (Lora(name="ink", scale=0.5),))
    assert read(ip_adapter="one", ip_image=photo)["ip_adapter"].name == "one"
    with pytest.raises(InputError, match="Reference image .* has no picture yet"):
        read(ip_adapter="one")
