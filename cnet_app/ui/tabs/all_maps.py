"""Every map of one picture, side by side."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping

import gradio as gr

from annotators.base import Image
from annotators.registry import annotator
from cnet_app.registry.conditions import condition
from cnet_app.request.sizes import size_of
from cnet_app.ui.errors import attempt
from cnet_app.ui.forms.size import Frame
from cnet_app.ui.gradio_seams import HIDDEN, MAP_LANE, Component, Updates, Values, cache_picture
from cnet_app.ui.maps import make_all_maps
from cnet_app.ui.page import Page
from cnet_app.ui.progress import error_html
from cnet_app.ui.sources.photo import PhotoSource
from cnet_app.ui.tabs.condition import ConditionTab

NAME = "all"
TO_THE_TOP = """() => setTimeout(() => document.getElementById("tabs").scrollIntoView(), 300)"""
HELP = (
    "What the preprocessors make of one picture, at the size of the picture to be made. Click a map to go on with it."
)


def build_all_maps_tab(page: Page, conditions: Mapping[str, ConditionTab], views: gr.Tabs, tabs: gr.Tabs) -> None:
    """Build a tab of `views`, the open gr.Tabs; a click on a map opens its condition's, one of `tabs`, with the picture."""
    desk = page.desk
    with gr.Tab("All maps", id=NAME, elem_id=f"{NAME}-tab"):
        gr.HTML(f"<p>{HELP}</p>", elem_classes="lead", padding=False)
        with gr.Row():
            source = PhotoSource(NAME, height=220)
            with gr.Column(min_width=160):
                every = gr.Checkbox(
                    label="Every preprocessor", info="Else the best of each condition that can run now.",
                    elem_id=f"{NAME}-every",
                )  # fmt: skip
                make = gr.Button("Make all maps", variant="primary", elem_id=f"{NAME}-make")
        note = gr.HTML("", elem_id=f"{NAME}-note", elem_classes="note", padding=False)
        maps = gr.Gallery(
            label="Maps", format="png", columns=4, object_fit="contain", height="auto", interactive=False,
            allow_preview=False, buttons=[], elem_id=f"{NAME}-maps",
        )  # fmt: skip
        made_by = gr.State([])

    def sized(values: Values) -> tuple[Image, Frame]:
        picture = source.read(values)
        return picture, desk.form.frame(values, picture)

    def show(values: Values) -> Iterator[Updates]:
        given, fault = attempt(lambda: sized(values))
        if given is None:
            yield {note: error_html(fault), maps: [], made_by: []}
            return
        picture, frame = given
        shown: list[tuple[str, str]] = []
        ids: list[tuple[str, str]] = []
        lines = [frame.text(size_of(picture))]
        for condition_id, annotator_id, made in make_all_maps(page.maps, picture, frame, values[every]):
            name = f"{condition(condition_id).title}: {annotator(annotator_id).title}"
            if isinstance(made, str):
                lines.append(f"<b>{html.escape(name)}</b> {html.escape(made)}")
            else:
                shown.append((cache_picture(made.pixels, maps), name))  # once, for all updates
                ids.append((condition_id, annotator_id))
            yield {maps: list(shown), note: "<br>".join(lines), made_by: list(ids)}

    def open_tab(values: Values, event: gr.SelectData) -> Updates:
        condition_id, annotator_id = values[made_by][event.index]
        opened = conditions[condition_id].opened_with(values[source.photo], annotator_id)
        return {views: gr.Tabs(selected="create"), tabs: gr.Tabs(selected=condition_id), **opened}

    inputs: set[Component] = {*source.components, every, *desk.sized_by}
    make.click(show, inputs, [maps, note, made_by], **HIDDEN, **MAP_LANE)
    targets = [field for tab in conditions.values() for field in (*tab.main.filled_parts, tab.preprocessor.choice)]
    opened = maps.select(open_tab, {source.photo, made_by}, [views, tabs, *targets], queue=False, **HIDDEN)
    opened.then(None, None, None, js=TO_THE_TOP, **HIDDEN)
