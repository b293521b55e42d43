"""One condition: photo or drawing → map, seen at once → pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.processing_utils import save_bytes_to_cache

from annotators.base import Image
from annotators.control_map import DataAnnotator, MapData
from annotators.images import load_image
from annotators.poses import load_pose
from annotators.registry import annotator
from cnet_app.maps.annotate import annotate, build_unit
from cnet_app.registry.conditions import Condition
from cnet_app.request.generation import GenerationRequest
from cnet_app.ui.annotator_form import DRAWING, OWN_MAP, AnnotatorForm, build_annotator_form
from cnet_app.ui.canvas import build_canvas, is_drawn, read_drawing, when_opened
from cnet_app.ui.controls import photo_input, read_photo
from cnet_app.ui.desk import FOLLOWING, HIDDEN, build_order, start
from cnet_app.ui.errors import attempt, tell, toast
from cnet_app.ui.examples import example_image
from cnet_app.ui.generation_form import checked_size, unit_options
from cnet_app.ui.progress import error_html
from cnet_app.ui.repairs import Repaired, annotate_repaired, build_repairs, connect_repairs, repair_choices
from cnet_app.ui.studio import Studio, connect
from models.catalog import TITLES
from models.errors import InputError


class ConditionTab:
    """Components of one tab and what joins them. Everything is built in `__init__`, inside the open gr.Tab `tab`."""

    def __init__(self, studio: Studio, row: Condition, tab: gr.Tab) -> None:
        self._studio, self._row, self._tab = studio, row, tab
        with gr.Row(equal_height=True, elem_classes="lead-row"):
            gr.HTML(f"<p>{row.help}{_needs(row)}</p>", elem_classes="lead", padding=False)
            example = gr.Button("Try the example", size="sm", scale=0, min_width=150, elem_id=f"{row.id}-example")
        self.canvas, self.drawn = build_canvas(f"{row.id}-canvas") if row.canvas else (None, None)
        with gr.Row(equal_height=True, elem_classes="pair"):
            self.photo = photo_input("Photo", elem_id=f"{row.id}-photo", height=300, min_width=150)
            self.control_image = gr.Image(
                label="Map", format="png", interactive=False, buttons=["download", "fullscreen"],
                height=300, min_width=150, elem_id=f"{row.id}-map",
            )  # fmt: skip
        self.map_note = gr.HTML("", elem_id=f"{row.id}-map-note", elem_classes="note", padding=False)
        self.repairs = build_repairs(row.id)
        finds = any(issubclass(annotator(id), DataAnnotator) for id in row.annotators)
        self.data = (
            gr.DownloadButton("What was found, as JSON", size="sm", visible=False, elem_id=f"{row.id}-data")
            if finds
            else None
        )
        self.people = (
            gr.UploadButton("People from OpenPose's JSON", size="sm", file_types=[".json"], elem_id=f"{row.id}-people")
            if row.kind.id == "pose"
            else None
        )
        with gr.Column(elem_classes="making"):
            self.annotator: AnnotatorForm = build_annotator_form(row)
        self.go, self.remap = build_order(row.id, "go"), build_order(row.id, "remap")
        self._connect(example)

    @property
    def _sources(self) -> list[Any]:
        """In the order `_annotate` wants their values."""
        return [self.photo, *([self.canvas] if self.canvas else []), self.repairs, *self.annotator.components]

    def _connect(self, example: gr.Button) -> None:
        desk, choice = self._studio.desk, self.annotator.choice
        quiet = (self.canvas, self.repairs)
        triggers = [component.change for component in self._sources if component not in quiet]
        triggers += [self.remap.click, self._tab.select]
        shown = [self.control_image, self.map_note, self.repairs, *([self.data] if self.data else [])]
        gr.on(triggers, self._show_map, [*self._sources, *desk.size], shown, **FOLLOWING)
        ticked = connect_repairs(self.repairs, choice)
        ticked.then(self._show_map, [*self._sources, *desk.size], shown, **FOLLOWING)
        if self.people:
            self.people.upload(self._draw_people, [self.people, *desk.size], [self.photo, choice], **HIDDEN)
        if self.canvas and self.drawn:
            self.photo.upload(lambda: self.annotator.default, None, choice, queue=False, **HIDDEN)
            self.drawn.click(self._show_drawing, [self.canvas, choice, *desk.size], [*shown, choice], **FOLLOWING)
        panel = self._studio.panel.fields
        begun = [panel["picture"], panel["inpaint_mask"]] if self._row.masked else []
        filling = example.click(self._example, None, [self.photo, choice, desk.prompt, *begun], **HIDDEN)
        if "embedded" in self._row.controlnets:  # which base there is, or none, is known too late to say more here
            filling.success(None, None, None, js=start(self._row.id), **HIDDEN)
        inputs = [*self._sources, *desk.unit.values(), *desk.form.components]
        connect(self._studio, desk.output, [self.go.click], inputs, self._request)

    def _example(self) -> tuple[Any, ...]:
        picture = example_image(self._row)
        filled = picture, self.annotator.default, self._row.example_prompt
        if not self._row.masked:
            return filled
        mask = np.zeros_like(picture)
        height, width = picture.shape[:2]
        mask[height // 4 : -height // 4, width // 4 : -width // 4] = 255
        return *filled, {"background": picture, "layers": [], "composite": None}, mask

    def _request(self, common: dict[str, Any], *values: Any) -> GenerationRequest:
        if self._row.masked and not common.get("inpaint_mask"):
            raise InputError(
                f"{self._row.title} needs a picture with a mask: open “Start from a picture” above, choose one and paint "
                "what is to be made anew."
            )
        count, form, controls = len(self._sources), self._studio.desk.form, self._studio.desk.unit
        source, unit, rest = values[:count], values[count : count + len(controls)], values[count + len(controls) :]
        settings = dict(zip(form.fields, rest, strict=True))
        repaired = self._annotate(source, settings["width"], settings["height"], common.get("initial_image"))
        return form.request(rest, common, [build_unit(self._row.id, repaired.made, **unit_options(controls, unit))])

    def _show_map(self, *values: Any) -> Iterator[tuple[Any, ...]]:
        *source, width, height = values
        nothing = repair_choices(None), *self._download(None)
        if not self._has_picture(source):  # an empty form is no mistake
            yield None, "", *nothing
            return
        repaired, fault = attempt(lambda: self._annotate(source, width, height))
        if repaired:
            made = repaired.made
            yield made.pixels, " ".join(made.warnings), repair_choices(repaired), *self._download(made.data)
            return
        yield None, error_html(fault), *nothing
        tell(fault)

    def _show_drawing(self, drawing: Any, chosen: str, width: int, height: int) -> Iterator[tuple[Any, ...]]:
        """A stroke was made: whatever the map came from before, now it is the drawing."""
        blank = [None] * (len(self.annotator.components) - 1)
        for shown in self._show_map(None, drawing, [], DRAWING, *blank, width, height):
            yield *shown, gr.skip() if chosen == DRAWING else DRAWING

    def _draw_people(self, path: str, width: int, height: int) -> tuple[Image, str]:
        """People out of a file become a map of one's own."""
        drawn, fault = attempt(
            lambda: annotate(self._row.id, None, load_pose(Path(path)), None, *checked_size(width, height)).pixels
        )
        if drawn is None:
            raise toast(fault)
        return drawn, OWN_MAP

    def _download(self, data: MapData | None) -> list[Any]:
        """For the button that hands out people or classes as a file, where the tab has one."""
        if self.data is None:
            return []
        if data is None:
            return [gr.DownloadButton(visible=False)]
        content = json.dumps(data.to_json()).encode()
        path = save_bytes_to_cache(content, f"{self._row.id}.json", self.data.GRADIO_CACHE)
        return [gr.DownloadButton(value=path, visible=True)]

    def _has_picture(self, source: Sequence[Any]) -> bool:
        photo, *rest = source
        return is_drawn(rest[0]) if self.canvas and rest[2] == DRAWING else bool(photo)

    def _annotate(self, source: Sequence[Any], width: int, height: int, started: bytes | None = None) -> Repaired:
        """The map of what the form shows, or where it has to be that of the picture to start from."""
        photo, *rest = source
        drawing = rest.pop(0) if self.canvas else None
        asked, *rest = rest
        chosen, parameters = self.annotator.read(rest)
        if self._row.masked and started:
            image = load_image(started)
        else:
            image = read_drawing(drawing) if rest[0] == DRAWING else read_photo(photo)
        return annotate_repaired(self._row.id, chosen, image, parameters, checked_size(width, height), asked)


def _needs(row: Condition) -> str:
    """For which bases there is no ControlNet of this kind, said before it is missed."""
    if "embedded" in row.controlnets:
        return ""
    return f" Needs {' or '.join(title for family, title in TITLES.items() if family in row.controlnets)} as the base model."


def build_condition_tab(studio: Studio, row: Condition) -> ConditionTab:
    """A tab of the open gr.Tabs."""
    with gr.Tab(row.title, id=row.id, elem_id=f"{row.id}-tab") as tab:
        built = ConditionTab(studio, row, tab)
    studio.desk.follow(tab, row)
    if built.canvas:
        tab.select(None, None, None, js=when_opened(f"{row.id}-canvas"))
    return built
