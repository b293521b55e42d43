"""Every map of one picture, side by side."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import gradio as gr

from annotators.base import Image
from annotators.registry import annotator
from cnet_app.annotate import annotate_all
from cnet_app.conditions import condition
from cnet_app.ui.controls import photo_input, read_photo
from cnet_app.ui.desk import HIDDEN, build_go
from cnet_app.ui.errors import attempt, toast
from cnet_app.ui.generation_form import checked_size
from cnet_app.ui.studio import Studio

NAME = "all"
HELP = "What every annotator makes of one picture, at the size of the picture to be made."


def build_all_maps_tab(studio: Studio) -> None:
    """A tab of the open gr.Tabs. It makes maps, not pictures."""
    with gr.Tab("All maps", id=NAME, elem_id=f"{NAME}-tab") as tab:
        gr.HTML(f"<p>{HELP}</p>", elem_classes="lead", padding=False)
        with gr.Row(equal_height=True):
            photo = photo_input("Photo", elem_id=f"{NAME}-photo", height=220)
            with gr.Column(min_width=180):
                every = gr.Checkbox(
                    label="Every annotator", info="Else the best of each condition that can run now.",
                    elem_id=f"{NAME}-every",
                )  # fmt: skip
                make = gr.Button("Make all maps", variant="primary", elem_id=f"{NAME}-make")
        maps = gr.Gallery(
            label="Maps", format="png", columns=3, object_fit="contain", height="auto", interactive=False,
            buttons=["download", "fullscreen"], elem_id=f"{NAME}-maps",
        )  # fmt: skip
        note = gr.HTML("", elem_id=f"{NAME}-note", elem_classes="note", padding=False)
        go = build_go(NAME)
    studio.desk.follow(tab, "", one_map=False)

    def show(path: str | None, every: bool, width: int, height: int) -> Iterator[tuple[Any, str]]:
        source, fault = attempt(lambda: (read_photo(path), *checked_size(width, height)))
        if source is None:
            raise toast(fault)
        shown: list[tuple[Image, str]] = []
        missing: list[str] = []
        for condition_id, annotator_id, made in annotate_all(*source, every=every):
            name = f"{condition(condition_id).title}: {annotator(annotator_id).title}"
            if isinstance(made, str):
                missing.append(f"<b>{html.escape(name)}</b> {html.escape(made)}")
            else:
                shown.append((made.pixels, name))
            yield shown, "<br>".join(missing)

    def refuse() -> None:
        raise toast("Here maps are made, not pictures; open the tab of a condition, or Compose.")

    go.click(refuse, None, None, **HIDDEN)
    make.click(
        show, [photo, every, *studio.desk.size], [maps, note], concurrency_id="annotate", concurrency_limit=1, **HIDDEN
    )
