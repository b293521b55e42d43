"""How well a picture follows its units: one number each, an agreement on one scale, and words. Loads no torch."""

from __future__ import annotations

from annotators.base import Image
from cnet_app.fidelity.compare import Annotate, Comparison, compare
from cnet_app.fidelity.measures import MAP_MEASURES, PEOPLE_MEASURES, best_match
from cnet_app.registry.conditions import condition
from cnet_app.registry.measures import measure
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.inpaint import described_part
from cnet_app.request.plain import FrozenMap
from cnet_app.request.recipes.scores import UnitScore
from cnet_app.request.units import ControlUnit
from models.errors import USER_ERRORS

DIGITS = 4
"""After the point, of values and agreements."""


def score(
    unit: ControlUnit, picture: Image, annotate: Annotate | None = None, inpaint_mask: bytes | None = None
) -> UnitScore:
    """Return how closely a finished picture, (H, W, 3), follows a unit; arguments as of `compare`.

    A condition without a measure, and a comparison that fails for a reason the user can read, give a score without a
    value and with that reason.
    """
    row = condition(unit.condition)
    if row.measure is None:
        return UnitScore(condition=row.id, reason=row.no_score)
    try:
        return score_of(compare(unit, picture, annotate, inpaint_mask))
    except USER_ERRORS as error:
        return UnitScore(condition=row.id, measure=row.measure, unit=measure(row.measure).unit, reason=str(error))


def score_request(
    request: GenerationRequest, picture: Image, annotate: Annotate | None = None
) -> tuple[UnitScore, ...]:
    """Return one score for each unit of the picture's request, in their order; raises InputError as `described_part`."""
    part, inpaint_mask = described_part(request, picture)
    return tuple(score(unit, part, annotate, inpaint_mask) for unit in request.units)


def score_of(compared: Comparison) -> UnitScore:
    """Return the score of a comparison."""
    row = compared.condition
    assert row.measure is not None, f"{row.id} has no measure"
    main = measure(row.measure)
    value = value_of(main.id, compared)
    agreement = main.agreement(value)
    found, wanted = _joints(compared)
    return UnitScore(
        condition=row.id,
        measure=main.id,
        value=round(value, DIGITS),
        unit=main.unit,
        agreement=round(agreement, DIGITS),
        words=row.score_words.format(percent=round(100 * agreement), found=found, wanted=wanted),
        annotator=compared.annotator,
        more=FrozenMap({id: round(value_of(id, compared), DIGITS) for id in row.more_measures}),
    )


def value_of(measure_id: str, compared: Comparison) -> float:
    """Return one measure of a comparison. Raises InputError where the maps are too small or too empty for it."""
    if measure_id in PEOPLE_MEASURES:
        return PEOPLE_MEASURES[measure_id](compared.wanted_people, compared.found_people)
    return MAP_MEASURES[measure_id](compared.wanted, compared.found, where=compared.where)


def _joints(compared: Comparison) -> tuple[int, int]:
    """Return the joints that were found and those that were wanted, of all people together."""
    wanted = compared.wanted_people
    hits = [best_match(person, compared.found_people)[0] for person in wanted]
    return sum(int(hit.sum()) for hit in hits), sum(int((person[:, 2] > 0).sum()) for person in wanted)
