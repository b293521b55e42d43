"""Where and how strongly all units of a picture push together, before a picture is made; and whether they fight, after one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from annotators.base import Image
from cnet_app.registry.modes import CUSTOM, SD_PLACES, Place, even_places, mode
from cnet_app.request.factors import active_steps, curve_at, place_weights
from cnet_app.request.units import ControlUnit

Coverage = NDArray[np.float32]
"""(H, W): 1 is the push of one unit as it was trained; below 0 the picture is pushed away from its maps."""

CONTOURS = (0.25, 0.5, 0.75, 1.0)
"""Levels with a line; that of 1 is twice as wide."""
TOO_MUCH = 1.5
"""Coverage above which pictures look over-steered."""
SCALE = ((0.0, (238, 238, 238)), (1.0, (0, 114, 178)), (TOO_MUCH, (0, 52, 92)))
"""Coverage and its RGB, blended between: neutral grey to blue, darker throughout, so that it reads without colours too."""
RED, RED_STRIPE = (213, 60, 0), (255, 214, 170)
"""Above TOO_MUCH, with stripes that rise to the right, so that no colour needs to be told from another."""
VIOLET, VIOLET_STRIPE = (126, 47, 142), (236, 206, 240)
"""Below 0, with stripes that fall to the right."""
DARK_LINE, BRIGHT_LINE = (40, 40, 40), (255, 255, 255)
STRIPES, STRIPE = 8, 2
"""Pixels from stripe to stripe, and of one stripe."""

DROWNED = 3.0
"""Times that the strongest unit may add as much as the weakest."""
PILED = 1.5
"""Times that all units together may add as much as the strongest."""
STRONG = 0.5
"""Share of the strongest from which a unit counts as strong."""


def coverage(
    units: Iterable[ControlUnit], width: int, height: int, steps: int, *, guess_mode: bool = False
) -> Coverage:
    """Return how strongly the units push together at every pixel, (height, width).

    Each adds its conditioning_scale, times the mean of its range and strength curve over the steps, times the mean over
    depth of its mode's factors and its depth curve, on the prompt's side, times its mask or weight map. Depths are those
    of SD 1.5's places, in mode "custom" as many as there are block weights. `guess_mode` is the request's.
    """
    total = np.zeros((height, width), np.float32)
    for unit in units:
        pushes = unit.conditioning_scale * _over_steps(unit, steps) * _over_depth(unit, guess_mode)
        weights = place_weights(unit.mask, unit.mask_feather, unit.weight_map, width, height)
        total += np.float32(pushes) * (np.float32(1) if weights is None else weights)
    return total


def coverage_picture(values: Coverage) -> Image:
    """Return coverage as a picture, (H, W, 3) RGB: grey to blue with contour lines, over-steering red, below 0 violet."""
    levels, colours = [level for level, _ in SCALE], [colour for _, colour in SCALE]
    picture = np.stack([np.interp(values, levels, channel) for channel in zip(*colours, strict=True)], axis=-1)
    picture = np.rint(picture).astype(np.uint8)
    rows, columns = np.indices(values.shape)
    for place, colour, stripe, diagonal in (
        (values > TOO_MUCH, RED, RED_STRIPE, rows + columns),
        (values < 0, VIOLET, VIOLET_STRIPE, rows - columns),
    ):
        picture[place] = colour
        picture[place & (diagonal % STRIPES < STRIPE)] = stripe
    for level in CONTOURS:
        picture[_contour(values >= level, level == CONTOURS[-1])] = DARK_LINE if level <= 0.5 else BRIGHT_LINE
    return picture


def fighting(norms: Sequence[Sequence[float]]) -> str | None:
    """Return a hint where units fight, from GenerationResult.residual_norms; None where they do not, or are fewer than two.

    A unit's total is the norm of all its residuals. One that adds more than DROWNED times as much as another drowns it.
    Else, where each has at least STRONG of the strongest, and all together more than PILED times it, they pile up. Norms
    have no directions: the sum is taken as that of independent units, the root of their squares, which two equal ones
    leave at 1.4 and three bring to 1.7. Units are numbered as they are in `norms`: those that ran, from 1.
    """
    totals = [math.sqrt(sum(norm * norm for norm in places)) for places in norms]
    if len(totals) < 2 or not max(totals) > 0:
        return None
    strongest, weakest = max(totals), min(totals)
    first, last = totals.index(strongest) + 1, totals.index(weakest) + 1
    if weakest == 0:
        return f"Layer {last} adds nothing, and layer {first} decides alone; raise the strength of layer {last}, or remove it."
    if strongest > DROWNED * weakest:
        return (
            f"Layer {first} adds {strongest / weakest:.1f} times as much as layer {last} and drowns it; lower the strength "
            f"of layer {first}, or give them masks or ranges of their own."
        )
    together = math.sqrt(sum(total * total for total in totals)) / strongest
    if together > PILED and weakest >= STRONG * strongest:
        return (
            f"{len(totals)} layers push at once, together {together:.1f} times as hard as the strongest; lower each strength, "
            "give them masks or ranges of their own, or turn norm_preserving on."
        )
    return None


def _over_steps(unit: ControlUnit, steps: int) -> float:
    """Mean of the unit's factor over all steps, 0 outside of its range."""
    active = active_steps(steps, unit.control_guidance_start, unit.control_guidance_end)
    factors = [curve_at(unit.strength_curve, step / steps) for step in active]
    return sum(factors) / steps


def _over_depth(unit: ControlUnit, guess_mode: bool) -> float:
    """Mean over all places of the mode's factors and the depth curve."""
    places: Sequence[Place] = SD_PLACES
    if unit.control_mode == CUSTOM and not guess_mode:
        weights, places = unit.block_weights, even_places((1,) * len(unit.block_weights))
    else:
        weights = mode("control" if guess_mode else unit.control_mode).weights(places)
    factors = [weight * curve_at(unit.depth_curve, place.depth) for weight, place in zip(weights, places, strict=True)]
    return sum(factors) / len(factors)


def _contour(inside: NDArray[np.bool_], wide: bool) -> NDArray[np.bool_]:
    """Pixels inside that touch one outside on their sides, or with `wide` those that are one further in as well."""
    core = inside
    for _ in range(2 if wide else 1):
        framed = np.pad(core, 1, mode="edge")
        core = core & framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    return inside & ~core
