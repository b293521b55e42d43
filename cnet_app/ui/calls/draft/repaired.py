"""Makes the page's maps, and repairs maps of the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from annotators.base import Image
from annotators.maps.control_map import ControlMap
from annotators.maps.recognise import Repair
from annotators.people.poses import Pose
from cnet_app.maps.annotate import Maps
from cnet_app.ui.calls.draft.frame import Frame

AS_IT_IS = "as_it_is"
"""The repair that is a choice: no preprocessor."""


@dataclass(frozen=True)
class MapOrder:
    """Source, annotator and size of one map."""

    condition: str
    annotator: str | None
    """None for a map of the user's own, and for people as data."""
    source: Image | Pose
    frame: Frame
    parameters: Mapping[str, object]
    suggested: Sequence[Repair] = ()
    """Repairs that the source's file suggests."""
    repairs: Sequence[str] = ()
    """Ids of the repairs that are ticked; those that this map does not offer are left out."""


@dataclass(frozen=True)
class MadeMap:
    """A map, the repairs that it offers, and the ids of those that were done."""

    made: ControlMap
    offered: tuple[Repair, ...]
    done: tuple[str, ...]


def make_map(maps: Maps, order: MapOrder) -> MadeMap:
    """Make a map, repaired as far as it is asked for. Raises InputError and WeightsError.

    A repair is ticked for one picture and may not fit the next; behind one fault another may come to light.
    """
    size = (order.frame.width, order.frame.height, order.frame.resize)
    made = maps.annotate(order.condition, order.annotator, order.source, order.parameters or None, *size)
    offered, done = [*order.suggested, *made.repairs], list[str]()
    while repair := _next(offered, order.repairs, done):
        done.append(repair.id)
        made = maps.annotate(order.condition, order.annotator, order.source, None, *size, repairs=done)
        offered += [one for one in made.repairs if one not in offered]
    return MadeMap(made, tuple(offered), tuple(done))


def _next(offered: Sequence[Repair], asked: Sequence[str], done: Sequence[str]) -> Repair | None:
    return next((one for one in offered if one.id in asked and one.id not in (AS_IT_IS, *done)), None)
