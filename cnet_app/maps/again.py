"""Maps of finished pictures, made as the maps of their units were, to compare the two."""

from __future__ import annotations

from collections.abc import Callable

from annotators.base import Image
from annotators.maps.control_map import ControlMap
from cnet_app.maps.annotate import Maps
from cnet_app.maps.availability import default_annotator
from cnet_app.request.units import ControlUnit


def annotate_again(maps: Maps) -> Callable[[ControlUnit, Image], ControlMap]:
    """Return what annotates a finished picture at its own size, through these maps.

    The annotator is the one that made the unit's map; for a map of the user's own or from a drawing, the condition's
    default.
    """

    def annotate(unit: ControlUnit, picture: Image) -> ControlMap:
        height, width = picture.shape[:2]
        judge = unit.judge
        parameters = unit.annotator_parameters if judge else None
        chosen = judge or default_annotator(unit.condition, maps.faults)
        return maps.annotate(unit.condition, chosen, picture, parameters or None, width, height)

    return annotate
