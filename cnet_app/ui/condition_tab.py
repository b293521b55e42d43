"""One condition: photo or drawing → map, seen at once → pictures."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from annotators.base import Image
from annotators.control_map import ControlMap
from annotators.images import load_image
from annotators.recognise import Mend
from cnet_app.annotate import annotate, build_unit
from cnet_app.conditions import Condition
from cnet_app.requests import GenerationRequest
from cnet_app.ui.annotator_form import DRAWING, OWN_MAP, AnnotatorForm, build_annotator_form
from cnet_app.ui.canvas import build_canvas, read_drawing, when_opened
from cnet_app.ui.controls import photo_input, read_photo
from cnet_app.ui.desk import HIDDEN, build_go
from cnet_app.ui.errors import attempt, toast
from cnet_app.ui.examples import example_image
from cnet_app.ui.generation_form import build_controlnet, checked_size, unit_options
from cnet_app.ui.progress import error_html
from cnet_app.ui.studio import Studio, connect
from models.catalog import TITLES

FOLLOWING: dict[str, Any] = HIDDEN | {
    "trigger_mode": "always_last",
    "concurrency_id": "annotate",
    "concurrency_limit": 1,
}
"""What follows every change, however quick they come: the last one counts."""
AS_IT_IS = "as_it_is"
"""The mend that is a choice: no annotator."""


class ConditionTab:
    """Components of one tab and what joins them. Everything is built in `__init__`, inside the open gr.Tab."""

    def __init__(self, studio: Studio, row: Condition) -> None:
        self._studio, self._row = studio, row
        with gr.Row(equal_height=True, elem_classes="lead-row"):
            gr.HTML(f"<p>{row.help}{_needs(row)}</p>", elem_classes="lead", padding=False)
            example = gr.Button("Try the example", size="sm", scale=0, min_width=150, elem_id=f"{row.id}-example")
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
        self.mends = gr.CheckboxGroup([], show_label=False, container=False, visible=False, elem_id=f"{row.id}-mends")
        self.data = gr.DownloadButton(
            "What was found, as JSON", size="sm", visible=False, elem_id=f"{row.id}-data"
        )  # fmt: skip
        self.annotator: AnnotatorForm = build_annotator_form(row)
        self.unit = studio.desk.unit | build_controlnet(row.id, row.id)
        self.go = build_go(row.id)
        self._connect(example)

    @property
    def _sources(self) -> list[Any]:
        """In the order `_annotate` wants their values."""
        return [self.photo, *([self.canvas] if self.canvas else []), self.mends, *self.annotator.components]

    def _connect(self, example: gr.Button) -> None:
        desk, choice = self._studio.desk, self.annotator.choice
        map_inputs = [*self._sources, *desk.size]
        quiet = (self.canvas, self.mends)
        triggers = [component.change for component in map_inputs if component not in quiet] + [self.mends.input]
        shown = [self.control_image, self.map_note, self.mends, self.data]
        gr.on(triggers, self._show_map, map_inputs, shown, **FOLLOWING)
        self.mends.input(_choose_own_map, [self.mends, choice], choice, queue=False, **HIDDEN)
        if self.canvas and self.drawn:
            self.photo.upload(lambda: self.annotator.default, None, choice, queue=False, **HIDDEN)
            self.drawn.click(self._show_drawing, [self.canvas, choice, *desk.size], [*shown, choice], **FOLLOWING)
        fill = example.click(self._example, None, [self.photo, choice, desk.prompt], **HIDDEN)
        connect(
            self._studio, desk.output, [self.go.click, fill.success],
            [*self._sources, *self.unit.values(), *desk.form.components], self._request,
        )  # fmt: skip

    def _example(self) -> tuple[Image, str, str]:
        return example_image(self._row), self.annotator.default, self._row.example_prompt

    def _request(self, common: dict[str, Any], *values: Any) -> GenerationRequest:
        count, form = len(self._sources), self._studio.desk.form
        source, unit, rest = values[:count], values[count : count + len(self.unit)], values[count + len(self.unit) :]
        settings = dict(zip(form.fields, rest, strict=True))
        made, _ = self._annotate(source, settings["width"], settings["height"], common.get("initial_image"))
        return form.request(rest, common, [build_unit(self._row.id, made, **unit_options(self.unit, unit))])

    def _show_map(self, *values: Any) -> Iterator[tuple[Any, ...]]:
        *source, width, height = values
        nothing = gr.CheckboxGroup(choices=[], value=[], visible=False), gr.DownloadButton(visible=False)
        if not self._has_picture(source):  # an empty form is no mistake
            yield None, "", *nothing
            return
        annotated, fault = attempt(lambda: self._annotate(source, width, height))
        if annotated:
            made, offered = annotated
            asked = [mend.id for mend in offered if mend.done in made.warnings]
            choices = gr.CheckboxGroup(
                choices=[(mend.title, mend.id) for mend in offered], value=asked, visible=bool(offered)
            )
            yield made.pixels, " ".join(made.warnings), choices, _download(self._row.id, made)
            return
        yield None, error_html(fault), *nothing
        raise toast(fault)

    def _show_drawing(self, drawing: Any, chosen: str, width: int, height: int) -> Iterator[tuple[Any, ...]]:
        """A stroke was made: whatever the map came from before, now it is the drawing."""
        blank = [None] * (len(self.annotator.components) - 1)
        for shown in self._show_map(None, drawing, [], DRAWING, *blank, width, height):
            yield *shown, gr.skip() if chosen == DRAWING else DRAWING

    def _has_picture(self, source: Sequence[Any]) -> bool:
        photo, *rest = source
        return bool(rest[0]) if self.canvas and rest[2] == DRAWING else bool(photo)

    def _annotate(
        self, source: Sequence[Any], width: int, height: int, started: bytes | None = None
    ) -> tuple[ControlMap, tuple[Mend, ...]]:
        """The map of what the form shows, or where it has to be that of the picture to start from; and what it offers to mend."""
        photo, *rest = source
        drawing = rest.pop(0) if self.canvas else None
        asked, *rest = rest
        annotator, parameters = self.annotator.read(rest)
        if self._row.masked and started:
            image = load_image(started)
        else:
            image = read_drawing(drawing) if rest[0] == DRAWING else read_photo(photo)
        size = checked_size(width, height)
        made = annotate(self._row.id, annotator, image, parameters or None, *size)
        # What was asked of another picture before does not touch this one.
        mends = [mend.id for mend in made.mends if mend.id in (asked or ()) and mend.id != AS_IT_IS]
        return (annotate(self._row.id, annotator, image, None, *size, mends=mends) if mends else made), made.mends


def _choose_own_map(asked: list[str], chosen: str) -> Any:
    """A map that was taken for a photo: no annotator is what mends it."""
    return OWN_MAP if AS_IT_IS in asked and chosen != OWN_MAP else gr.skip()


def _download(name: str, made: ControlMap) -> Any:
    """A button with the people or classes of a map as a file, where it was drawn from such."""
    if made.data is None:
        return gr.DownloadButton(visible=False)
    path = Path(tempfile.mkdtemp(prefix="controlnet-studio-")) / f"{name}.json"
    path.write_text(json.dumps(made.data.to_json()), encoding="utf-8")
    return gr.DownloadButton(value=str(path), visible=True)


def _needs(row: Condition) -> str:
    """For which bases there is no ControlNet of this kind, said before it is missed."""
    if "embedded" in row.controlnets:
        return ""
    return f" Needs {' or '.join(title for family, title in TITLES.items() if family in row.controlnets)} as the base model."


def build_condition_tab(studio: Studio, row: Condition) -> ConditionTab:
    """A tab of the open gr.Tabs."""
    with gr.Tab(row.title, id=row.id, elem_id=f"{row.id}-tab") as tab:
        built = ConditionTab(studio, row)
    studio.desk.follow(tab, row.example_prompt)
    if built.canvas:
        tab.select(None, None, None, js=when_opened(f"{row.id}-canvas"))
    return built
