"""The part of the form that every picture needs: prompt, seed, steps, size; and the same for one control unit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from cnet_app.diffusion.schedulers import SAMPLERS
from cnet_app.modes import CUSTOM, MODES
from cnet_app.requests import (
    MAX_PROMPT,
    MAX_SEED,
    PICTURES,
    REQUEST_LIMITS,
    UNIT_LIMITS,
    ControlUnit,
    GenerationRequest,
    encode_png,
)
from cnet_app.ui.controls import parameter_input, photo_input, read_photo
from models.catalog import TITLES, Defaults
from models.local import local_files

START_STRENGTH = 0.6
"""Enough to change a picture, not so much that nothing of it is left."""
RANDOM_SEED = f"() => Math.floor(Math.random() * {MAX_SEED + 1})"


@dataclass(frozen=True)
class GenerationForm:
    """Components by the name of the request's field."""

    fields: dict[str, Any]

    @property
    def components(self) -> list[Any]:
        """In the order `request` wants their values."""
        return list(self.fields.values())

    def request(self, values: Sequence[Any], base: str, units: Sequence[ControlUnit]) -> GenerationRequest:
        """Raises InputError for what a user cannot want."""
        given = dict(zip(self.fields, values, strict=True))
        given |= {name: encode_png(read_photo(given[name])) if given[name] else None for name in PICTURES}
        if given["initial_image"] is None:
            del given["strength"]  # the slider speaks of that picture
        return GenerationRequest(base=base, units=tuple(units), **given)

    @property
    def of_base(self) -> list[Any]:
        """What starts with other values when another base model is in use; see `base_values`."""
        return [self.fields[name] for name in ("width", "height", "num_inference_steps", "guidance_scale")]


def base_values(defaults: Defaults) -> list[float]:
    """For `of_base`."""
    return [defaults.size, defaults.size, defaults.num_inference_steps, defaults.guidance_scale]


def checked_size(width: Any, height: Any) -> tuple[int, int]:
    """Width and height in px; InputError for what is no size."""
    checked = (REQUEST_LIMITS[name].check(name, value) for name, value in (("width", width), ("height", height)))
    wide, high = (int(value) for value in checked)
    return wide, high


def build_prompt(name: str, placeholder: str) -> dict[str, Any]:
    """The prompt, above the Generate button."""
    prompt = gr.Textbox(
        "",
        label="Prompt",
        lines=2,
        max_lines=6,
        placeholder=placeholder,
        max_length=MAX_PROMPT,
        elem_id=f"{name}-prompt",
    )
    return {"prompt": prompt}


def build_settings(name: str, defaults: Defaults) -> dict[str, Any]:
    """All but the prompt; the rare ones in a folded section."""
    fields: dict[str, Any] = {}

    def add(field: str, **options: Any) -> None:
        fields[field] = parameter_input(field, REQUEST_LIMITS[field], elem_id=f"{name}-{field}", **options)

    with gr.Row(equal_height=True):
        add("num_images", min_width=160)
        with gr.Column(min_width=160, elem_classes="seed"):
            add("seed")
            dice = gr.Button("Random seed", size="sm", elem_id=f"{name}-random-seed")
    with gr.Accordion("Size, steps, guidance", open=False, elem_id=f"{name}-more"):
        with gr.Row():
            add("width", value=defaults.size, min_width=160)
            add("height", value=defaults.size, min_width=160)
        with gr.Row():
            add("num_inference_steps", value=defaults.num_inference_steps, min_width=160)
            add("guidance_scale", value=defaults.guidance_scale, min_width=160)
        with gr.Row(equal_height=True):
            fields["scheduler"] = gr.Dropdown(
                [(row.title, row.id) for row in SAMPLERS],
                value="default",
                label="Sampler",
                elem_id=f"{name}-scheduler",
                min_width=160,
            )
            add("eta", min_width=160)
        fields["guess_mode"] = gr.Checkbox(
            label="Guess mode",
            info="Lets the map speak: its influence fades towards the deep layers, and the prompt may be empty.",
            elem_id=f"{name}-guess_mode",
        )
        fields["negative_prompt"] = gr.Textbox(
            "",
            label="Negative prompt",
            info="What the picture should not show; heard where guidance is above 1.",
            max_length=MAX_PROMPT,
            elem_id=f"{name}-negative_prompt",
        )
    with gr.Accordion("Start from a picture", open=False, elem_id=f"{name}-start"):
        with gr.Row(equal_height=True):
            for field, label in (("initial_image", "Picture"), ("inpaint_mask", "Mask: white is made anew")):
                fields[field] = photo_input(label, elem_id=f"{name}-{field}", height=240)
        add("strength", value=START_STRENGTH)
    dice.click(None, None, fields["seed"], js=RANDOM_SEED)
    return fields


def build_unit_controls(name: str) -> dict[str, Any]:
    """Strength, range, mode and network of one control unit, by the name of the unit's field."""
    fields: dict[str, Any] = {}

    def add(field: str) -> None:
        fields[field] = parameter_input(field, UNIT_LIMITS[field], elem_id=f"{name}-{field}", min_width=160)

    add("conditioning_scale")
    with gr.Row():
        add("control_guidance_start")
        add("control_guidance_end")
    fields["control_mode"] = gr.Dropdown(
        [(row.title, row.id) for row in MODES.values() if row.id != CUSTOM],
        value="balanced",
        label="Control mode",
        info="How map and prompt share the say; guess mode below sets it for all units.",
        elem_id=f"{name}-control_mode",
    )
    fields["controlnet"] = gr.Dropdown(
        controlnet_choices(),
        value="",
        label="ControlNet",
        info="Files of your own in models/controlnets are listed when the page is loaded.",
        elem_id=f"{name}-controlnet",
    )
    return fields


def unit_options(fields: Iterable[str], values: Sequence[Any]) -> dict[str, Any]:
    """Fields of a ControlUnit from the form's values."""
    options = dict(zip(fields, values, strict=True))
    return options | {"controlnet": options["controlnet"] or None}


def controlnet_choices() -> list[tuple[str, str]]:
    """The condition's own, as nothing, then the files that were dropped into models/controlnets."""
    titles = {file.name: f" ({TITLES[file.family]})" if file.family else "" for file in local_files("controlnet")}
    return [("The condition's own", ""), *((name + title, name) for name, title in titles.items())]
