"""Control fidelity of a generated picture, from the recipe inside it. Loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from annotators.images import load_image
from annotators.poses import Pose
from cnet_app.fidelity.score import compare
from cnet_app.maps.annotate import Maps
from cnet_app.maps.availability import default_annotator
from cnet_app.registry.conditions import condition
from cnet_app.request.recipe import read_request
from cnet_app.request.units import ControlUnit
from models.errors import StudioError


def score_picture(path: Path, maps: Maps) -> list[dict[str, Any]]:
    """Return one object a unit of the picture's recipe: condition, measure, value with its unit and range, or a reason.

    The annotator that made the map reads the picture; for a map of the user's own, the condition's default. `value` is
    None where the condition has no measure, and where that annotator cannot run. Raises InputError for a picture
    without a recipe.
    """
    picture = load_image(path)
    return [_score(unit, picture, maps) for unit in read_request(path).units]


def _score(unit: ControlUnit, picture: Any, maps: Maps) -> dict[str, Any]:
    row = condition(unit.condition)
    scored: dict[str, Any] = {"condition": row.id, "measure": row.measure, "value": None, "reason": ""}
    if row.measure is None:
        return scored | {"reason": f"A picture of {row.title} is not meant to resemble its map."}
    judge = unit.annotator or default_annotator(row.id, maps.faults)
    height, width = picture.shape[:2]
    try:
        made = maps.annotate(row.id, judge, picture, unit.annotator_parameters or None, width, height)
        found = made.data if isinstance(made.data, Pose) else None
        score = compare(row.id, unit.pixels, made.pixels, unit.pose, found)
    except StudioError as error:
        return scored | {"annotator": judge, "reason": str(error)}
    assert score is not None
    return scored | {
        "annotator": judge,
        "value": round(score.value, 4),
        "title": score.measure.label,
        "range": list(score.measure.range),
        "higher_is_better": score.measure.higher_is_better,
    }
