"""The fidelity of a picture to its control image: annotate the picture again, and compare the two maps."""

from __future__ import annotations

from dataclasses import dataclass

from annotators.base import Annotator, Image
from annotators.control_map import DataAnnotator
from annotators.images import resize
from annotators.poses import Person, Pose
from annotators.registry import annotator
from annotators.runtime import Runtime
from cnet_app.fidelity.measures import MAP_MEASURES, PEOPLE_MEASURES
from cnet_app.registry.conditions import condition
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
    height, width = result_image.shape[:2]
    if row.measure in PEOPLE_MEASURES:
        wanted = [] if pose is None else [person.body for person in pose.resized(width, height).people]
        if not wanted:
            raise InputError(
                f"A result of {row.title} is scored by its people, but the pose of the control image is missing or "
                "empty; give a pose with at least one person."
            )
        value = PEOPLE_MEASURES[row.measure](wanted, [person.body for person in _people(judge, result_image, runtime)])
    else:
        wanted_map = resize(control_image, width, height, nearest=row.kind.nearest)
        value = MAP_MEASURES[row.measure](wanted_map, judge(result_image, runtime))
    return Score(measure(row.measure), value)


def _people(judge: Annotator, image: Image, runtime: Runtime) -> tuple[Person, ...]:
    found = judge.detect(image, runtime) if isinstance(judge, DataAnnotator) else None
    if not isinstance(found, Pose):
        raise InputError(f"The annotator is {judge.id}, but a pose is scored with an annotator that finds people.")
    return found.people
