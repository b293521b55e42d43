"""The buttons and the line of progress of one form."""

from __future__ import annotations

import gradio as gr
import pytest

from cnet_app.ui.output import Output, build_buttons, build_output


@pytest.fixture
def output() -> Output:
    with gr.Blocks():
        return build_output("tab", build_buttons("tab"))


def test_generate_can_be_pressed_while_nothing_runs_and_cancel_while_something_does(output: Output) -> None:
    for updates, running in (
        (output.waiting("Waiting.", "7"), True),
        (output.fault("No."), False),
        (output.asking(), False),
    ):
        assert updates[output.generate].interactive is not running
        assert updates[output.cancel].interactive is running
        assert set(updates) <= output.components
    assert not output.cancel.interactive


def test_only_a_fault_is_marked_as_one_and_forgets_the_job(output: Output) -> None:
    waiting, fault = output.waiting("Waiting.", "7"), output.fault("<i>No.</i>")
    assert (waiting[output.job], waiting[output.failed]) == ("7", False)
    assert (fault[output.job], fault[output.failed]) == ("", True)
    assert 'data-status="failed"' in fault[output.progress]
    assert "&lt;i&gt;No.&lt;/i&gt;" in fault[output.progress]
    cleared = output.cleared()
    assert cleared[output.failed] is False
    assert "Ready." in cleared[output.progress]
    assert output.generate not in cleared
