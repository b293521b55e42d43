"""What the tabs share: the runner behind the Generate button, and how a job is followed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from cnet_app.jobs.runner import INTERVAL, Runner
from cnet_app.request.generation import GenerationRequest
from cnet_app.settings import Settings
from cnet_app.ui.desk import Desk
from cnet_app.ui.errors import attempt, toast
from cnet_app.ui.output import Output
from cnet_app.ui.panel import Panel
from cnet_app.ui.progress import error_html, idle_html, progress_html
from models.catalog import CATALOG, Defaults
from models.local import local_files

BASE_WAIT = 120.0
"""Seconds a first request waits for torch to say what there is."""
UNLISTED = Defaults(size=512, guidance_scale=7.5, num_inference_steps=30)
"""For a base model that is not in the catalogue."""


@dataclass(frozen=True)
class Studio:
    """One for the app."""

    settings: Settings
    runner: Runner
    panel: Panel
    desk: Desk

    def base(self) -> tuple[str, str]:
        """Id of the base model, and why it is this one."""
        return self.runner.base(BASE_WAIT) or ("embedded", "no other could be found")


def first_defaults(settings: Settings) -> Defaults:
    """What the form shows before it is known which base model there is."""
    return defaults_of(settings.base or "embedded")


def defaults_of(base: str) -> Defaults:
    """Size, guidance and steps a base model starts with: its own, or its family's where a file of the user's tells that."""
    file = next((file for file in local_files("base") if file.name == base), None)
    known = (file and file.family) or base
    return next((row.defaults for row in CATALOG if row.id == known and row.defaults), UNLISTED)


def title_of(base: str) -> str:
    """As people say it."""
    return next((row.title for row in CATALOG if row.id == base and row.kind == "base"), base)


def connect(
    studio: Studio,
    output: Output,
    listeners: list[Callable[..., Any]],
    inputs: list[Any],
    build_request: Callable[..., GenerationRequest],
) -> None:
    """Generate: form → request → job → followed to its end.

    `build_request` gets the panel's fields of a request, then the inputs' values. `listeners` are what starts it, such as `button.click`.
    """

    panel = studio.panel.components

    def build(*values: Any) -> GenerationRequest:
        common = studio.panel.read(values[: len(panel)], studio.base()[0])
        return build_request(common, *values[len(panel) :])

    def submit(request: gr.Request, *values: Any) -> Iterator[tuple[Any, ...]]:
        yield "", idle_html("Making the map …"), *_running(True)
        job, fault = attempt(lambda: studio.runner.submit(build(*values), request.session_hash or ""))
        if job is not None:
            yield job, idle_html("Starting …"), *_running(True)
            return
        yield "", error_html(fault), *_running(False)
        raise toast(fault)

    async def follow(job: str) -> AsyncIterator[tuple[Any, ...]]:
        shown, last = -1, None
        while last is None or not last.is_over:
            state = studio.runner.state(job)
            if state != last:
                pictures = list(state.paths) if len(state.paths) != shown else gr.skip()
                yield progress_html(state), pictures, *(_running(False) if state.is_over else (gr.skip(), gr.skip()))
                shown, last = len(state.paths), state
            if not state.is_over:
                await asyncio.sleep(INTERVAL)
        if last.status == "failed":
            raise toast(last.error)

    hidden: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    buttons = [output.generate, output.cancel]
    for listen in listeners:
        started = listen(
            submit, [*panel, *inputs], [output.job, output.progress, *buttons], concurrency_id="annotate", **hidden
        )
        started.success(
            follow, output.job, [output.progress, output.gallery, *buttons], concurrency_limit=None, **hidden
        )
    output.cancel.click(studio.runner.cancel, output.job, None, queue=False, **hidden)


def _running(yes: bool) -> tuple[gr.Button, gr.Button]:
    return gr.Button(interactive=not yes), gr.Button(interactive=yes)
