"""The fidelity of a picture to its control image: annotate the picture again, and compare the two maps."""

from __future__ import annotations

from dataclasses import dataclass

from annotators.base import Annotator, Image
from annotators.control_map import DataAnnotator
from annotators.images import resize
from annotators.poses import Pose
from annotators.registry import annotator
from annotators.runtime import Runtime
from cnet_app.fidelity.measures import MAP_MEASURES, PEOPLE_MEASURES
from cnet_app.registry.conditions import Condition, condition
from cnet_app.registry.measures import Measure, measure
from models.catalog import entry
from models.errors import InputError


@dataclass(frozen=True)
class Score:
    """A value of a measure."""

    measure: Measure
    value: float


def shipped_annotator(condition_id: str) -> type[Annotator]:
    """Return a condition's best annotator among those that need no download."""
    kinds = [annotator(id) for id in condition(condition_id).annotators]
    return next(kind for kind in kinds if not any(entry(weights).repo for weights in kind.weights))


def score(
    condition_id: str,
    control_image: Image,
    result_image: Image,
    *,
    annotator: Annotator | None = None,
    pose: Pose | None = None,
    runtime: Runtime | None = None,
) -> Score | None:
    """Return how closely a result follows its control image; None where the condition has no measure.

    `annotator` should be the one that made the map; without it, `shipped_annotator` is taken. `pose` has the people
    behind a pose map, in pixels of that map. A map of another size is cropped and resized as it was for generation.
    Raises InputError where a measure of people lacks the pose, or the pose is empty.
    """
    row = condition(condition_id)
    if row.measure is None:
        return None
    judge, runtime = annotator or shipped_annotator(condition_id)(), runtime or Runtime()
    if row.measure in PEOPLE_MEASURES:
        _check_people(row, pose)
        return compare(condition_id, control_image, result_image, pose, _people(judge, result_image, runtime))
    return compare(condition_id, control_image, judge(result_image, runtime))


def compare(
    condition_id: str, control_image: Image, result_map: Image, pose: Pose | None = None, found: Pose | None = None
) -> Score | None:
    """Return how closely the map of a result follows its control image; None where the condition has no measure.

    Where people are measured, `pose` has those that were wanted, in pixels of the control image, and `found` those of
    the result, which has the size of `result_map`. Raises InputError where the wanted pose is missing or empty.
    """
    row = condition(condition_id)
    if row.measure is None:
        return None
    height, width = result_map.shape[:2]
    if row.measure in PEOPLE_MEASURES:
        wanted = [person.body for person in _check_people(row, pose).resized(width, height).people]
        people = [person.body for person in found.people] if found else []
        return Score(measure(row.measure), PEOPLE_MEASURES[row.measure](wanted, people))
    wanted_map = resize(control_image, width, height, nearest=row.kind.nearest)
    return Score(measure(row.measure), MAP_MEASURES[row.measure](wanted_map, result_map))


def _check_people(row: Condition, pose: Pose | None) -> Pose:
    if pose is None or not pose.people:
        raise InputError(
            f"A result of {row.title} is scored by its people, but the pose of the control image is missing or "
            "empty; give a pose with at least one person."
        )
    return pose


def _people(judge: Annotator, image: Image, runtime: Runtime) -> Pose:
    found = judge.detect(image, runtime) if isinstance(judge, DataAnnotator) else None
    if not isinstance(found, Pose):
        raise InputError(f"The annotator is {judge.id}, but a pose is scored with an annotator that finds people.")
    return found
