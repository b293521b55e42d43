"""Generate and Cancel, the running progress, the finished pictures."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from cnet_app.ui.gradio_seams import Component, Updates
from cnet_app.ui.progress import error_html, idle_html


@dataclass(frozen=True)
class Output:
    """The components of one Generate button and what comes of it."""

    generate: gr.Button
    cancel: gr.Button
    progress: gr.HTML
    gallery: gr.Gallery
    job: gr.State
    """Id of the job that is followed; empty while there is none."""
    failed: gr.State
    """Whether the progress shows a fault."""

    @property
    def components(self) -> set[Component]:
        """Components changed by `waiting`, `running` and `fault`."""
        return {self.generate, self.cancel, self.progress, self.job, self.failed}

    def waiting(self, text: str, job: str = "") -> Updates:
        """Show what is done before the job runs."""
        return {self.progress: idle_html(text), self.job: job, self.failed: False, **self.buttons(running=True)}

    def fault(self, message: str) -> Updates:
        """Show why there is no job."""
        return {self.progress: error_html(message), self.job: "", self.failed: True, **self.buttons(running=False)}

    def asking(self) -> Updates:
        """Show that a question about a download is open."""
        text = "Something must be downloaded first: see the question above."
        return {self.progress: idle_html(text), self.job: "", self.failed: False, **self.buttons(running=False)}

    def cleared(self) -> Updates:
        """Remove a fault that was shown."""
        return {self.progress: idle_html(), self.failed: False}

    def buttons(self, running: bool) -> Updates:
        """Set which of the two can be pressed."""
        return {self.generate: gr.Button(interactive=not running), self.cancel: gr.Button(interactive=running)}


def build_buttons(name: str, label: str = "Generate") -> tuple[gr.Button, gr.Button]:
    """Build Generate and Cancel in a row."""
    with gr.Row(elem_classes="actions"):
        generate = gr.Button(label, variant="primary", scale=3, elem_id=f"{name}-generate")
        cancel = gr.Button("Cancel", variant="stop", scale=1, interactive=False, elem_id=f"{name}-cancel", min_width=90)
    return generate, cancel


def build_output(name: str, buttons: tuple[gr.Button, gr.Button]) -> Output:
    """Build the progress above the pictures."""
    progress = gr.HTML(idle_html(), padding=False, elem_id=f"{name}-progress")
    gallery = gr.Gallery(
        label="Pictures", format="png", columns=2, object_fit="contain", height="auto", interactive=False,
        buttons=["download", "fullscreen"], elem_id=f"{name}-pictures",
    )  # fmt: skip
    return Output(*buttons, progress, gallery, gr.State(""), gr.State(value=False))
