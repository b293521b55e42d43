"""The settings that are not at their defaults, shown near Generate; unticking one sets it back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from cnet_app.ui.gradio_seams import HIDDEN, LATEST, Component, Updates, Values, component_set, listen, open_checkboxes


@dataclass(frozen=True)
class Active:
    """One setting that is in effect."""

    id: str
    text: str
    reset: Updates
    """Updates that reset it."""


def build_active(name: str) -> gr.CheckboxGroup:
    """Build the list, hidden while every setting is at its default."""
    return open_checkboxes(label="In effect (click to set back)", elem_id=f"{name}-active", elem_classes="active")


def connect_active(
    group: gr.CheckboxGroup,
    inputs: Collection[Component],
    others: Collection[Component],
    changes: Sequence[Any],
    active: Callable[[Values], Sequence[Active]],
) -> None:
    """Show what `active` finds after each of the events `changes`, and set back what is unticked.

    `others` are set back too, but not read.
    """

    def show(values: Values) -> Updates:
        found = active(values)
        choices, ids = [(one.text, one.id) for one in found], [one.id for one in found]
        return {group: gr.CheckboxGroup(choices=choices, value=ids, visible=bool(found))}

    def reset(values: Values) -> Any:
        updates: Updates = {}
        for one in active(values):
            if one.id not in values[group]:
                updates |= one.reset
        return updates or gr.skip()

    outputs = list(component_set(inputs, others))
    listen(list(changes), show, set(inputs), [group], **LATEST)
    unticked = group.input(reset, component_set(inputs, [group]), outputs, queue=False, **HIDDEN)
    unticked.then(show, set(inputs), [group], queue=False, **HIDDEN)
