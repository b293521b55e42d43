"""A job's state as one small piece of HTML: bar, line of text, running preview."""

from __future__ import annotations

import base64
import html

from cnet_app.jobs.state import JobState
from cnet_app.ui.labels import in_form_words


def idle_html(text: str = "") -> str:
    """Return the box while no job runs; it takes the same place, so that nothing jumps."""
    return _html("idle", 0.0, text or "Ready.")


def error_html(text: str) -> str:
    """Return the box with a fault, which stays until the next run."""
    return _html("failed", 0.0, text)


def progress_html(state: JobState) -> str:
    """Return the box for the state of a job."""
    return _html(state.status, state.fraction, status_text(state), state.preview)


def status_text(state: JobState) -> str:
    """Return the state in one sentence, also for screen readers."""
    if state.doing and (state.status == "running" or state.place <= 1):
        return f"{state.doing} …"
    if state.status == "queued":
        return f"Place {state.place} in line." if state.place else "Starting …"
    if state.status == "running":
        picture = f"Picture {state.image_index + 1} of {state.num_images}"
        return f"{picture}: step {state.step} of {state.steps}." if state.steps else f"{picture} …"
    if state.status == "done" and state.result:
        seeds = state.result.seeds
        return (
            f"Done in {state.result.seconds:.1f} s: {_count(len(seeds))}, seed {seeds[0]}"
            f"{f' to {seeds[-1]}' if len(seeds) > 1 else ''}. {' '.join(state.result.notes)}"
        ).rstrip()
    if state.status == "done":
        return "Downloaded."
    if state.status == "failed":
        return in_form_words(state.error)
    ended = "Stopped." if state.status == "cancelled" else "The app was closed before this was done."
    return f"{ended} {_count(len(state.paths))} saved." if state.paths else ended


def _count(pictures: int) -> str:
    return "1 picture" if pictures == 1 else f"{pictures} pictures"


def _html(status: str, fraction: float, text: str, preview: bytes = b"") -> str:
    image = ""
    if preview:
        data = base64.b64encode(preview).decode()
        image = f'<img class="preview" alt="Preview of the running picture" src="data:image/jpeg;base64,{data}">'
    return (
        f'<div class="status" data-status="{status}"><div class="bar"><i style="width:{fraction:.0%}"></i></div>'
        f'<p role="status" aria-live="polite">{html.escape(text)}</p>{image}</div>'
    )
