"""Objects shared by the tabs of the page, and the handlers from Generate to the finished pictures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from cnet_app.engine.missing import rows_to_download
from cnet_app.engine.protocol import PREVIEW_INTERVAL
from cnet_app.jobs.runner import BASE_WAIT, Runner
from cnet_app.jobs.state import JobState
from cnet_app.maps.annotate import Maps
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.upscale import UpscaleRequest
from cnet_app.settings import Settings
from cnet_app.ui.bases import first_base
from cnet_app.ui.consent import Consent
from cnet_app.ui.desk import Desk
from cnet_app.ui.errors import attempt
from cnet_app.ui.forms.models import ModelsForm
from cnet_app.ui.forms.seed import SeedForm
from cnet_app.ui.gradio_seams import HIDDEN, MAP_LANE, Component, Updates, Values
from cnet_app.ui.output import Output
from cnet_app.ui.progress import progress_html
from cnet_app.ui.sources.paint import PaintSource

SHOW_FAULT = """() => setTimeout(() => {
    const box = document.querySelector("#NAME-progress .status[data-status=failed]");
    const place = box?.getBoundingClientRect();
    if (place && (place.top < 0 || place.bottom > innerHeight)) box.scrollIntoView({ block: "center" });
}, 100)"""


@dataclass(frozen=True)
class Page:
    """One for the app."""

    settings: Settings
    runner: Runner
    maps: Maps
    consent: Consent
    models: ModelsForm
    start: PaintSource
    """The picture to start from, for every tab that has none of its own."""
    desk: Desk

    def base(self) -> tuple[str, str]:
        """Return the id of the base model, and why it is this one. Waits until that is known."""
        return self.runner.base(BASE_WAIT) or (first_base(self.settings), "no other could be found")

    def known_base(self) -> str:
        """Return the id of the base model, or of the one that is assumed until it is known."""
        known = self.runner.base(0.0)
        return known[0] if known else first_base(self.settings)


def connect_generate(
    page: Page,
    output: Output,
    listeners: Sequence[Callable[..., Any]],
    inputs: Collection[Component],
    build_request: Callable[[Values], GenerationRequest | UpscaleRequest],
    seed: SeedForm | None = None,
) -> list[Any]:
    """Connect a form with its job: values → request → job, followed to its end.

    `listeners` are the events that start it, such as `button.click`. `seed` shows the seed of what was sent. Returns the
    events of the job's end.
    """

    def submit(values: Values, request: gr.Request) -> Iterator[Updates]:
        yield output.waiting("Making the map …")
        wanted, fault = attempt(lambda: build_request(values))
        if wanted is None:
            yield output.fault(fault)
            return
        missing, fault = attempt(lambda: rows_to_download(wanted))
        question = page.consent.ask(missing or (), output.generate.elem_id or "")
        if question:
            yield output.asking() | question
            return
        job = None
        if not fault:
            job, fault = attempt(lambda: page.runner.submit(wanted, request.session_hash or ""))
        if job is None:
            yield output.fault(fault)
            return
        yield output.waiting("Starting …", job) | (seed.used(wanted.seed) if seed else {})

    async def follow(values: Values) -> AsyncIterator[Updates]:
        if values[output.job]:
            async for updates in _follow(page.runner, output, values[output.job]):
                yield updates

    outputs = list(output.components)
    sending = [*outputs, *page.consent.components, *(seed.shown if seed else ())]
    show_fault = SHOW_FAULT.replace("NAME", (output.progress.elem_id or "").removesuffix("-progress"))
    ends: list[Any] = []
    for listen in listeners:
        started = listen(submit, set(inputs), sending, **HIDDEN, **MAP_LANE)
        followed = started.success(follow, {output.job}, [*outputs, output.gallery], concurrency_limit=None, **HIDDEN)
        ends.append(followed.then(None, None, None, js=show_fault, **HIDDEN))
    output.cancel.click(page.runner.cancel, output.job, None, queue=False, **HIDDEN)
    return ends


async def _follow(runner: Runner, output: Output, job: str) -> AsyncIterator[Updates]:
    """Yield what the page shows of a job, after every change, until it is over."""
    last: JobState | None = None
    while last is None or not last.is_over:
        state = runner.state(job)
        if state != last:
            yield _shown(output, state, last)
            last = state
        if not state.is_over:
            await asyncio.sleep(PREVIEW_INTERVAL)


def _shown(output: Output, state: JobState, last: JobState | None) -> Updates:
    updates: Updates = {output.progress: progress_html(state), output.failed: state.status == "failed"}
    if last is None or state.paths != last.paths:
        updates[output.gallery] = list(state.paths)
    return updates | (output.buttons(running=False) if state.is_over else {})
