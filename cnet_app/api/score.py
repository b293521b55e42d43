"""Control fidelity of a generated picture, from the recipe inside it. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from annotators.base import Image
from annotators.sources.images import load_image
from cnet_app.fidelity.overlay import overlay
from cnet_app.fidelity.score import DIGITS, score
from cnet_app.maps.again import annotate_again
from cnet_app.maps.annotate import Maps
from cnet_app.registry.measures import measure
from cnet_app.request.inpaint import described_part
from cnet_app.request.recipe import read_request
from cnet_app.request.recipes.scores import UnitScore, mean_agreement
from models.errors import InputError

SaveImage = Callable[[Image], Any]
"""Saves an image where the reader of the answer can fetch it, and returns what names it."""


def score_picture(path: Path, maps: Maps, save_overlay: SaveImage | None = None) -> dict[str, Any]:
    """Return `scores`, one object for each unit of the picture's recipe, and `agreement`, their mean, 0 to 1.

    With `save_overlay` each unit that was compared also has an `overlay` and its `legend`. Raises InputError for a
    picture without a recipe.
    """
    request, annotate = read_request(path), annotate_again(maps)
    picture, inpaint_mask = described_part(request, load_image(path))
    scores = [score(unit, picture, annotate, inpaint_mask) for unit in request.units]
    described = [describe_score(one) for one in scores]
    for unit, one, found in zip(request.units, scores, described, strict=True):
        if save_overlay and one.value is not None:
            drawn = overlay(unit, picture, annotate, inpaint_mask)
            legend = [{"name": name, "colour": list(colour)} for name, colour in drawn.legend]
            found |= {"overlay": save_overlay(drawn.image), "legend": legend}
    mean = mean_agreement(scores)
    return {"scores": described, "agreement": None if mean is None else round(mean, DIGITS)}


def describe_score(found: UnitScore) -> dict[str, Any]:
    """Return a score with the title, range and direction of its measure."""
    plain: dict[str, Any] = dict(found.to_json())
    if found.measure is None:
        return plain
    try:
        row = measure(found.measure)
    except InputError:  # of another version
        return plain
    return plain | {"title": row.label, "range": list(row.range), "higher_is_better": row.higher_is_better}
