"""The boxes below a map that put right what is wrong with it, each by one click; there only where something is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from annotators.base import Image
from annotators.control_map import ControlMap
from annotators.recognise import Repair
from cnet_app.maps.annotate import annotate
from cnet_app.ui.annotator_form import OWN_MAP
from cnet_app.ui.desk import HIDDEN

AS_IT_IS = "as_it_is"
"""The repair that is a choice: no annotator."""


@dataclass(frozen=True)
class Repaired:
    """A map with the repairs asked for, and all that could be."""

    made: ControlMap
    offered: tuple[Repair, ...]


def build_repairs(name: str) -> gr.CheckboxGroup:
    """Unseen until `repair_choices` says otherwise."""
    repairs = gr.CheckboxGroup([], show_label=False, container=False, visible=False, elem_id=f"{name}-repairs")
    # What is no longer offered may still be ticked in what comes next; Gradio's own would refuse it.
    setattr(repairs, "preprocess", lambda payload: payload or [])  # noqa: B010
    return repairs


def connect_repairs(repairs: gr.CheckboxGroup, annotator: gr.Dropdown) -> Any:
    """The event of a tick, after which the map is another. One that was taken for a photo is repaired by no annotator."""
    return repairs.input(_choose_own_map, [repairs, annotator], annotator, queue=False, **HIDDEN)


def annotate_repaired(
    condition_id: str,
    chosen: str | None,
    image: Image,
    parameters: Mapping[str, object] | None,
    size: tuple[int, int],
    asked: Sequence[str] | None,
) -> Repaired:
    """What was asked of another picture before does not touch this one; behind one fault another may come to light."""
    made = annotate(condition_id, chosen, image, parameters or None, *size)
    offered, done = list(made.repairs), []
    while repair := next((one for one in offered if one.id in (asked or ()) and one.id not in (AS_IT_IS, *done)), None):
        done.append(repair.id)
        made = annotate(condition_id, chosen, image, None, *size, repairs=done)
        offered += [one for one in made.repairs if one not in offered]
    return Repaired(made, tuple(offered))


def repair_choices(repaired: Repaired | None) -> gr.CheckboxGroup:
    """The boxes for this map, those ticked whose repairs are done; none without a map."""
    if repaired is None:
        return gr.CheckboxGroup(choices=[], value=[], visible=False)
    done = [repair.id for repair in repaired.offered if repair.done in repaired.made.warnings]
    choices = [(repair.title, repair.id) for repair in repaired.offered]
    return gr.CheckboxGroup(choices=choices, value=done, visible=bool(choices))


def _choose_own_map(asked: list[str], chosen: str) -> Any:
    return OWN_MAP if AS_IT_IS in asked and chosen != OWN_MAP else gr.skip()
