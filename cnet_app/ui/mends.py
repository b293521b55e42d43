"""The boxes below a map that put right what is wrong with it, each by one click; there only where something is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from annotators.base import Image
from annotators.control_map import ControlMap
from annotators.recognise import Mend
from cnet_app.maps.annotate import annotate
from cnet_app.ui.annotator_form import OWN_MAP
from cnet_app.ui.desk import HIDDEN

AS_IT_IS = "as_it_is"
"""The mend that is a choice: no annotator."""


@dataclass(frozen=True)
class Mended:
    """A map with the mends asked for, and all that could be."""

    made: ControlMap
    offered: tuple[Mend, ...]


def build_mends(name: str) -> gr.CheckboxGroup:
    """Unseen until `mend_choices` says otherwise."""
    mends = gr.CheckboxGroup([], show_label=False, container=False, visible=False, elem_id=f"{name}-mends")
    # What is no longer offered may still be ticked in what comes next; Gradio's own would refuse it.
    setattr(mends, "preprocess", lambda payload: payload or [])  # noqa: B010
    return mends


def connect_mends(mends: gr.CheckboxGroup, annotator: gr.Dropdown) -> Any:
    """The event of a tick, after which the map is another. One that was taken for a photo is mended by no annotator."""
    return mends.input(_choose_own_map, [mends, annotator], annotator, queue=False, **HIDDEN)


def annotate_mended(
    condition_id: str,
    chosen: str | None,
    image: Image,
    parameters: Mapping[str, object] | None,
    size: tuple[int, int],
    asked: Sequence[str] | None,
) -> Mended:
    """What was asked of another picture before does not touch this one; behind one fault another may come to light."""
    made = annotate(condition_id, chosen, image, parameters or None, *size)
    offered, done = list(made.mends), []
    while mend := next((one for one in offered if one.id in (asked or ()) and one.id not in (AS_IT_IS, *done)), None):
        done.append(mend.id)
        made = annotate(condition_id, chosen, image, None, *size, mends=done)
        offered += [one for one in made.mends if one not in offered]
    return Mended(made, tuple(offered))


def mend_choices(mended: Mended | None) -> gr.CheckboxGroup:
    """The boxes for this map, those ticked whose mends are done; none without a map."""
    if mended is None:
        return gr.CheckboxGroup(choices=[], value=[], visible=False)
    done = [mend.id for mend in mended.offered if mend.done in mended.made.warnings]
    choices = [(mend.title, mend.id) for mend in mended.offered]
    return gr.CheckboxGroup(choices=choices, value=done, visible=bool(choices))


def _choose_own_map(asked: list[str], chosen: str) -> Any:
    return OWN_MAP if AS_IT_IS in asked and chosen != OWN_MAP else gr.skip()
