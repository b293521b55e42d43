"""The choices that hold for every tab: base model, LoRAs and other additions, and few-step settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from cnet_app.registry.presets import FEW_STEPS
from cnet_app.request.generation import REQUEST_LIMITS
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import IP_ADAPTER_LIMITS, LORA_LIMITS, IpAdapter, Lora
from cnet_app.ui.bases import OFFERS, is_offered, model_choices, preset_choices, still_offered, title_of
from cnet_app.ui.forms.active import Active
from cnet_app.ui.forms.controls import parameter_input, photo_input, read_photo
from cnet_app.ui.forms.form import Form
from cnet_app.ui.gradio_seams import HIDDEN, Component, Updates, Values
from cnet_app.ui.labels import label_of
from models.catalog import Family

LORAS = 3
"""Largest number chosen at once."""
FITTING = {"vae": "vae", **{f"lora_{number}": "lora" for number in range(1, LORAS + 1)}, "ip_adapter": "ip_adapter"}
"""Fields whose choices follow the base's family, and which offer each of them lists."""
RELOAD = "Reload the page to see files that were just put into models/."
PRESET_FIELDS = ("scheduler", "num_inference_steps", "guidance_scale")
"""Fields of the sampling form that few-step settings fill, in addition to the first LoRA and its weight."""
NO_REFERENCE = f"{label_of('ip_adapter')} has no picture yet; give it one, or set it to Off."


class ModelsForm(Form):
    """Components by name, built inside the open gr.Blocks."""

    def __init__(self, family: Family | None) -> None:
        fields: dict[str, Component] = {}
        super().__init__(fields)
        with gr.Accordion("Models & LoRAs", open=False, elem_id="model"):
            with gr.Row():
                fields["base"] = _choice("base", "base", None, info=RELOAD)
                fields["vae"] = _choice("vae", "vae", family, info="Decoder; changes colours and fine detail.")
                fields["preset"] = gr.Dropdown(
                    preset_choices(family), value="", label="Few steps", elem_id="model-preset",
                    info="Sets LoRA 1, sampler, steps and guidance; Off restores them.", min_width=220,
                )  # fmt: skip
            for number in range(1, LORAS + 1):
                with gr.Row():
                    fields[f"lora_{number}"] = _choice("lora", f"lora_{number}", family, label=f"LoRA {number}")
                    fields[f"scale_{number}"] = _number(
                        f"scale_{number}", LORA_LIMITS["scale"], label=f"LoRA {number} weight"
                    )
            with gr.Row(equal_height=True):
                with gr.Column(min_width=220):
                    fields["ip_adapter"] = _choice("ip_adapter", "ip_adapter", family)
                    fields["ip_scale"] = _number("ip_scale", IP_ADAPTER_LIMITS["scale"])
                fields["ip_image"] = photo_input("Reference image", elem_id="model-ip_image", height=200)
            with gr.Row(equal_height=True):
                fields["residual_interval"] = _number(
                    "residual_interval", REQUEST_LIMITS["residual_interval"],
                    label="Reuse ControlNet output for N steps", info="Faster, slightly different.",
                )  # fmt: skip
                self.unload = gr.Button("Unload the models", size="sm", scale=0, min_width=180, elem_id="model-unload")
        self.before = gr.State({})
        """Values by name from before few-step settings were chosen; empty while they are off."""

    def connect_preset(self, sampling: Form) -> None:
        """Fill in what few-step settings stand for, here and in the sampling form; Off restores what was before."""
        filled = self._filled(sampling)

        def fill(values: Values) -> Any:
            row = next((row for row in FEW_STEPS if row.id == values[self["preset"]]), None)
            if row is None:
                return self.restored(values, sampling) or gr.skip()
            before = values[self.before] or {name: values[component] for name, component in filled.items()}
            chosen = {name: getattr(row, name) for name in PRESET_FIELDS} | {"lora_1": row.lora, "scale_1": 1.0}
            return {self.before: before} | {filled[name]: value for name, value in chosen.items()}

        components = {self.before, *filled.values()}
        self["preset"].input(fill, {self["preset"], *components}, list(components), queue=False, **HIDDEN)

    def restored(self, values: Values, sampling: Form) -> Updates:
        """Return what was before few-step settings were chosen; nothing while they are off."""
        filled, before = self._filled(sampling), values[self.before]
        return {self.before: {}} | {filled[name]: value for name, value in before.items()} if before else {}

    def fit(self, values: Values, family: Family | None, sampling: Form) -> Updates:
        """Offer what fits a family. A model of another family is taken out, few-step settings are restored."""
        updates: Updates = {}
        presets = preset_choices(family)
        chosen = values[self["preset"]]
        restored = {} if is_offered(chosen, presets) else self.restored(values, sampling)
        updates[self["preset"]] = gr.Dropdown(choices=presets, value=still_offered(chosen, presets))
        for name, offer in FITTING.items():
            component, choices = self[name], model_choices(OFFERS[offer], family)
            value = restored.pop(component, values[component])
            updates[component] = gr.Dropdown(choices=choices, value=still_offered(value, choices))
        return updates | restored

    def keeps_preset(self, values: Values, family: Family | None) -> bool:
        """Return whether few-step settings are chosen that a base of this family can use."""
        chosen: str = values[self["preset"]]
        return bool(chosen) and is_offered(chosen, preset_choices(family))

    def listed(self) -> Updates:
        """List the base models that are here by now."""
        return {self["base"]: gr.Dropdown(choices=model_choices(OFFERS["base"], None))}

    def options(self, values: Values, base: str) -> dict[str, Any]:
        """Return fields of a request; `base` is taken where none is chosen. Raises InputError."""
        given = self.read(values)
        return {
            "base": given["base"] or base,
            "vae": given["vae"] or None,
            "loras": tuple(_loras(given)),
            "ip_adapter": _ip_adapter(given),
            "residual_interval": given["residual_interval"],
        }

    def active(self, values: Values, sampling: Form) -> Iterator[Active]:
        """Yield what is in effect."""
        given = self.read(values)
        if given["base"]:
            yield Active("base", f"{label_of('base')}: {title_of(given['base'])}", {self["base"]: ""})
        if given["preset"]:
            title = next(row.title for row in FEW_STEPS if row.id == given["preset"])
            yield Active("preset", f"Few steps: {title}", {self["preset"]: "", **self.restored(values, sampling)})
        if given["vae"]:
            yield Active("vae", f"VAE: {given['vae']}", {self["vae"]: ""})
        for number in range(1, LORAS + 1):
            name, scale = given[f"lora_{number}"], given[f"scale_{number}"]
            if name:
                reset = {self[f"lora_{number}"]: "", self[f"scale_{number}"]: 1.0}
                yield Active(f"lora_{number}", f"LoRA {name} {scale:g}", reset)
        if given["ip_adapter"]:
            yield Active("ip_adapter", f"Reference image {given['ip_scale']:g}", {self["ip_adapter"]: ""})
        if given["residual_interval"] != 1:
            text = f"ControlNet output reused for {given['residual_interval']:g} steps"
            yield Active("residual_interval", text, {self["residual_interval"]: 1})

    def _filled(self, sampling: Form) -> dict[str, Component]:
        """Return the components that few-step settings fill, by name."""
        own = {name: self[name] for name in ("lora_1", "scale_1")}
        return own | {name: sampling[name] for name in PRESET_FIELDS}


def _choice(offer: str, name: str, family: Family | None, **options: Any) -> gr.Dropdown:
    given: dict[str, Any] = {"label": label_of(name), "elem_id": f"model-{name}", "min_width": 220} | options
    return gr.Dropdown(model_choices(OFFERS[offer], family), value="", **given)


def _number(name: str, limit: Any, **options: Any) -> Component:
    return parameter_input(name, limit, elem_id=f"model-{name}", min_width=160, **options)


def _loras(given: dict[str, Any]) -> Iterator[Lora]:
    for number in range(1, LORAS + 1):
        if given[f"lora_{number}"]:
            yield Lora(name=given[f"lora_{number}"], scale=given[f"scale_{number}"])


def _ip_adapter(given: dict[str, Any]) -> IpAdapter | None:
    if not given["ip_adapter"]:
        return None
    picture = read_photo(given["ip_image"], NO_REFERENCE)
    return IpAdapter(name=given["ip_adapter"], image=encode_png(picture), scale=given["ip_scale"])
