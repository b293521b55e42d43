"""Where Gradio's own behaviour is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import gradio as gr
import pytest

from cnet_app.ui.gradio_seams import CheckedBlocks


def nothing() -> Iterator[Any]:
    yield from ()


async def nothing_later() -> AsyncIterator[Any]:
    for update in ():
        yield update


@pytest.mark.parametrize("handler", [nothing, nothing_later])
@pytest.mark.parametrize("count", [1, 3])
def test_outputs_stay_where_a_generator_yields_nothing(handler: Any, count: int) -> None:
    with CheckedBlocks() as app:
        outputs: list[Any] = [gr.HTML("a fault"), gr.Button("Generate"), gr.State(1)][:count]
        gr.Button().click(handler, None, outputs)
    (fn,) = app.fns.values()
    answer = asyncio.run(app.process_api(fn, [], session_hash="visitor"))
    assert not answer["is_generating"]
    shown = [one for one, output in zip(answer["data"], outputs, strict=True) if not isinstance(output, gr.State)]
    assert all(one["__type__"] == "update" and "value" not in one.get("props", one) for one in shown)


def test_no_listener_leaves_a_loading_state_on_the_page(built: gr.Blocks) -> None:
    """At every event the browser searches the whole page once for each component that has such a state."""
    pictures = {id for id, block in built.blocks.items() if isinstance(block, gr.Image)}
    for fn in built.fns.values():
        assert not fn.get_config()["show_progress_on"], fn.name
        assert fn.show_progress_on is not None or not fn.outputs, fn.name
        assert not fn.inputs or not pictures & {id for id, _ in fn.targets}, fn.name
