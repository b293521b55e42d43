"""Control modes: how strongly each residual of a ControlNet counts, and on which side of guidance. One row a mode.

A mode is a function of places, not of the levels of one network: it works for every family whose networks declare where
their residuals enter. What a mode needs of a family is declared, so that a family without it refuses the mode in a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from annotators.base import shown
from models.errors import InputError
from models.families import refusal
from models.family_facts import Capability, FamilyFacts
from models.names import did_you_mean

SOFT = 0.825
"""Factor from each place to the next shallower one: guess mode of the original code, 0.825 ** (12 - i) for 13 places."""
CUSTOM = "custom"
GUESS = "control"
"""The mode of all units in guess mode."""

Weights = tuple[float, ...]
"""One factor a place."""


@dataclass(frozen=True)
class Place:
    """Where a residual enters the base model's network."""

    depth: float
    """0 for the shallowest place, 1 for the deepest: a U-Net's middle block, a transformer's last block."""
    reduction: int = 1
    """Downsampling of the features against the latents at each place: 1, 1, 1, 2, … 8 for Stable Diffusion."""


def even_places(reductions: Sequence[int]) -> tuple[Place, ...]:
    """Return places of these reductions at even distances, from the shallowest to the deepest."""
    last = len(reductions) - 1
    return tuple(Place(number / last if last else 1.0, reduction) for number, reduction in enumerate(reductions))


SD_PLACES = even_places((1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8))
"""Of the blocks of an SD 1.5 or 2.1 ControlNet."""


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A row of the table."""

    id: str
    title: str
    help: str
    weights: Callable[[Sequence[Place]], Weights]
    """Places of a network to their factors at control strength 1."""
    both_sides: bool = False
    """Whether guidance's unconditional side is controlled too; where it is not, the network does not run for it."""
    by_place: bool = True
    """Whether places differ in their factors; a network that averages its residuals over the picture cannot do that."""
    needs: tuple[Capability, ...] = ()
    """Capabilities of a family without which the mode has no meaning."""

    def refusal(self, facts: FamilyFacts, what: str = "") -> str:
        """Return why a family refuses the mode, or `what` chooses it; "" where it has all that the mode needs."""
        return refusal(facts, self.needs, what or f"Control mode {self.title!r}")


def _even(places: Sequence[Place]) -> Weights:
    return (1.0,) * len(places)


def _soft(places: Sequence[Place]) -> Weights:
    # Rounded, since 12 * (1 - 1 / 12) is not 11 in floating point, and the exponents must be the original's whole numbers.
    return tuple(SOFT ** round((len(places) - 1) * (1 - place.depth), 6) for place in places)


def _by_resolution(places: Sequence[Place]) -> Weights:
    return tuple(float(place.reduction) for place in places)


def _by_resolution_normalised(places: Sequence[Place]) -> Weights:
    largest = max(place.reduction for place in places)
    return tuple(place.reduction / largest for place in places)


_ROWS = (
    Mode(
        id="balanced",
        title="Balanced",
        help="Map and prompt count alike, as the ControlNet was trained.",
        weights=_even,
        both_sides=True,
        by_place=False,
    ),
    Mode(
        id="prompt",
        title="My prompt is more important",
        help="The map decides the large shapes, the prompt the details.",
        weights=_soft,
        both_sides=True,
        needs=("control_weights",),
    ),
    Mode(
        id=GUESS,
        title="ControlNet is more important",
        help="The original's guess mode: the map alone decides what is seen; works with an empty prompt.",
        weights=_soft,
        needs=("guidance_sides", "control_weights"),
    ),
    Mode(
        id="unbalanced",
        title="Unbalanced",
        help="Guidance strengthens the map as it does the prompt, in every detail.",
        weights=_even,
        by_place=False,
        needs=("guidance_sides", "control_weights"),
    ),
    Mode(
        id="cfg_resolution",
        title="Resolution weights (the paper's)",
        help="Guidance strengthens the map, the deep blocks up to eight times: for high guidance and low strength.",
        weights=_by_resolution,
        needs=("guidance_sides", "resolutions"),
    ),
    Mode(
        id="cfg_resolution_normalised",
        title="Resolution weights, normalised",
        help="The same divided by the largest: close to guess mode, in steps.",
        weights=_by_resolution_normalised,
        needs=("guidance_sides", "resolutions"),
    ),
    Mode(
        id=CUSTOM,
        title="Custom",
        help="One number a block, for either side of guidance.",
        weights=_even,
        needs=("control_weights",),
    ),
)
MODES: Mapping[str, Mode] = MappingProxyType({row.id: row for row in _ROWS})


def mode(id: str) -> Mode:
    """Return the row of an id; an unknown one is an InputError that lists the known ones."""
    if id not in MODES:
        hint = did_you_mean(id, MODES)
        raise InputError(f"control_mode is {shown(id)}{hint}, but it must be one of: {', '.join(MODES)}.")
    return MODES[id]
