"""Generate and Cancel, the running progress, the finished pictures."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from cnet_app.ui.progress import idle_html


@dataclass(frozen=True)
class Output:
    """Generate and Cancel, the running progress, the finished pictures."""

    generate: gr.Button
    cancel: gr.Button
    progress: gr.HTML
    gallery: gr.Gallery
    job: gr.State
    """Id of the job that is followed."""


def build_buttons(name: str, label: str = "Generate") -> tuple[gr.Button, gr.Button]:
    """Generate and Cancel in a row."""
    with gr.Row(elem_classes="actions"):
        generate = gr.Button(label, variant="primary", scale=3, elem_id=f"{name}-generate")
        cancel = gr.Button("Cancel", variant="stop", scale=1, interactive=False, elem_id=f"{name}-cancel", min_width=90)
    return generate, cancel


def build_output(name: str, buttons: tuple[gr.Button, gr.Button]) -> Output:
    """Progress above pictures."""
    progress = gr.HTML(idle_html(), padding=False, elem_id=f"{name}-progress")
    gallery = gr.Gallery(
        label="Pictures",
        format="png",
        columns=2,
        object_fit="contain",
        height="auto",
        interactive=False,
        buttons=["download", "fullscreen"],
        elem_id=f"{name}-pictures",
    )
    return Output(*buttons, progress, gallery, gr.State(""))
