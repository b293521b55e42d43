"""One condition: photo or drawing → map, seen at once → pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from annotators.base import Image
from annotators.control_map import ControlMap
from annotators.images import load_image
from cnet_app.annotate import annotate, build_unit
from cnet_app.conditions import Condition
from cnet_app.requests import GenerationRequest
from cnet_app.ui.annotator_form import DRAWING, AnnotatorForm, build_annotator_form
from cnet_app.ui.canvas import build_canvas, read_drawing, when_opened
from cnet_app.ui.controls import photo_input, read_photo
from cnet_app.ui.errors import attempt, toast
from cnet_app.ui.examples import example_image
from cnet_app.ui.generation_form import (
    GenerationForm,
    build_prompt,
    build_settings,
    build_unit_controls,
    checked_size,
    unit_options,
)
from cnet_app.ui.progress import error_html
from cnet_app.ui.studio import Output, Studio, build_buttons, build_output, connect
from models.catalog import TITLES

HIDDEN: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
FOLLOWING: dict[str, Any] = HIDDEN | {
    "trigger_mode": "always_last",
    "concurrency_id": "annotate",
    "concurrency_limit": 1,
}
"""What follows every change, however quick they come: the last one counts."""


class ConditionTab:
    """Components of one tab and what joins them. Everything is built in `__init__`, inside the open gr.Tab."""

    def __init__(self, studio: Studio, row: Condition) -> None:
        self._studio, self._row = studio, row
        with gr.Row(elem_classes="desk"):
            with gr.Column(scale=6, min_width=320, elem_classes="inputs"):
                with gr.Row(equal_height=True, elem_classes="lead-row"):
                    gr.HTML(f"<p>{row.help}{_needs(row)}</p>", elem_classes="lead", padding=False)
                    example = gr.Button(
                        "Try the example", size="sm", scale=0, min_width=150, elem_id=f"{row.id}-example"
                    )
                self.canvas, self.drawn = build_canvas(f"{row.id}-canvas") if row.canvas else (None, None)
                with gr.Row(equal_height=True, elem_classes="pair"):
                    with gr.Column(min_width=150):
                        self.photo = photo_input("Photo", elem_id=f"{row.id}-photo", height=300)
                    with gr.Column(min_width=150):
                        self.control_image = gr.Image(
                            label="Map", format="png", interactive=False, buttons=["download", "fullscreen"],
                            height=300, elem_id=f"{row.id}-map",
                        )  # fmt: skip
                self.map_note = gr.HTML("", elem_id=f"{row.id}-map-note", elem_classes="note", padding=False)
                self.annotator: AnnotatorForm = build_annotator_form(row)
                self.unit = build_unit_controls(row.id, row.id)
                settings = build_settings(row.id, studio.first_defaults)
            with gr.Column(scale=5, min_width=320, elem_classes="outputs"):
                prompt = build_prompt(row.id, f"For example: {row.example_prompt}")
                buttons = build_buttons(row.id)
                self.output: Output = build_output(row.id, buttons)
        self.form = GenerationForm(prompt | settings)
        self._connect(example)

    def _connect(self, example: gr.Button) -> None:
        size = [self.form.fields["width"], self.form.fields["height"]]
        source = [self.photo, *([self.canvas] if self.canvas else []), *self.annotator.components]
        map_inputs = [*source, *size]
        triggers = [component.change for component in map_inputs if component is not self.canvas]
        shown = [self.control_image, self.map_note]
        gr.on(triggers, self._show_map, map_inputs, shown, **FOLLOWING)
        if self.canvas and self.drawn:
            choice = self.annotator.choice
            self.photo.upload(lambda: self.annotator.default, None, choice, queue=False, **HIDDEN)
            self.drawn.click(self._show_drawing, [self.canvas, choice, *size], [*shown, choice], **FOLLOWING)
        fill = example.click(
            self._example, None, [self.photo, self.annotator.choice, self.form.fields["prompt"]], **HIDDEN
        )
        connect(
            self._studio, self.output, [self.output.generate.click, self.form.fields["prompt"].submit, fill.success],
            [*source, *self.unit.values(), *self.form.components], self._request,
        )  # fmt: skip

    def _example(self) -> tuple[Image, str, str]:
        return example_image(self._row), self.annotator.default, self._row.example_prompt

    def _request(self, common: dict[str, Any], *values: Any) -> GenerationRequest:
        count = 1 + bool(self.canvas) + len(self.annotator.components)
        source, unit, form = values[:count], values[count : count + len(self.unit)], values[count + len(self.unit) :]
        settings = dict(zip(self.form.fields, form, strict=True))
        annotated = self._annotate(source, settings["width"], settings["height"], common.get("initial_image"))
        return self.form.request(form, common, [build_unit(self._row.id, annotated, **unit_options(self.unit, unit))])

    def _show_map(self, *values: Any) -> Iterator[tuple[Any, str]]:
        *source, width, height = values
        if not self._has_picture(source):  # an empty form is no mistake
            yield None, ""
            return
        annotated, fault = attempt(lambda: self._annotate(source, width, height))
        if annotated:
            yield annotated.pixels, " ".join(annotated.warnings)
            return
        yield None, error_html(fault)
        raise toast(fault)

    def _show_drawing(self, drawing: Any, chosen: str, width: int, height: int) -> Iterator[tuple[Any, str, Any]]:
        """A stroke was made: whatever the map came from before, now it is the drawing."""
        blank = [None] * (len(self.annotator.components) - 1)
        for control_image, note in self._show_map(None, drawing, DRAWING, *blank, width, height):
            yield control_image, note, gr.skip() if chosen == DRAWING else DRAWING

    def _has_picture(self, source: Sequence[Any]) -> bool:
        photo, *rest = source
        return bool(rest[0]) if self.canvas and rest[1] == DRAWING else bool(photo)

    def _annotate(self, source: Sequence[Any], width: int, height: int, started: bytes | None = None) -> ControlMap:
        """The map of what the form shows, or where it has to be that of the picture to start from."""
        photo, *rest = source
        drawing = rest.pop(0) if self.canvas else None
        annotator, parameters = self.annotator.read(rest)
        drawn = rest[0] == DRAWING
        if self._row.masked and started:
            image = load_image(started)
        else:
            image = read_drawing(drawing) if drawn else read_photo(photo)
        return annotate(self._row.id, annotator, image, parameters or None, *checked_size(width, height))


def _needs(row: Condition) -> str:
    """For which bases there is no ControlNet of this kind, said before it is missed."""
    if "embedded" in row.controlnets:
        return ""
    return f" Needs {' or '.join(title for family, title in TITLES.items() if family in row.controlnets)} as the base model."


def build_condition_tab(studio: Studio, row: Condition) -> ConditionTab:
    """A tab of the open gr.Tabs."""
    with gr.Tab(row.title, id=row.id, elem_id=f"{row.id}-tab") as tab:
        built = ConditionTab(studio, row)
    if built.canvas:
        tab.select(None, None, None, js=when_opened(f"{row.id}-canvas"))
    return built
