"""Several conditions at once: each unit with its own picture, strength and range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from annotators.base import parameters
from annotators.registry import annotator, parse_values, typed
from cnet_app.maps.annotate import build_unit
from cnet_app.maps.availability import default_annotator
from cnet_app.registry.conditions import CONDITIONS, condition
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.limits import MAX_NAME
from cnet_app.request.units import ControlUnit
from cnet_app.ui.annotator_form import DRAWING, OWN_MAP, choices, note_html
from cnet_app.ui.controls import photo_input, read_photo
from cnet_app.ui.desk import FOLLOWING, HIDDEN, Desk, build_order, start
from cnet_app.ui.errors import attempt, tell
from cnet_app.ui.examples import example_image
from cnet_app.ui.generation_form import (
    build_strength,
    build_unit_controls,
    checked_size,
    controlnet_choices,
    unit_options,
)
from cnet_app.ui.progress import error_html
from cnet_app.ui.repairs import Repaired, annotate_repaired, build_repairs, connect_repairs, repair_choices
from cnet_app.ui.studio import Studio, connect
from models.errors import InputError

NAME = "compose"
HELP = "Several conditions steer one picture, each with its own strength and range."
FIRST = ("openpose", "depth", "canny")
"""Conditions of the units at the start; the first two share the example's picture."""
EXAMPLE = 2


@dataclass(frozen=True)
class UnitForm:
    """One unit; it counts where it has a picture."""

    condition: gr.Dropdown
    photo: gr.Image
    annotator: gr.Dropdown
    repairs: gr.CheckboxGroup
    parameters: gr.Textbox
    """Of the annotator, as text: all of them as sliders, three times, would be a heavy page."""
    controls: dict[str, Any]
    control_image: gr.Image
    note: gr.HTML

    @property
    def components(self) -> list[Any]:
        """In the order `read_unit` wants their values."""
        return [*self.source, *self.controls.values()]

    @property
    def makers(self) -> list[Any]:
        """What follows the condition; see `_makers`."""
        return [self.annotator, self.controls["controlnet"]]

    @property
    def source(self) -> list[Any]:
        """What the map is made of, in the order `_annotate` wants their values."""
        return [self.condition, self.photo, self.annotator, self.repairs, self.parameters]


def build_compose_tab(studio: Studio) -> None:
    """A tab of the open gr.Tabs."""
    with gr.Tab("Compose", id=NAME, elem_id=f"{NAME}-tab") as tab:
        with gr.Row(equal_height=True, elem_classes="lead-row"):
            gr.HTML(f"<p>{HELP}</p>", elem_classes="lead", padding=False)
            example = gr.Button("Try the example", size="sm", scale=0, min_width=150, elem_id=f"{NAME}-example")
        units = [_build_unit_form(number, id) for number, id in enumerate(FIRST, 1)]
        go, remap = build_order(NAME, "go"), build_order(NAME, "remap")
    desk = studio.desk
    desk.follow(tab)
    for unit in units:
        _connect_unit(unit, desk, [remap.click, tab.select])

    def request(common: dict[str, Any], *values: Any) -> GenerationRequest:
        size = len(units[0].components)
        parts = [values[i * size : (i + 1) * size] for i in range(len(units))]
        rest = values[len(units) * size :]
        named = dict(zip(desk.form.fields, rest, strict=True))
        given = [_read_unit(unit, part, named) for unit, part in zip(units, parts, strict=True) if part[1]]
        if not given:
            raise InputError("No unit has a picture yet; give at least one of them a photo or a map.")
        return desk.form.request(rest, common, given)

    filled = [component for unit in units[:EXAMPLE] for component in (unit.condition, unit.photo, *unit.makers)]
    filling = example.click(_example, None, [*filled, desk.prompt], **HIDDEN)
    filling.success(None, None, None, js=start(NAME), **HIDDEN)
    inputs = [*(component for unit in units for component in unit.components), *desk.form.components]
    connect(studio, desk.output, [go.click], inputs, request)


def _build_unit_form(number: int, id: str) -> UnitForm:
    name = f"{NAME}-{number}"
    with gr.Accordion(f"Unit {number}", open=number <= EXAMPLE, elem_id=name):
        with gr.Row():
            rows = [(row.title, row.id) for row in CONDITIONS]
            kind = gr.Dropdown(rows, value=id, label="Condition", elem_id=f"{name}-condition", min_width=140)
            made_by = gr.Dropdown(
                _choices(id), value=default_annotator(id), label="Map made by", elem_id=f"{name}-annotator", min_width=140
            )  # fmt: skip
        with gr.Row(equal_height=True, elem_classes="pair"):
            photo = photo_input("Photo", elem_id=f"{name}-photo", height=200, min_width=120)
            control_image = gr.Image(
                label="Map", format="png", interactive=False, buttons=[], height=200, elem_id=f"{name}-map", min_width=120
            )  # fmt: skip
        note = gr.HTML(note_html(default_annotator(id)), elem_classes="note", padding=False)
        repairs = build_repairs(name)
        controls = build_strength(name)
        with gr.Accordion("How the map is made and steers", open=False, elem_id=f"{name}-fine"):
            written = gr.Textbox(
                "", label="Annotator's parameters", info="As NAME=VALUE, …; what is not written is as in grey.",
                placeholder=_defaults(default_annotator(id)), max_length=MAX_NAME, elem_id=f"{name}-parameters",
            )  # fmt: skip
            controls |= build_unit_controls(name, id)
    return UnitForm(kind, photo, made_by, repairs, written, controls, control_image, note)


def _connect_unit(unit: UnitForm, desk: Desk, remap: list[Any]) -> None:
    """`remap` are the events after which the map may need another size."""

    def other_annotator(chosen: str) -> Any:
        return gr.Textbox(value="", placeholder=_defaults(chosen))

    def show_map(*values: Any) -> Iterator[tuple[Any, ...]]:
        *source, width, height = values
        _, path, chosen, *_ = source
        if not path:
            yield None, note_html(chosen), repair_choices(None)
            return
        repaired, fault = attempt(lambda: _annotate(source, width, height))
        if repaired:
            note = " ".join([note_html(chosen), *repaired.made.warnings])
            yield repaired.made.pixels, note, repair_choices(repaired)
            return
        yield None, error_html(fault), repair_choices(None)
        tell(fault)

    ticked = connect_repairs(unit.repairs, unit.annotator)
    inputs, shown = [*unit.source, *desk.size], [unit.control_image, unit.note, unit.repairs]
    triggers = [unit.photo.change, unit.parameters.submit, unit.parameters.blur, *remap]
    gr.on(triggers, show_map, inputs, shown, **FOLLOWING)
    # The annotator follows its condition, and what was written for one is nothing to the next: first that, then the map.
    chosen = unit.condition.input(_makers, unit.condition, unit.makers, queue=False, **HIDDEN)
    changed = unit.annotator.change(other_annotator, unit.annotator, unit.parameters, queue=False, **HIDDEN)
    for settled in (chosen, changed, ticked):
        settled.then(show_map, inputs, shown, **FOLLOWING)


def _makers(id: str) -> tuple[gr.Dropdown, gr.Dropdown]:
    """Annotators and ControlNets of a condition."""
    return gr.Dropdown(_choices(id), value=default_annotator(id)), gr.Dropdown(controlnet_choices(id), value="")


def _choices(id: str) -> list[tuple[str, str]]:
    return [choice for choice in choices(condition(id)) if choice[1] != DRAWING]


def _defaults(chosen: str) -> str:
    """The annotator's parameters as they are without a word."""
    declared = {} if chosen == OWN_MAP else parameters(annotator(chosen))
    return ", ".join(f"{name}={typed(p.default)}" for name, p in declared.items()) or "It has none."


def _annotate(source: Sequence[Any], width: int, height: int) -> Repaired:
    id, path, chosen, asked, written = source
    given = parse_values([pair.strip() for pair in (written or "").split(",") if pair.strip()])
    made_by = None if chosen == OWN_MAP else chosen
    return annotate_repaired(id, made_by, read_photo(path), given, checked_size(width, height), asked)


def _read_unit(unit: UnitForm, values: tuple[Any, ...], settings: dict[str, Any]) -> ControlUnit:
    source, numbers = values[: len(unit.source)], values[len(unit.source) :]
    repaired = _annotate(source, settings["width"], settings["height"])
    return build_unit(source[0], repaired.made, **unit_options(unit.controls, numbers))


def _example() -> tuple[Any, ...]:
    row = condition(FIRST[0])
    picture = example_image(row)
    values = [value for id in FIRST[:EXAMPLE] for value in (id, picture, *_makers(id))]
    return (*values, row.example_prompt)
