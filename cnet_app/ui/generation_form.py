"""The part of the form that every picture needs: prompt, seed, steps, size; and the same for one control unit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import gradio as gr

from cnet_app.diffusion.schedulers import SAMPLERS
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import MODES
from cnet_app.request.generation import MAX_SEED, REQUEST_LIMITS, GenerationRequest
from cnet_app.request.limits import MAX_NAME, MAX_PROMPT, parse_numbers, parse_points
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import UNIT_LIMITS, ControlUnit
from cnet_app.ui.controls import parameter_input, photo_input, read_photo
from models.catalog import TITLES, Defaults
from models.local import local_files
from models.own import known_rows

TEXTS: Mapping[str, tuple[str, str, Callable[[str, str], Any]]] = MappingProxyType(
    {
        "strength_curve": ("Strength over the steps", "Points fraction:factor, such as 0:1/0.5:0.2; empty is level.", parse_points),
        "block_weights": ("Weights of the blocks", "For the mode Custom: one number a block, such as 1/0.5/…", parse_numbers),
        "unconditional_block_weights": ("Weights on the negative prompt's side", "As above; empty leaves that side free.", parse_numbers),
    }
)  # fmt: skip
"""Fields of a unit that are written as text: label, help, and what reads them."""
RANDOM_SEED = f"() => Math.floor(Math.random() * {MAX_SEED + 1})"


@dataclass(frozen=True)
class GenerationForm:
    """Components by the name of the request's field."""

    fields: dict[str, Any]

    @property
    def components(self) -> list[Any]:
        """In the order `request` wants their values."""
        return list(self.fields.values())

    def request(
        self, values: Sequence[Any], common: Mapping[str, Any], units: Sequence[ControlUnit]
    ) -> GenerationRequest:
        """With the panel's fields, `common`. Raises InputError for what a user cannot want."""
        return GenerationRequest(units=tuple(units), **common, **dict(zip(self.fields, values, strict=True)))

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
    """The prompt: one line that grows, so that Enter sends it."""
    prompt = gr.Textbox(
        "",
        label="Prompt",
        lines=1,
        max_lines=6,
        placeholder=placeholder,
        max_length=MAX_PROMPT,
        elem_id=f"{name}-prompt",
    )
    return {"prompt": prompt}


def build_repeats(name: str) -> dict[str, Any]:
    """How many pictures, and from which seed on, in one line."""
    fields: dict[str, Any] = {}
    with gr.Row(elem_classes="repeats"):
        for field in ("num_images", "seed"):
            limit = REQUEST_LIMITS[field]
            fields[field] = parameter_input(field, limit, elem_id=f"{name}-{field}", info=None, min_width=110)
        dice = gr.Button("Random seed", size="sm", scale=0, min_width=80, elem_id=f"{name}-random-seed")
    dice.click(None, None, fields["seed"], js=RANDOM_SEED)
    return fields


def build_settings(name: str, defaults: Defaults) -> dict[str, Any]:
    """The rest, folded away."""
    fields: dict[str, Any] = {}

    def add(field: str, **options: Any) -> None:
        fields[field] = parameter_input(field, REQUEST_LIMITS[field], elem_id=f"{name}-{field}", **options)

    with gr.Accordion("Size, steps, guidance", open=False, elem_id=f"{name}-more"):
        with gr.Row():
            add("width", value=defaults.size, min_width=250)
            add("height", value=defaults.size, min_width=250)
            add("num_inference_steps", value=defaults.num_inference_steps, min_width=250)
            add("guidance_scale", value=defaults.guidance_scale, min_width=250)
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
            info="Lets the map speak: the prompt may be empty. Best with 50 steps and guidance 3 to 5.",
            elem_id=f"{name}-guess_mode",
        )
        fields["norm_preserving"] = gr.Checkbox(
            label="Keep the norm",
            info="Several units that fight add up no stronger than the strongest of them.",
            elem_id=f"{name}-norm_preserving",
        )
        fields["negative_prompt"] = gr.Textbox(
            "",
            label="Negative prompt",
            info="What the picture should not show; heard where guidance is above 1.",
            max_length=MAX_PROMPT,
            elem_id=f"{name}-negative_prompt",
        )
    return fields


def build_strength(name: str) -> dict[str, Any]:
    """How strongly one unit steers."""
    return {"conditioning_scale": _unit_number(name, "conditioning_scale")}


def build_unit_controls(name: str, condition_id: str) -> dict[str, Any]:
    """Range, mode, network, curve, weights and mask of one control unit, by the name of the unit's field."""
    fields: dict[str, Any] = {}
    with gr.Row():
        for field in ("control_guidance_start", "control_guidance_end"):
            fields[field] = _unit_number(name, field)
    fields["control_mode"] = gr.Dropdown(
        [(row.title, row.id) for row in MODES.values()],
        value="balanced",
        label="Control mode",
        info="How map and prompt share the say; guess mode sets it for all units.",
        elem_id=f"{name}-control_mode",
    )
    fields["controlnet"] = gr.Dropdown(
        controlnet_choices(condition_id),
        value="",
        label="ControlNet",
        info="Or a T2I-Adapter; files in models/controlnets are listed when the page is loaded.",
        elem_id=f"{name}-controlnet",
    )
    for field, (label, info, _) in TEXTS.items():
        fields[field] = gr.Textbox("", label=label, info=info, max_length=MAX_NAME, elem_id=f"{name}-{field}")
    with gr.Row():
        fields["mask"] = photo_input(
            "Mask: steers where it is white", ["upload", "clipboard"], elem_id=f"{name}-mask", height=200
        )
        fields["mask_feather"] = _unit_number(name, "mask_feather")
    return fields


def _unit_number(name: str, field: str) -> Any:
    return parameter_input(field, UNIT_LIMITS[field], elem_id=f"{name}-{field}", min_width=160)


def unit_options(fields: Iterable[str], values: Sequence[Any]) -> dict[str, Any]:
    """Fields of a ControlUnit from the form's values. Raises InputError."""
    options = dict(zip(fields, values, strict=True))
    options |= {name: parse(name, options[name]) if options[name] else () for name, (_, _, parse) in TEXTS.items()}
    mask = encode_png(read_photo(options["mask"])) if options["mask"] else None
    return options | {"controlnet": options["controlnet"] or None, "mask": mask}


def controlnet_choices(condition_id: str) -> list[tuple[str, str]]:
    """The condition's own, as nothing, then files of the user's, then what else in the catalogue reads its maps."""
    files = [
        (f"{file.name} ({TITLES[file.family]})" if file.family else file.name, file.name)
        for file in local_files("controlnet")
    ]
    own = {*condition(condition_id).controlnets.values()}
    rows = [row for row in known_rows() if row.kind in ("controlnet", "adapter") and row.id not in own]
    fitting = [(row.title, row.id) for row in rows if condition_id in row.conditions or not row.conditions]
    return [("The condition's own", ""), *files, *fitting]
