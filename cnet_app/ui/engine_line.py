"""A line that appears when the engine stops: why, and a button that starts it again."""

from __future__ import annotations

import html

import gradio as gr

from cnet_app.engine.protocol import EngineStatus
from cnet_app.jobs.runner import Runner
from cnet_app.ui.gradio_seams import HIDDEN, Skip, Updates, Values

NAME = "engine"
INTERVAL = 2.0
"""Seconds between two looks at the engine."""


class EngineLine:
    """Built inside the open gr.Blocks; hidden while the engine is up."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        with gr.Row(visible=False, elem_id=NAME, elem_classes="engine") as self.row:
            self.text = gr.HTML("", padding=False, elem_id=f"{NAME}-text")
            self.start = gr.Button("Start the engine again", size="sm", scale=0, elem_id=f"{NAME}-start")
        self.shown = gr.State(("", ""))
        """State and message that the page shows."""
        outputs = [self.row, self.text, self.start, self.shown]
        gr.Timer(INTERVAL).tick(self._look, {self.shown}, outputs, queue=False, **HIDDEN)
        self.start.click(runner.start, None, None, queue=False, **HIDDEN)

    def _look(self, values: Values) -> Updates | Skip:
        status = self._runner.engine_status()
        now = (status.state, status.message)
        if now == tuple(values[self.shown]):
            return gr.skip()
        return {self.shown: now, **self._updates(status)}

    def _updates(self, status: EngineStatus) -> Updates:
        return {
            self.row: gr.Row(visible=bool(status.message)),
            self.text: f'<p role="alert">{html.escape(status.message)}</p>',
            self.start: gr.Button(visible=status.state == "down"),
        }
