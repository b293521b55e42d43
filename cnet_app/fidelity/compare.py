"""A picture annotated again: the map that a unit wanted and the map that the picture has, side by side. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from annotators.base import Annotator, Image, create
from annotators.maps.control_map import ControlMap, make_map
from annotators.maps.encoders import resize_map
from annotators.people.poses import Points, Pose
from annotators.registry import annotator
from cnet_app.fidelity.measures import PEOPLE_MEASURES, Mask
from cnet_app.registry.conditions import Condition, condition
from cnet_app.request.factors import place_weights
from cnet_app.request.pictures import white_pixels
from cnet_app.request.units import ControlUnit
from models.catalogue.catalog import entry
from models.errors import InputError

STEERS = 0.5
"""Weight of a weight map above which a unit counts, as a mask's middle grey."""
Annotate = Callable[[ControlUnit, Image], ControlMap]
"""Makes the map of a finished picture, (H, W, 3), at its size, as the unit's map was made."""


@dataclass(frozen=True)
class Comparison:
    """What was wanted and what is there, at the size of the picture."""

    condition: Condition
    wanted: Image
    found: Image
    wanted_people: tuple[Points, ...]
    """(18, 3) each: joints outside of the picture or of `where` have visibility 0. Empty where no people are measured."""
    found_people: tuple[Points, ...]
    where: Mask | None
    """Where the unit counts; None is everywhere."""
    annotator: str | None


def compare(
    unit: ControlUnit, picture: Image, annotate: Annotate | None = None, inpaint_mask: bytes | None = None
) -> Comparison:
    """Annotate a finished picture and return it beside the unit's map, which is resized as it was for generation.

    Only the part counts where the unit steers: inside its mask, or where its weight map is above STEERS, and, where the condition's map leaves out what
    `inpaint_mask` covers, outside of that. Without `annotate` the annotator runs here. Raises InputError where the
    condition has no measure, where people are measured and the unit has none, or where no pixel counts; and what
    `annotate` raises.
    """
    row = condition(unit.condition)
    if row.measure is None:
        raise InputError(row.no_score)
    height, width = picture.shape[:2]
    where = _where(unit, row, width, height, inpaint_mask)
    people = _wanted_people(unit, row, width, height, where) if row.measure in PEOPLE_MEASURES else ()
    made = (annotate or annotate_here)(unit, picture)
    return Comparison(
        condition=row,
        wanted=resize_map(unit.pixels, row.kind, width, height),
        found=made.pixels,
        wanted_people=people,
        found_people=_found_people(made) if people else (),
        where=where,
        annotator=made.annotator,
    )


def annotate_here(unit: ControlUnit, picture: Image) -> ControlMap:
    """Make the map in this process: by the annotator that made the unit's map, else by the shipped one."""
    judge = unit.judge
    made_by = create(annotator(judge), unit.annotator_parameters) if judge else shipped_annotator(unit.condition)()
    return make_map(made_by, picture)


def shipped_annotator(condition_id: str) -> type[Annotator]:
    """Return a condition's best annotator among those that need no download."""
    kinds = [annotator(id) for id in condition(condition_id).annotators]
    return next(kind for kind in kinds if not any(entry(weights).repo for weights in kind.weights))


def _where(unit: ControlUnit, row: Condition, width: int, height: int, inpaint_mask: bytes | None) -> Mask | None:
    parts: list[Mask] = []
    if unit.mask is not None:
        parts.append(white_pixels(unit.mask, width, height))
    weights = place_weights(None, 0, unit.weight_map, width, height)
    if weights is not None:
        parts.append(weights > STEERS)
    if row.masked and inpaint_mask is not None:
        parts.append(~white_pixels(inpaint_mask, width, height))
    if not parts:
        return None
    where = np.logical_and.reduce(parts)
    if not where.any():
        raise InputError(f"The masks leave no part of the picture to {row.title}, so there is nothing to compare.")
    return where


def _wanted_people(
    unit: ControlUnit, row: Condition, width: int, height: int, where: Mask | None
) -> tuple[Points, ...]:
    pose = unit.pose
    if pose is None or not pose.people:
        raise InputError(
            f"A result of {row.title} is scored by its people, but the pose of the control image is missing or "
            "empty; give a pose with at least one person."
        )
    counted = np.ones((height, width), np.bool_) if where is None else where
    people = [_visible(person.body, counted) for person in pose.resized(width, height).people]
    seen = tuple(person for person in people if (person[:, 2] > 0).any())
    if not seen:
        raise InputError(f"No joint of the pose is inside the part of the picture that {row.title} steers.")
    return seen


def _visible(body: Points, counted: Mask) -> Points:
    """Return the joints, those outside of the counted pixels with visibility 0."""
    height, width = counted.shape
    x, y = (np.floor(body[:, axis]).clip(-1, limit).astype(int) for axis, limit in ((0, width), (1, height)))
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    inside[inside] = counted[y[inside], x[inside]]
    return np.where(inside[:, None], body, body * (1, 1, 0))


def _found_people(made: ControlMap) -> tuple[Points, ...]:
    if not isinstance(made.data, Pose):
        raise InputError(
            f"The annotator is {made.annotator}, but a pose is scored with an annotator that finds people."
        )
    return tuple(person.body for person in made.data.people)
