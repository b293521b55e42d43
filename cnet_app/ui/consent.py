"""The question before a download: what, how large, under which licence. Nothing is downloaded before the answer."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator, Sequence
from typing import Any

import gradio as gr

from cnet_app.engine.protocol import PREVIEW_INTERVAL
from cnet_app.jobs.runner import Runner
from cnet_app.ui.errors import attempt
from cnet_app.ui.gradio_seams import HIDDEN, Component, Skip, Updates, Values
from cnet_app.ui.progress import error_html, idle_html, progress_html
from models.catalog import size_text
from models.environment import is_offline
from models.missing import describe_download, total_size
from models.row import Weights

NAME = "consent"
PRESS = "(then) => { if (then) document.getElementById(then)?.click(); }"
SHOW = f'() => setTimeout(() => document.getElementById("{NAME}")?.scrollIntoView({{ block: "center" }}), 200)'


class Consent:
    """One box for the whole page, built inside the open gr.Blocks and hidden while there is nothing to ask."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        with gr.Column(visible=False, elem_id=NAME, elem_classes="consent") as self.box:
            self.text = gr.HTML("", padding=False, elem_id=f"{NAME}-text")
            with gr.Row():
                self.download = gr.Button("Download", variant="primary", elem_id=f"{NAME}-download")
                self.cancel = gr.Button("Not now", elem_id=f"{NAME}-cancel")
            self.progress = gr.HTML("", padding=False, elem_id=f"{NAME}-progress")
        self.ids = gr.State(())
        """The rows that would be downloaded."""
        self.then = gr.State("")
        """Id of the button that is pressed after the download; empty for none."""
        self.job = gr.State("")

    @property
    def components(self) -> set[Component]:
        """Components changed by `ask`."""
        return {self.box, self.text, self.download, self.progress, self.ids, self.then, self.job}

    def ask(self, rows: Sequence[Weights], then: str = "") -> Updates:
        """Show the question; without rows, or offline, nothing changes."""
        rows = [row for row in rows if row.repo]
        if not rows or is_offline():
            return {}
        return {
            self.box: gr.Column(visible=True),
            self.text: consent_html(rows),
            self.download: gr.Button(interactive=True),
            self.progress: "",
            self.ids: tuple(row.id for row in rows),
            self.then: then,
            self.job: "",
        }

    def connect(self) -> Any:
        """Connect the buttons; returns the event of a finished download."""
        shown = [self.box, self.download, self.progress, self.job]
        started = self.download.click(self._start, {self.ids}, shown, **HIDDEN)
        finished = started.success(self._follow, {self.job}, shown, concurrency_limit=None, **HIDDEN)
        self.cancel.click(self._stop, {self.job}, shown, queue=False, **HIDDEN)
        return finished.success(None, self.then, None, js=PRESS, **HIDDEN)

    def _start(self, values: Values, request: gr.Request) -> Updates:
        ids: tuple[str, ...] = values[self.ids]
        job, fault = attempt(lambda: self._runner.download(ids, request.session_hash or ""))
        if job is None:
            return {self.progress: error_html(fault)}
        return {self.job: job, self.download: gr.Button(interactive=False), self.progress: idle_html("Starting …")}

    async def _follow(self, values: Values) -> AsyncIterator[Updates]:
        job: str = values[self.job]
        if not job:
            raise gr.Error("The download did not start.", visible=False, print_exception=False)
        last = None
        while last is None or not last.is_over:
            state = self._runner.state(job)
            if state != last:
                yield {self.progress: progress_html(state)}
                last = state
            await asyncio.sleep(PREVIEW_INTERVAL)
        if last.status != "done":  # what waits for the download is not to begin
            yield {self.download: gr.Button(interactive=True), self.job: ""}
            raise gr.Error(last.error, visible=False, print_exception=False)
        yield {self.box: gr.Column(visible=False), self.job: ""}

    def _stop(self, values: Values) -> Updates | Skip:
        if values[self.job]:
            self._runner.cancel(values[self.job])
            return gr.skip()
        return {self.box: gr.Column(visible=False)}


def consent_html(rows: Sequence[Weights]) -> str:
    """The question as HTML: a line a model with its size, licence and page, then total and folder."""
    items = describe_download(rows)
    lines = [
        f"<b>{html.escape(item.title)}</b>: {size_text(item.size)}, licence {html.escape(item.licence)}. "
        f'{html.escape(item.use)} <a href="{html.escape(item.page)}" target="_blank" rel="noopener">Files and terms</a>'
        for item in items
    ]
    total = size_text(total_size(items))
    place = html.escape(items[0].place)
    return f"<p>Download first ({total}, into {place}):</p><ul><li>{'</li><li>'.join(lines)}</li></ul>"
