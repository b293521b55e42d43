"""Several conditions at once: each unit with its own picture, strength and range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from annotators.base import Image
from cnet_app.annotate import build_unit
from cnet_app.availability import default_annotator
from cnet_app.conditions import CONDITIONS, condition
from cnet_app.errors import InputError
from cnet_app.requests import ControlUnit, GenerationRequest
from cnet_app.ui.annotator_form import DRAWING, OWN_MAP, choices, note_html
from cnet_app.ui.controls import photo_input, read_photo
from cnet_app.ui.desk import FOLLOWING, HIDDEN, Desk, build_order, start
from cnet_app.ui.errors import attempt, toast
from cnet_app.ui.examples import example_image
from cnet_app.ui.generation_form import (
    build_strength,
    build_unit_controls,
    checked_size,
    controlnet_choices,
    unit_options,
)
from cnet_app.ui.mends import Mended, annotate_mended, build_mends, connect_mends, mend_choices
from cnet_app.ui.progress import error_html
from cnet_app.ui.studio import Studio, connect

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
    mends: gr.CheckboxGroup
    controls: dict[str, Any]
    control_image: gr.Image
    note: gr.HTML

    @property
    def components(self) -> list[Any]:
        """In the order `read_unit` wants their values."""
        return [self.condition, self.photo, self.annotator, self.mends, *self.controls.values()]


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

    filled = [component for unit in units[:EXAMPLE] for component in (unit.condition, unit.photo, unit.annotator)]
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
            annotator = gr.Dropdown(
                _choices(id), value=default_annotator(id), label="Map made by", elem_id=f"{name}-annotator", min_width=140
            )  # fmt: skip
        with gr.Row(equal_height=True, elem_classes="pair"):
            photo = photo_input("Photo", elem_id=f"{name}-photo", height=200, min_width=120)
            control_image = gr.Image(
                label="Map", format="png", interactive=False, buttons=[], height=200, elem_id=f"{name}-map", min_width=120
            )  # fmt: skip
        note = gr.HTML(note_html(default_annotator(id)), elem_classes="note", padding=False)
        mends = build_mends(name)
        controls = build_strength(name)
        with gr.Accordion("When, where and how it steers", open=False, elem_id=f"{name}-fine"):
            controls |= build_unit_controls(name, id)
    return UnitForm(kind, photo, annotator, mends, controls, control_image, note)


def _connect_unit(unit: UnitForm, desk: Desk, remap: list[Any]) -> None:
    """`remap` are the events after which the map may need another size."""

    def other_condition(id: str) -> Any:
        return gr.Dropdown(_choices(id), value=default_annotator(id)), gr.Dropdown(controlnet_choices(id), value="")

    def show_map(
        id: str, path: str | None, annotator: str, asked: list[str], width: int, height: int
    ) -> Iterator[tuple[Any, ...]]:
        known = [chosen for _, chosen in _choices(id)]
        if not path or annotator not in known:  # the annotator follows its condition a moment later
            yield None, note_html(annotator), mend_choices(None)
            return
        mended, fault = attempt(lambda: _annotate(id, path, annotator, asked, width, height))
        if mended:
            note = " ".join([note_html(annotator), *mended.made.warnings])
            yield mended.made.pixels, note, mend_choices(mended)
            return
        yield None, error_html(fault), mend_choices(None)
        raise toast(fault)

    changed = [unit.annotator, unit.controls["controlnet"]]
    connect_mends(unit.mends, unit.annotator)
    unit.condition.input(other_condition, unit.condition, changed, queue=False, **HIDDEN)
    source = [unit.condition, unit.photo, unit.annotator]
    triggers = [*(component.change for component in source), unit.mends.input, *remap]
    shown = [unit.control_image, unit.note, unit.mends]
    gr.on(triggers, show_map, [*source, unit.mends, *desk.size], shown, **FOLLOWING)


def _choices(id: str) -> list[tuple[str, str]]:
    return [choice for choice in choices(condition(id)) if choice[1] != DRAWING]


def _annotate(id: str, path: str, annotator: str, asked: list[str], width: int, height: int) -> Mended:
    made_by = None if annotator == OWN_MAP else annotator
    return annotate_mended(id, made_by, read_photo(path), None, checked_size(width, height), asked)


def _read_unit(unit: UnitForm, values: tuple[Any, ...], settings: dict[str, Any]) -> ControlUnit:
    id, path, annotator, asked, *numbers = values
    mended = _annotate(id, path, annotator, asked, settings["width"], settings["height"])
    return build_unit(id, mended.made, **unit_options(unit.controls, numbers))


def _example() -> tuple[str | Image, ...]:
    row = condition(FIRST[0])
    picture = example_image(row)
    values = [value for id in FIRST[:EXAMPLE] for value in (id, picture, default_annotator(id))]
    return (*values, row.example_prompt)
