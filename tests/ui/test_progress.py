"""The status text of a running and of a finished job."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cnet_app.jobs.state import JobState
from cnet_app.request.generation import GenerationResult
from cnet_app.ui.progress import error_html, progress_html, status_text
from tests.jobs.fake_engine import request

REQUEST = request(num_images=4, num_inference_steps=20)
RESULT = GenerationResult(request=REQUEST, paths=("a",) * 4, seeds=(7, 8, 9, 10), seconds=6.25)


def state(**values: Any) -> JobState:
    return JobState(id="1", session="me", request=REQUEST, **values)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"place": 3}, "Place 3 in line."),
        ({"place": 1, "doing": "Loading the model"}, "Loading the model …"),
        ({"place": 2, "doing": "Loading the model"}, "Place 2 in line."),
        ({"status": "running", "doing": "Loading the model"}, "Loading the model …"),
        ({"status": "running", "image_index": 1, "step": 7, "steps": 20}, "Picture 2 of 4: step 7 of 20."),
        ({"status": "running", "image_index": 1}, "Picture 2 of 4 …"),
        ({"status": "done", "result": RESULT}, "Done in 6.2 s: 4 pictures, seed 7 to 10."),
        ({"status": "failed", "error": "The disk is full."}, "The disk is full."),
        ({"status": "failed", "error": "block_weights has 3 numbers."}, "“Block weights” has 3 numbers."),
        ({"status": "cancelled"}, "Stopped."),
        ({"status": "cancelled", "paths": ("a",)}, "Stopped. 1 picture saved."),
        ({"status": "interrupted"}, "The app was closed before this was done."),
    ],
)
def test_every_status_is_one_sentence(values: dict[str, Any], text: str) -> None:
    assert status_text(state(**values)) == text
    assert text in progress_html(state(**values))


def test_the_bar_counts_steps_of_all_pictures() -> None:
    html = progress_html(state(status="running", image_index=2, step=10, steps=20))
    assert re.search(r"width:62%|width:63%", html)


def test_a_preview_travels_inside_the_page() -> None:
    assert "data:image/jpeg;base64,SlBH" in progress_html(state(status="running", preview=b"JPG"))
    assert "<img" not in progress_html(state(status="running"))


def test_what_users_wrote_is_escaped() -> None:
    assert "<script>" not in error_html("<script>alert(1)</script>")
    assert "<script>" not in progress_html(state(status="failed", error="<script>alert(1)</script>"))


def test_the_bar_is_empty_before_a_job_and_full_after_it() -> None:
    assert "width:0%" in progress_html(state())
    assert "width:100%" in progress_html(state(status="done"))
