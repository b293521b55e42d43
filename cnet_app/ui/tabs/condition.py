"""One condition: photo, drawing or pose → map, shown at once → pictures."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from annotators.base import Image
from annotators.control_map import DataAnnotator, MapData
from annotators.registry import annotator
from cnet_app.maps.annotate import build_unit
from cnet_app.maps.availability import missing_weights
from cnet_app.registry.conditions import Condition
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.sizes import size_of
from cnet_app.ui.desk import build_order, start
from cnet_app.ui.errors import attempt
from cnet_app.ui.examples import example_image
from cnet_app.ui.forms.annotator import AnnotatorForm, first_choice
from cnet_app.ui.forms.repairs import build_repairs, connect_repairs, repair_choices
from cnet_app.ui.gradio_seams import FOLLOWING, HIDDEN, Component, Skip, Updates, Values, cache_file, listen
from cnet_app.ui.maps import MadeMap, MapOrder, make_map
from cnet_app.ui.page import Page, connect_generate
from cnet_app.ui.progress import error_html
from cnet_app.ui.sources import kinds_for
from cnet_app.ui.sources.drawing import DrawingSource
from cnet_app.ui.sources.paint import PaintSource
from cnet_app.ui.sources.source import Place, Source
from models.catalog import TITLES
from models.errors import InputError


class ConditionTab:
    """Components of one tab and what joins them. Everything is built in `__init__`, inside the open gr.Tab `tab`."""

    def __init__(self, page: Page, row: Condition, tab: gr.Tab) -> None:
        self._page, self._row, self._tab = page, row, tab
        with gr.Row(equal_height=True, elem_classes="lead-row"):
            gr.HTML(f"<p>{row.help}{_needs(row)}</p>", elem_classes="lead", padding=False)
            example = gr.Button("Try the example", size="sm", scale=0, min_width=150, elem_id=f"{row.id}-example")
        self.sources: dict[str, Source] = {}
        """Inputs by id."""
        self._build_sources("above")
        with gr.Row(equal_height=True, elem_classes="pair"):
            self._build_sources("pair")
            self.control_image = gr.Image(
                label="Map", format="png", interactive=False, buttons=["download", "fullscreen"],
                height=300, min_width=150, elem_id=f"{row.id}-map",
            )  # fmt: skip
        self.map_note = gr.HTML("", elem_id=f"{row.id}-map-note", elem_classes="note", padding=False)
        self.repairs = build_repairs(row.id)
        finds = any(issubclass(annotator(id), DataAnnotator) for id in row.annotators)
        self.data = _build_data(row) if finds else None
        self._build_sources("below")
        with gr.Column(elem_classes="making"):
            others = {id: (source.choice, source.note) for id, source in self.sources.items() if source.choice}
            first = DrawingSource.id if DrawingSource.id in others else first_choice(row, page.maps.faults)
            self.preprocessor = AnnotatorForm(row, first, others, page.maps.faults)
        self.go, self.remap = build_order(row.id, "go"), build_order(row.id, "remap")
        self._connect_map()
        self._connect_sources()
        self._connect_example(example)
        inputs = self._inputs | page.desk.unit.components | page.desk.form.components
        inputs |= page.models.components | page.start.components
        connect_generate(page, page.desk.output, [self.go.click], inputs, self._request, page.desk.form.seed)

    def _build_sources(self, place: Place) -> None:
        for kind in kinds_for(self._row):
            if kind.place == place:
                self.sources[kind.id] = kind(self._row.id)

    @property
    def main(self) -> Source:
        """The input that the preprocessors read."""
        return next(source for source in self.sources.values() if not source.choice)

    @property
    def paint(self) -> PaintSource | None:
        """The tab's own picture to start from, where the condition is masked."""
        return next((source for source in self.sources.values() if isinstance(source, PaintSource)), None)

    def opened_with(self, picture: Image | str, annotator_id: str) -> Updates:
        """Return what puts a picture and an annotator into the tab."""
        return {**self.main.filled(picture), self.preprocessor.choice: annotator_id}

    @property
    def _inputs(self) -> set[Component]:
        """Components that the map depends on."""
        sources = (component for source in self.sources.values() for component in source.components)
        return {*sources, self.repairs, *self.preprocessor.components, *self._page.desk.sized_by}

    @property
    def _shown(self) -> list[Component]:
        """Components that a new map changes."""
        return [self.control_image, self.map_note, self.repairs, *([self.data] if self.data else [])]

    def _connect_map(self) -> None:
        changes = [component.change for component in self.preprocessor.components]
        triggers = [*changes, *self.main.changes, self.remap.click, self._tab.select]
        listen(triggers, self._show_map, self._inputs, self._shown, **FOLLOWING)
        consent = self._page.consent
        self.preprocessor.choice.input(
            self._ask_download, self.preprocessor.components, [*consent.components], queue=False, **HIDDEN
        )
        ticked = connect_repairs(self.repairs, self.preprocessor.choice)
        ticked.then(self._show_map, self._inputs, self._shown, **FOLLOWING)

    def _ask_download(self, values: Values) -> Updates | Skip:
        """An annotator was chosen whose files are not here."""
        chosen, _ = self.preprocessor.read(values)
        missing = missing_weights(chosen) if chosen else []
        return self._page.consent.ask(missing, self.remap.elem_id or "") or gr.skip()

    def _connect_sources(self) -> None:
        """An input that is given is the one that counts."""
        choice = self.preprocessor.choice
        for source in self.sources.values():
            if source.choice:
                listen(source.changes, self._taking(source), self._inputs, [*self._shown, choice], **FOLLOWING)
            elif len(self.sources) > 1:
                listen(source.changes, self._leave_others, self._inputs, [choice], queue=False, **HIDDEN)

    def _taking(self, source: Source) -> Callable[[Values], Iterator[Updates]]:
        """Return the handler of a drawing or a pose that was just given: whatever the map came from before, now it is this."""
        choice = self.preprocessor.choice

        def show(values: Values) -> Iterator[Updates]:
            for updates in self._show_map({**values, choice: source.id, self.repairs: []}):
                yield updates | ({} if values[choice] == source.id else {choice: source.id})

        return show

    def _leave_others(self, values: Values) -> Any:
        """A photo was given while a drawing or a pose made the map."""
        chosen = values[self.preprocessor.choice]
        taken = chosen in self.sources and not self.main.is_empty(values)
        return {self.preprocessor.choice: self._first_choice()} if taken else gr.skip()

    def _first_choice(self) -> str:
        return first_choice(self._row, self._page.maps.faults)

    def _connect_example(self, example: gr.Button) -> None:
        desk, choice = self._page.desk, self.preprocessor.choice
        filled = [*self.main.filled_parts, choice, desk.prompt]
        filling = example.click(self._example, set(), filled, **HIDDEN)
        if self.paint:  # an image editor that is filled has no event of its own
            filling = filling.success(self._show_map, self._inputs, self._shown, **FOLLOWING)
        if "embedded" in self._row.controlnets:  # which base there is, or none, is not known yet
            filling.success(None, None, None, js=start(self._row.id), **HIDDEN)

    def _example(self, _: Values) -> Updates:
        picture, desk = example_image(self._row), self._page.desk
        words = {self.preprocessor.choice: self._first_choice(), desk.prompt: self._row.example_prompt}
        return {**self.main.example(picture), **words}

    def _source(self, values: Values) -> Source:
        """Return the input that makes the map: the one that is chosen in place of a preprocessor, else the photo."""
        return self.sources.get(values[self.preprocessor.choice], self.main)

    def _make(self, values: Values) -> tuple[MadeMap, MapOrder]:
        chosen, given = self.preprocessor.read(values)
        source = self._source(values).read(values)
        frame = self._page.desk.form.frame(values, source)
        order = MapOrder(self._row.id, chosen, source, frame, given, values[self.repairs])
        return make_map(self._page.maps, order), order

    def _request(self, values: Values) -> GenerationRequest:
        desk, page = self._page.desk, self._page
        made, order = self._make(values)
        options = page.models.options(values, "" if values[page.models["base"]] else page.base()[0])
        started = (self.paint or page.start).start(values, order.frame)
        if self.paint and not started.get("inpaint_mask"):
            raise InputError(f"{self._row.title} needs a mask: paint over what to repaint, or give a mask image.")
        unit = build_unit(self._row.id, made.made, **desk.unit.options(values, order.frame))
        return GenerationRequest(units=(unit,), **options, **started, **desk.form.options(values, order.frame))

    def _show_map(self, values: Values) -> Iterator[Updates]:
        nothing: Updates = {self.control_image: None, self.map_note: "", self.repairs: repair_choices(None)}
        if self.data:
            nothing[self.data] = gr.DownloadButton(visible=False)
        if self._source(values).is_empty(values):  # an empty form is no mistake
            yield nothing
            return
        if not self.preprocessor.is_settled(values):
            return
        result, fault = attempt(lambda: self._make(values))
        if result is None:
            yield nothing | {self.map_note: error_html(fault)}
            return
        made, order = result
        note = " ".join(
            [html.escape(order.frame.text(size_of(order.source), self._source(values).noun)), *made.made.warnings]
        )
        yield nothing | {
            self.control_image: made.made.pixels,
            self.map_note: note,
            self.repairs: repair_choices(made),
            **self._download(made.made.data),
        }

    def _download(self, data: MapData | None) -> Updates:
        """Return the button that hands out people or classes as a file, where there are any."""
        if self.data is None or data is None:
            return {}
        path = cache_file(json.dumps(data.to_json()).encode(), f"{self._row.id}.json", self.data)
        return {self.data: gr.DownloadButton(value=path, visible=True)}


def _build_data(row: Condition) -> gr.DownloadButton:
    title = "Save pose (JSON)" if row.kind.id == "pose" else "Save classes (JSON)"
    return gr.DownloadButton(title, size="sm", visible=False, elem_id=f"{row.id}-data")


def _needs(row: Condition) -> str:
    """Return for which bases there is a ControlNet of this kind, where the embedded model has none."""
    if "embedded" in row.controlnets:
        return ""
    return f" Needs {' or '.join(title for family, title in TITLES.items() if family in row.controlnets)} as the base model."


def build_condition_tab(page: Page, row: Condition) -> ConditionTab:
    """Build a tab of the open gr.Tabs."""
    with gr.Tab(row.title, id=row.id, elem_id=f"{row.id}-tab") as tab:
        built = ConditionTab(page, row, tab)
    page.desk.follow(tab, page.models["base"], page.known_base, row)
    for source in built.sources.values():
        if isinstance(source, DrawingSource):
            tab.select(None, None, None, js=source.when_opened)
    return built
