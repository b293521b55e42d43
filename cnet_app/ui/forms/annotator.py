"""The preprocessor: the choice of an annotator, its note, and the parameters of the chosen one."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from annotators.base import parameters
from annotators.registry import annotator, licence_text
from cnet_app.maps.availability import NOTHING_KNOWN, default_annotator, library_fault, missing_weights
from cnet_app.registry.conditions import Condition
from cnet_app.ui.forms.controls import keep_ordered, parameter_input
from cnet_app.ui.gradio_seams import HIDDEN, Component, Updates, Values
from models.catalog import size_text

PREPROCESSOR = "Preprocessor"
OWN_MAP = "own_map"
"""The choice that no annotator runs: the picture is a map."""
OWN_MAP_TITLE = "None: use my image as the map"


class AnnotatorForm:
    """`choice` and every annotator's parameters; only those of the chosen one are shown."""

    def __init__(
        self,
        row: Condition,
        first: str,
        others: Mapping[str, tuple[str, str]],
        faults: Mapping[str, str] = NOTHING_KNOWN,
    ) -> None:
        """Build the components.

        `others` are further choices that run no annotator: title and note by id; `faults` are those of Maps.faults.
        """
        self.condition = row
        self._faults = faults
        self._notes = {id: note for id, (_, note) in others.items()}
        titles = [(title, id) for id, (title, _) in others.items()]
        self.choice = gr.Dropdown(
            [*titles, *choices(row, faults)], value=first, label=PREPROCESSOR, elem_id=f"{row.id}-annotator"
        )
        self.note = gr.HTML(self._note(first), elem_classes="note", padding=False, elem_id=f"{row.id}-note")
        self._groups: dict[str, gr.Row] = {}
        self._fields: dict[str, dict[str, Component]] = {}
        """Components by annotator and parameter."""
        for id in row.annotators:
            self._build_parameters(id, visible=id == first)
        outputs = [self.note, *self._groups.values()]
        self.choice.change(self._chosen, {self.choice}, outputs, queue=False, **HIDDEN)

    def _build_parameters(self, id: str, visible: bool) -> None:
        declared = parameters(annotator(id))
        if not declared:
            return
        with gr.Row(visible=visible) as self._groups[id]:
            self._fields[id] = {
                name: parameter_input(name, p, elem_id=f"{self.condition.id}-{id}-{name}", min_width=_width(p.default))
                for name, p in declared.items()
            }
        for low, high in annotator(id).ordered:
            keep_ordered(self._fields[id][low], self._fields[id][high])

    @property
    def components(self) -> set[Component]:
        """Choice and parameters."""
        return {self.choice, *(field for fields in self._fields.values() for field in fields.values())}

    def read(self, values: Values) -> tuple[str | None, dict[str, Any]]:
        """Return the annotator's id, None where none runs, and its parameters."""
        chosen = values[self.choice]
        if chosen == OWN_MAP or chosen in self._notes:
            return None, {}
        return chosen, {name: values[field] for name, field in self._fields.get(chosen, {}).items()}

    def is_settled(self, values: Values) -> bool:
        """Return whether no slider is on its way: one that is dragged past its partner pushes it along in a moment."""
        chosen, given = self.read(values)
        ordered: Sequence[tuple[str, str]] = annotator(chosen).ordered if chosen else ()
        return all(given[low] <= given[high] for low, high in ordered)

    def _chosen(self, values: Values) -> Updates:
        chosen = values[self.choice]
        shown = {group: gr.Row(visible=id == chosen) for id, group in self._groups.items()}
        return {self.note: self._note(chosen), **shown}

    def _note(self, chosen: str) -> str:
        return self._notes.get(chosen) or note_html(chosen, self._faults)


def _width(default: object) -> int:
    """Least width of a parameter's field: switches stand three in a row."""
    return 160 if isinstance(default, bool) else 250


def choices(row: Condition, faults: Mapping[str, str] = NOTHING_KNOWN) -> list[tuple[str, str]]:
    """Return title and id of a condition's annotators, then no annotator."""
    made = [
        (f"{annotator(id).title}{' (not available)' * bool(library_fault(id, faults))}", id) for id in row.annotators
    ]
    return [*made, (OWN_MAP_TITLE, OWN_MAP)]


def first_choice(row: Condition, faults: Mapping[str, str] = NOTHING_KNOWN) -> str:
    """Return the annotator that a condition starts with: the best that can run now."""
    return default_annotator(row.id, faults)


def note_html(chosen: str, faults: Mapping[str, str] = NOTHING_KNOWN) -> str:
    """Return what a user should know of an annotator: why it cannot run, its limits, its licence, and its downloads."""
    if chosen == OWN_MAP:
        return "The picture is used as the map, unchanged."
    downloads = [
        f"{row.title} ({size_text(row.size)}) is downloaded once, when first used."
        for row in missing_weights(chosen)
        if row.repo
    ]
    kind = annotator(chosen)
    return html.escape(
        " ".join(filter(None, (library_fault(chosen, faults), kind.note, licence_text(kind), *downloads)))
    )
