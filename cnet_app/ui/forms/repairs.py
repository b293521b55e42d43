"""The boxes below a map that repair it, each by one click; shown only where the map has such a fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from cnet_app.ui.forms.annotator import OWN_MAP
from cnet_app.ui.gradio_seams import HIDDEN, Updates, Values, open_checkboxes
from cnet_app.ui.maps import AS_IT_IS, MadeMap


def build_repairs(name: str) -> gr.CheckboxGroup:
    """Build the group; it stays hidden until `repair_choices` fills it."""
    return open_checkboxes(show_label=False, container=False, elem_id=f"{name}-repairs")


def connect_repairs(repairs: gr.CheckboxGroup, preprocessor: gr.Dropdown) -> Any:
    """Return the event of a tick, after which the map is another. To take a picture as it is chooses no preprocessor."""

    def choose_own_map(values: Values) -> Updates | Any:
        asked: Sequence[str] = values[repairs]
        is_new = AS_IT_IS in asked and values[preprocessor] != OWN_MAP
        return {preprocessor: OWN_MAP} if is_new else gr.skip()

    return repairs.input(choose_own_map, {repairs, preprocessor}, [preprocessor], queue=False, **HIDDEN)


def repair_choices(made: MadeMap | None) -> gr.CheckboxGroup:
    """Return the boxes for this map, those ticked whose repairs are done; none without a map."""
    if made is None:
        return gr.CheckboxGroup(choices=[], value=[], visible=False)
    choices = [(repair.title, repair.id) for repair in made.offered]
    return gr.CheckboxGroup(choices=choices, value=list(made.done), visible=bool(choices))
