"""Control modes: how strongly each block of a ControlNet counts, and on which side of guidance. One row a mode.

A block is one of the residuals in a ControlNet's order: skip connections from the shallowest on, the middle block last.
Its reduction says how many times smaller than the latents its features are: 1, 1, 1, 2, … 8 for Stable Diffusion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from models.errors import InputError
from models.names import did_you_mean

SOFT = 0.825
"""What each block towards the shallow end keeps: the original's guess mode, 0.825 ** (12 - i)."""
CUSTOM = "custom"

Weights = tuple[float, ...]
"""One factor a block."""


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A row of the table."""

    id: str
    title: str
    help: str
    weights: Callable[[Sequence[int]], Weights]
    """Reductions of the blocks to their factors at strength 1."""
    both_sides: bool = False
    """Whether guidance's unconditional side is steered too; where it is not, the network does not run for it."""


def _even(reductions: Sequence[int]) -> Weights:
    return (1.0,) * len(reductions)


def _soft(reductions: Sequence[int]) -> Weights:
    return tuple(SOFT ** (len(reductions) - 1 - i) for i in range(len(reductions)))


def _by_resolution(reductions: Sequence[int]) -> Weights:
    return tuple(float(reduction) for reduction in reductions)


def _by_resolution_normalised(reductions: Sequence[int]) -> Weights:
    return tuple(reduction / max(reductions) for reduction in reductions)


_ROWS = (
    Mode(
        id="balanced",
        title="Balanced",
        help="Map and prompt count alike, as the ControlNet was trained.",
        weights=_even,
        both_sides=True,
    ),
    Mode(
        id="prompt",
        title="My prompt is more important",
        help="The map keeps the large shapes and lets go of the details.",
        weights=_soft,
        both_sides=True,
    ),
    Mode(
        id="control",
        title="ControlNet is more important",
        help="The original's guess mode: the map alone says what is seen; works with an empty prompt.",
        weights=_soft,
    ),
    Mode(
        id="unbalanced",
        title="Unbalanced",
        help="Guidance strengthens the map as it does the prompt, in every detail.",
        weights=_even,
    ),
    Mode(
        id="cfg_resolution",
        title="Resolution weights (the paper's)",
        help="Guidance strengthens the map, the deep blocks up to eight times: for high guidance and low strength.",
        weights=_by_resolution,
    ),
    Mode(
        id="cfg_resolution_normalised",
        title="Resolution weights, normalised",
        help="The same divided by the largest: close to guess mode, in steps.",
        weights=_by_resolution_normalised,
    ),
    Mode(
        id=CUSTOM,
        title="Custom",
        help="One number a block, for either side of guidance.",
        weights=_even,
    ),
)
MODES: Mapping[str, Mode] = MappingProxyType({row.id: row for row in _ROWS})


def mode(id: str) -> Mode:
    """A row; an unknown id is an InputError that lists the known ones."""
    if id not in MODES:
        hint = did_you_mean(id, MODES)
        raise InputError(f"control_mode is {id!r}{hint}, but it must be one of: {', '.join(MODES)}.")
    return MODES[id]
