"""Handlers of the page called without a browser: values by the components' ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from cnet_app.ui.gradio_seams import NO_STEP


def find(app: gr.Blocks, elem_id: str) -> Any:
    """Return the component of an id."""
    return next(block for block in app.blocks.values() if block.elem_id == elem_id)


def listeners(app: gr.Blocks, elem_id: str, event: str) -> list[Any]:
    """Return what is called when an event of a component is triggered: at once, or after a step that does nothing."""
    block = find(app, elem_id)
    triggered = [fn for fn in app.fns.values() if (block._id, event) in fn.targets]
    steps = [fn._id for fn in triggered if fn.js == NO_STEP]
    return [fn for fn in triggered if fn.fn] + [fn for fn in app.fns.values() if fn.trigger_after in steps]


def named(app: gr.Blocks, name: str) -> Any:
    """Return the one listener whose function has this name."""
    (fn,) = [fn for fn in app.fns.values() if fn.fn and fn.fn.__name__ == name]
    return fn


def call(fn: Any, values: Mapping[Any, Any], *more: Any) -> Any:
    """Call a listener with the components' own values, but for the given ones, by id or by component."""
    assert fn.inputs_as_dict
    given = {c: values.get(c.elem_id, values.get(c, c.value)) for c in fn.inputs}
    return fn.fn(given, *more)


def by_id(updates: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a handler's updates by the components' ids; states by their own."""
    return {component.elem_id or str(component._id): value for component, value in updates.items()}


def run(app: gr.Blocks, elem_id: str, event: str, values: Mapping[Any, Any], *more: Any) -> list[dict[str, Any]]:
    """Trigger an event that has one listener, and return all its updates by id."""
    (fn,) = listeners(app, elem_id, event)
    return [by_id(updates) for updates in call(fn, values, *more)]
