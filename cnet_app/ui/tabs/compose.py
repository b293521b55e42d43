"""Several conditions at once: each unit with its own picture, strength and range."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from annotators.base import Image, parameters
from annotators.registry import annotator, parse_values, typed
from cnet_app.maps.annotate import Maps, build_unit
from cnet_app.maps.availability import default_annotator, missing_weights
from cnet_app.registry.conditions import CONDITIONS, condition
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.limits import MAX_NAME
from cnet_app.request.sizes import size_of
from cnet_app.request.units import ControlUnit
from cnet_app.ui.bases import controlnet_choices, family_of, still_offered
from cnet_app.ui.desk import COMPOSE, build_order, start
from cnet_app.ui.errors import attempt
from cnet_app.ui.examples import example_image
from cnet_app.ui.forms.annotator import OWN_MAP, PREPROCESSOR, choices, note_html
from cnet_app.ui.forms.repairs import build_repairs, connect_repairs, repair_choices
from cnet_app.ui.forms.size import Frame
from cnet_app.ui.forms.unit import UnitControls, build_scale, build_unit_controls
from cnet_app.ui.gradio_seams import FOLLOWING, HIDDEN, Component, Updates, Values, listen
from cnet_app.ui.maps import MadeMap, MapOrder, make_map
from cnet_app.ui.page import Page, connect_generate
from cnet_app.ui.progress import error_html
from cnet_app.ui.sources.photo import PhotoSource
from models.catalog import Family
from models.errors import InputError

HELP = "Several conditions steer one picture, each with its own strength and range."
FIRST = ("openpose", "depth", "canny")
"""Conditions of the units at the start; the first two share the example's picture."""
EXAMPLE = 2


@dataclass(frozen=True)
class UnitForm:
    """One unit; it counts where it has a picture."""

    condition: gr.Dropdown
    source: PhotoSource
    preprocessor: gr.Dropdown
    repairs: gr.CheckboxGroup
    parameters: gr.Textbox
    """Of the annotator, as text: all of them as sliders, three times, would be a heavy page."""
    controls: UnitControls
    control_image: gr.Image
    note: gr.HTML

    @property
    def made_of(self) -> set[Component]:
        """Components that the map depends on."""
        own = {self.condition, self.preprocessor, self.repairs, self.parameters}
        return own | self.source.components

    @property
    def components(self) -> set[Component]:
        """Components that a request is built from."""
        return self.made_of | self.controls.components

    def makers(self, id: str, family: Family | None) -> Updates:
        """Offer annotators and ControlNets of a condition."""
        return {
            self.preprocessor: gr.Dropdown(choices(condition(id)), value=default_annotator(id)),
            self.controls["controlnet"]: gr.Dropdown(controlnet_choices(id, family), value=""),
        }

    def fit(self, values: Values, family: Family | None) -> Updates:
        """Offer the ControlNets that fit a family."""
        network = self.controls["controlnet"]
        offered = controlnet_choices(values[self.condition], family)
        return {network: gr.Dropdown(offered, value=still_offered(values[network], offered))}

    def make(self, maps: Maps, values: Values, frame: Frame) -> MadeMap:
        """Make the map. Raises InputError and WeightsError."""
        chosen = values[self.preprocessor]
        written: str = values[self.parameters] or ""
        given = parse_values([pair.strip() for pair in written.split(",") if pair.strip()])
        made_by = None if chosen == OWN_MAP else chosen
        source = self.source.read(values)
        return make_map(maps, MapOrder(values[self.condition], made_by, source, frame, given, values[self.repairs]))

    def unit(self, maps: Maps, values: Values, frame: Frame) -> ControlUnit:
        """Return the unit of a request. Raises InputError and WeightsError."""
        made = self.make(maps, values, frame).made
        return build_unit(values[self.condition], made, **self.controls.options(values, frame))


class ComposeTab:
    """Components of the tab and what joins them. Everything is built in `__init__`, inside the open gr.Tab `tab`."""

    def __init__(self, page: Page, tab: gr.Tab) -> None:
        self._page = page
        family = family_of(page.settings.base or "embedded")
        with gr.Row(equal_height=True, elem_classes="lead-row"):
            gr.HTML(f"<p>{HELP}</p>", elem_classes="lead", padding=False)
            example = gr.Button("Try the example", size="sm", scale=0, min_width=150, elem_id=f"{COMPOSE}-example")
        self.units = [_build_unit_form(number, id, family) for number, id in enumerate(FIRST, 1)]
        go, remap = build_order(COMPOSE, "go"), build_order(COMPOSE, "remap")
        desk = page.desk
        for unit in self.units:
            self._connect_unit(unit, [remap.click, tab.select], remap.elem_id or "")
        parts = {component for unit in self.units[:EXAMPLE] for component in self._filled(unit)}
        filling = example.click(self._example, {page.models["base"]}, [*parts, desk.prompt], **HIDDEN)
        filling.success(None, None, None, js=start(COMPOSE), **HIDDEN)
        inputs = {component for unit in self.units for component in unit.components}
        inputs |= desk.form.components | page.models.components | page.start.components
        connect_generate(page, desk.output, [go.click], inputs, self._request, desk.form.seed)

    def fit(self, values: Values, family: Family | None) -> Updates:
        """Offer the ControlNets that fit a family."""
        return {component: value for unit in self.units for component, value in unit.fit(values, family).items()}

    @property
    def fitted(self) -> set[Component]:
        """Components that `fit` reads and changes."""
        return {one for unit in self.units for one in (unit.condition, unit.controls["controlnet"])}

    def _sized(self, values: Values) -> Frame:
        """Return the size of the picture: that of the first unit's photo. Raises InputError."""
        given = [unit for unit in self.units if not unit.source.is_empty(values)]
        source: Image | None = given[0].source.read(values) if given else None
        return self._page.desk.form.frame(values, source)

    def _request(self, values: Values) -> GenerationRequest:
        page, form = self._page, self._page.desk.form
        given = [unit for unit in self.units if not unit.source.is_empty(values)]
        if not given:
            raise InputError("No unit has a picture yet; give at least one of them a photo or a map.")
        frame = self._sized(values)
        units = tuple(unit.unit(page.maps, values, frame) for unit in given)
        options = page.models.options(values, "" if values[page.models["base"]] else page.base()[0])
        started = page.start.start(values, frame)
        return GenerationRequest(units=units, **options, **started, **form.options(values, frame))

    def _connect_unit(self, unit: UnitForm, remap: list[Any], remap_id: str) -> None:
        """`remap` are the events after which the map may need another size."""
        photos = {component for other in self.units for component in other.source.components}

        def show_map(values: Values) -> Iterator[Updates]:
            nothing = note_html(values[unit.preprocessor], self._page.maps.faults)
            shown: Updates = {unit.control_image: None, unit.note: nothing, unit.repairs: repair_choices(None)}
            if unit.source.is_empty(values):
                yield shown
                return
            result, fault = attempt(lambda: self._made(unit, values))
            if result is None:
                yield shown | {unit.note: error_html(fault)}
                return
            made, sizes = result
            note = " ".join([html.escape(sizes), nothing, *made.made.warnings])
            yield shown | {
                unit.control_image: made.made.pixels,
                unit.note: note,
                unit.repairs: repair_choices(made),
            }

        page = self._page
        ticked = connect_repairs(unit.repairs, unit.preprocessor)
        inputs = unit.made_of | photos | page.desk.sized_by
        outputs = [unit.control_image, unit.note, unit.repairs]
        triggers = [photo.change for photo in photos]  # the first of them sets the size of all
        triggers += [unit.parameters.submit, unit.parameters.blur, *remap]
        listen(triggers, show_map, inputs, outputs, **FOLLOWING)

        def other_condition(values: Values) -> Updates:
            base = values[page.models["base"]] or page.known_base()
            return unit.makers(values[unit.condition], family_of(base))

        def other_preprocessor(values: Values) -> Updates:
            chosen = values[unit.preprocessor]
            missing = [] if chosen == OWN_MAP else missing_weights(chosen)
            return page.consent.ask(missing, remap_id) | {
                unit.parameters: gr.Textbox(value="", placeholder=_defaults(values[unit.preprocessor]))
            }

        # The annotator follows its condition, and what was written for one means nothing to the next: first that, then the map.
        makers = [unit.preprocessor, unit.controls["controlnet"]]
        given: set[Component] = {unit.condition, page.models["base"]}
        chosen = unit.condition.input(other_condition, given, makers, queue=False, **HIDDEN)
        changed = unit.preprocessor.change(
            other_preprocessor, {unit.preprocessor}, [unit.parameters, *page.consent.components], queue=False, **HIDDEN
        )
        for settled in (chosen, changed, ticked):
            settled.then(show_map, inputs, outputs, **FOLLOWING)

    def _made(self, unit: UnitForm, values: Values) -> tuple[MadeMap, str]:
        frame = self._sized(values)
        return unit.make(self._page.maps, values, frame), frame.text(size_of(unit.source.read(values)))

    def _filled(self, unit: UnitForm) -> set[Component]:
        """Components that the example changes."""
        return {unit.condition, unit.preprocessor, unit.controls["controlnet"], *unit.source.components}

    def _example(self, values: Values) -> Updates:
        row = condition(FIRST[0])
        picture = example_image(row)
        base = values[self._page.models["base"]] or self._page.known_base()
        updates: Updates = {self._page.desk.prompt: row.example_prompt}
        for unit, id in zip(self.units, FIRST[:EXAMPLE], strict=False):
            updates |= {unit.condition: id, **unit.source.example(picture), **unit.makers(id, family_of(base))}
        return updates


def build_compose_tab(page: Page) -> ComposeTab:
    """Build a tab of the open gr.Tabs."""
    with gr.Tab("Compose", id=COMPOSE, elem_id=f"{COMPOSE}-tab") as tab:
        built = ComposeTab(page, tab)
    page.desk.follow(tab, page.models["base"], page.known_base)
    return built


def _build_unit_form(number: int, id: str, family: Family | None) -> UnitForm:
    name = f"{COMPOSE}-{number}"
    with gr.Accordion(f"Unit {number}", open=number <= EXAMPLE, elem_id=name):
        with gr.Row():
            rows = [(row.title, row.id) for row in CONDITIONS]
            kind = gr.Dropdown(rows, value=id, label="Condition", elem_id=f"{name}-condition", min_width=140)
            made_by = gr.Dropdown(
                choices(condition(id)), value=default_annotator(id), label=PREPROCESSOR, elem_id=f"{name}-annotator",
                min_width=140,
            )  # fmt: skip
        with gr.Row(equal_height=True, elem_classes="pair"):
            photo = PhotoSource(name, height=200)
            control_image = gr.Image(
                label="Map", format="png", interactive=False, buttons=[], height=200, elem_id=f"{name}-map", min_width=120
            )  # fmt: skip
        note = gr.HTML(note_html(default_annotator(id)), elem_classes="note", padding=False, elem_id=f"{name}-note")
        repairs = build_repairs(name)
        scale = build_scale(name)
        with gr.Accordion("Preprocessor and control settings", open=False, elem_id=f"{name}-fine"):
            written = gr.Textbox(
                "", label="Preprocessor's parameters", info="As NAME=VALUE, …; what is not written is as in grey.",
                placeholder=_defaults(default_annotator(id)), max_length=MAX_NAME, elem_id=f"{name}-parameters",
            )  # fmt: skip
            controls = build_unit_controls(name, scale, id, family)
    return UnitForm(kind, photo, made_by, repairs, written, controls, control_image, note)


def _defaults(chosen: str) -> str:
    """Return the annotator's parameters as they are without a word."""
    declared: Mapping[str, Any] = {} if chosen == OWN_MAP else parameters(annotator(chosen))
    return ", ".join(f"{name}={typed(p.default)}" for name, p in declared.items()) or "It has none."
