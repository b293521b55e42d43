"""Every map of one picture, side by side."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
from gradio.processing_utils import save_img_array_to_cache

from annotators.registry import annotator
from cnet_app.maps.annotate import annotate_all
from cnet_app.registry.conditions import condition
from cnet_app.ui.condition_tab import ConditionTab
from cnet_app.ui.controls import photo_input, read_photo
from cnet_app.ui.desk import HIDDEN, Desk
from cnet_app.ui.errors import attempt, toast
from cnet_app.ui.generation_form import checked_size

NAME = "all"
TO_THE_TOP = """() => setTimeout(() => document.getElementById("tabs").scrollIntoView(), 300)"""
HELP = "What the annotators make of one picture, at the size of the picture to be made. Click a map to go on with it."


def build_all_maps_tab(desk: Desk, conditions: Mapping[str, ConditionTab], views: gr.Tabs, tabs: gr.Tabs) -> None:
    """A tab of `views`, the open gr.Tabs; a click on a map opens its condition's, one of `tabs`, with picture and annotator."""
    with gr.Tab("All maps", id=NAME, elem_id=f"{NAME}-tab"):
        gr.HTML(f"<p>{HELP}</p>", elem_classes="lead", padding=False)
        with gr.Row():
            photo = photo_input("Photo", elem_id=f"{NAME}-photo", height=220, min_width=160)
            with gr.Column(min_width=160):
                every = gr.Checkbox(
                    label="Every annotator", info="Else the best of each condition that can run now.",
                    elem_id=f"{NAME}-every",
                )  # fmt: skip
                make = gr.Button("Make all maps", variant="primary", elem_id=f"{NAME}-make")
        maps = gr.Gallery(
            label="Maps", format="png", columns=4, object_fit="contain", height="auto", interactive=False,
            allow_preview=False, buttons=[], elem_id=f"{NAME}-maps",
        )  # fmt: skip
        note = gr.HTML("", elem_id=f"{NAME}-note", elem_classes="note", padding=False)
        made_by = gr.State([])

    def show(path: str | None, every: bool, width: int, height: int) -> Iterator[tuple[Any, str, Any]]:
        source, fault = attempt(lambda: (read_photo(path), *checked_size(width, height)))
        if source is None:
            raise toast(fault)
        shown: list[tuple[str, str]] = []
        ids: list[tuple[str, str]] = []
        missing: list[str] = []
        for condition_id, annotator_id, made in annotate_all(*source, every=every):
            name = f"{condition(condition_id).title}: {annotator(annotator_id).title}"
            if isinstance(made, str):
                missing.append(f"<b>{html.escape(name)}</b> {html.escape(made)}")
            else:
                shown.append((save_img_array_to_cache(made.pixels, maps.GRADIO_CACHE), name))  # once, for all steps
                ids.append((condition_id, annotator_id))
            yield shown, "<br>".join(missing), ids

    def open_tab(path: str, ids: list[tuple[str, str]], event: gr.SelectData) -> list[Any]:
        condition_id, annotator_id = ids[event.index]
        filled = [value if id == condition_id else gr.skip() for id in conditions for value in (path, annotator_id)]
        return [gr.Tabs(selected="create"), gr.Tabs(selected=condition_id), *filled]

    make.click(
        show, [photo, every, *desk.size], [maps, note, made_by],
        concurrency_id="annotate", concurrency_limit=1, **HIDDEN,
    )  # fmt: skip
    targets = [field for tab in conditions.values() for field in (tab.photo, tab.annotator.choice)]
    opened = maps.select(open_tab, [photo, made_by], [views, tabs, *targets], queue=False, **HIDDEN)
    opened.then(None, None, None, js=TO_THE_TOP, **HIDDEN)
