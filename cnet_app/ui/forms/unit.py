"""The controls of one control unit: strength, range, mode, network, schedule, weights and mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import gradio as gr

from cnet_app.registry.modes import MODES
from cnet_app.request.limits import MAX_NAME, parse_numbers, parse_points
from cnet_app.request.units import UNIT_LIMITS
from cnet_app.ui.bases import controlnet_choices
from cnet_app.ui.forms.active import Active
from cnet_app.ui.forms.controls import keep_ordered, parameter_input, photo_input, read_photo
from cnet_app.ui.forms.form import Form
from cnet_app.ui.forms.size import Frame
from cnet_app.ui.gradio_seams import Component, Values
from cnet_app.ui.labels import label_of
from models.catalog import Family

TEXTS: Mapping[str, tuple[str, Callable[[str, str], Any]]] = MappingProxyType(
    {
        "strength_curve": ("Points fraction:factor, such as 0:1/0.5:0.2. Leave empty for constant.", parse_points),
        "block_weights": ("For the mode Custom: one number a block, such as 1/0.5/…", parse_numbers),
        "unconditional_block_weights": ("The same for the negative prompt's side; empty leaves it free.", parse_numbers),
    }
)  # fmt: skip
"""Fields that are written as text: help, and the function that reads them."""
_PLAIN: dict[str, Any] = {
    "control_mode": "balanced", "controlnet": "", **dict.fromkeys(TEXTS, ""), "mask": None,
    **{name: limit.default for name, limit in UNIT_LIMITS.items()},
}  # fmt: skip


class UnitControls(Form):
    """Fields of a ControlUnit by name."""

    def options(self, values: Values, frame: Frame) -> dict[str, Any]:
        """Return options of a ControlUnit. Raises InputError."""
        given = self.read(values)
        parsed = {name: parse(name, given[name]) if given[name] else () for name, (_, parse) in TEXTS.items()}
        mask = frame.fit_png(read_photo(given["mask"])) if given["mask"] else None
        return given | parsed | {"controlnet": given["controlnet"] or None, "mask": mask}

    def active(self, values: Values) -> Iterator[Active]:
        """Yield what is not at its default."""
        for name, value in self.read(values).items():
            if value != _PLAIN[name]:
                yield Active(name, _text(name, value), {self[name]: _PLAIN[name]})


def _text(name: str, value: Any) -> str:
    if name == "control_mode":
        return f"{label_of(name)}: {MODES[value].title}"
    if name == "controlnet":
        return f"{label_of(name)}: {value}"
    if name == "mask":
        return "Control mask"
    if isinstance(value, str):
        return label_of(name)
    return f"{label_of(name)} {value:g}"


def build_scale(name: str) -> dict[str, Component]:
    """Build the control strength."""
    return {"conditioning_scale": _number(name, "conditioning_scale")}


def build_unit_controls(
    name: str, scale: Mapping[str, Component], condition_id: str, family: Family | None
) -> UnitControls:
    """Build the rest, in addition to the control strength that was built before."""
    fields: dict[str, Any] = dict(scale)
    with gr.Row():
        for field in ("control_guidance_start", "control_guidance_end"):
            fields[field] = _number(name, field)
    keep_ordered(fields["control_guidance_start"], fields["control_guidance_end"])
    fields["control_mode"] = gr.Dropdown(
        [(row.title, row.id) for row in MODES.values()], value="balanced", label=label_of("control_mode"),
        info="Whether the map or the prompt wins. Guess mode sets it for every layer.", elem_id=f"{name}-control_mode",
    )  # fmt: skip
    fields["controlnet"] = gr.Dropdown(
        controlnet_choices(condition_id, family), value="", label=label_of("controlnet"),
        info="Or a T2I-Adapter. Files in models/controlnets are listed when the page is loaded.",
        elem_id=f"{name}-controlnet",
    )  # fmt: skip
    for field, (info, _) in TEXTS.items():
        fields[field] = gr.Textbox("", label=label_of(field), info=info, max_length=MAX_NAME, elem_id=f"{name}-{field}")
    with gr.Row():
        fields["mask"] = photo_input(
            "Mask: control acts where it is white", ["upload", "clipboard"], elem_id=f"{name}-mask", height=200
        )
        fields["mask_feather"] = _number(name, "mask_feather")
    return UnitControls(fields)


def _number(name: str, field: str) -> Component:
    return parameter_input(field, UNIT_LIMITS[field], elem_id=f"{name}-{field}", min_width=160)
