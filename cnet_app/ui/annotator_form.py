"""What makes the map: a choice of annotator, its note, and the parameters of the chosen one."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from annotators.base import parameters
from annotators.registry import annotator, licence_text
from cnet_app.maps.availability import default_annotator, library_fault, missing_weights
from cnet_app.registry.conditions import Condition
from cnet_app.ui.controls import parameter_input
from models.catalog import size_text

OWN_MAP = "own_map"
DRAWING = "drawing"
"""Choices beside the annotators; both mean that no annotator runs."""


@dataclass(frozen=True)
class AnnotatorForm:
    """`components` are the choice and every annotator's parameters; only those of the chosen one are seen."""

    condition: Condition
    choice: gr.Dropdown
    note: gr.HTML
    groups: dict[str, gr.Row]
    fields: list[tuple[str, str, Any]]
    """Annotator id, parameter's name, component."""

    @property
    def components(self) -> list[Any]:
        """In the order `read` wants their values."""
        return [self.choice, *(component for _, _, component in self.fields)]

    def read(self, values: Sequence[Any]) -> tuple[str | None, dict[str, Any]]:
        """Annotator id, None where none runs, and its parameters."""
        chosen = values[0]
        if chosen in (OWN_MAP, DRAWING):
            return None, {}
        given = zip(self.fields, values[1:], strict=True)
        return chosen, {name: value for (id, name, _), value in given if id == chosen}

    def updates(self, chosen: str) -> list[Any]:
        """For the note and the groups, when the choice changes."""
        return [note_html(chosen), *(gr.Row(visible=id == chosen) for id in self.groups)]

    @property
    def default(self) -> str:
        """The annotator that can run now."""
        return default_annotator(self.condition.id)


def choices(row: Condition) -> list[tuple[str, str]]:
    """Title and id of all that a condition's map can come from."""
    drawn = [("My drawing", DRAWING)] if row.canvas else []
    made = [(f"{annotator(id).title}{' (not available)' * bool(library_fault(id))}", id) for id in row.annotators]
    return [*drawn, *made, ("None (my own map)", OWN_MAP)]


def build_annotator_form(row: Condition) -> AnnotatorForm:
    """Dropdown, note and one group of parameters per annotator that has any."""
    first = DRAWING if row.canvas else default_annotator(row.id)
    choice = gr.Dropdown(choices(row), value=first, label="Map made by", elem_id=f"{row.id}-annotator")
    note = gr.HTML(note_html(first), elem_classes="note", padding=False, elem_id=f"{row.id}-note")
    groups: dict[str, gr.Row] = {}
    fields: list[tuple[str, str, Any]] = []
    for id in row.annotators:
        declared = parameters(annotator(id))
        if declared:
            with gr.Row(visible=id == first) as groups[id]:
                fields += [
                    (id, name, parameter_input(name, p, elem_id=f"{row.id}-{id}-{name}", min_width=250))
                    for name, p in declared.items()
                ]
    form = AnnotatorForm(row, choice, note, groups, fields)
    choice.change(
        form.updates, choice, [note, *groups.values()], queue=False, show_progress="hidden", api_visibility="private"
    )
    return form


def note_html(chosen: str) -> str:
    """What a user should know of an annotator: why it cannot run, its limits, its licence, and what is to be downloaded."""
    if chosen == DRAWING:
        return "Draw on the canvas; black lines become the map."
    if chosen == OWN_MAP:
        return "The photo is taken for a map as it is."
    downloads = [
        f"{row.title} ({size_text(row.size)}) is downloaded once, when first used."
        for row in missing_weights(chosen)
        if row.repo
    ]
    kind = annotator(chosen)
    return html.escape(" ".join(filter(None, (library_fault(chosen), kind.note, licence_text(kind), *downloads))))
