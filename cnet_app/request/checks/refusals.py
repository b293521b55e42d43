"""The parts of a request that a family of bases refuses, in the same sentences for the engine and for the page. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cnet_app.registry.modes import GUESS, MODES, Mode, mode
from cnet_app.registry.samplers import SAMPLERS, refusal_of, sampler
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models.errors import InputError
from models.families import refusal
from models.family_facts import Capability, Defaults, FamilyFacts

UNIT_NEEDS: Mapping[str, tuple[Capability, str]] = MappingProxyType(
    {
        "prompt": ("control_prompts", "The prompt of a control unit"),
        "mask": ("control_masks", "The mask of a control unit"),
        "weight_map": ("control_masks", "The weight_map of a control unit"),
        "depth_curve": ("control_weights", "depth_curve"),
        "control_form": ("control_forms", "control_form diffusers"),
    }
)
"""By field of a unit: the capability that a family needs for it, and the subject of the sentence."""
PLAIN = ControlUnit.__dataclass_fields__
"""The fields of a unit with their defaults, in which no family refuses them."""


def unit_refusals(facts: FamilyFacts) -> dict[str, str]:
    """Return by field of a unit why the family refuses it; fields that it takes are left out."""
    found = {name: refusal(facts, need, what) for name, (need, what) in UNIT_NEEDS.items()}
    return {name: sentence for name, sentence in found.items() if sentence}


def mode_refusals(facts: FamilyFacts) -> dict[str, str]:
    """Return by control mode why the family refuses it; modes that it takes are left out."""
    return {id: sentence for id, row in MODES.items() if (sentence := row.refusal(facts))}


def sampler_refusals(facts: FamilyFacts) -> dict[str, str]:
    """Return by sampler why the family's own bases refuse it; those that run are left out."""
    return {row.id: sentence for row in SAMPLERS if (sentence := refusal_of(row, facts))}


def guess_refusal(facts: FamilyFacts) -> str:
    """Return why the family refuses guess_mode; "" where it takes it."""
    return mode(GUESS).refusal(facts, "guess_mode")


def negative_refusal(facts: FamilyFacts, defaults: Defaults | None) -> str:
    """Return why a base reads no negative prompt, whatever its guidance; "" where it reads one.

    `defaults` are those of a row of the catalogue; None is any other base, which alone its files describe.
    """
    if not facts.has("guidance_sides"):
        return unread_negative(facts.title)
    is_distilled = facts.undistilled is not None and defaults == facts.defaults
    return unread_negative("this base") if is_distilled else ""


def unread_negative(reader: str) -> str:
    """Return the note about a negative prompt for what reads none."""
    return f"negative_prompt has no effect: {reader} reads the prompt alone; name in it what you want."


def checked_mode(unit: ControlUnit, guess_mode: bool, facts: FamilyFacts) -> Mode:
    """Return the mode in which a unit runs; InputError where the family refuses it or another setting of the unit."""
    row = mode(GUESS if guess_mode else unit.control_mode)
    sentence = guess_refusal(facts) if guess_mode else row.refusal(facts)
    set_here = (reason for name, reason in unit_refusals(facts).items() if getattr(unit, name) != PLAIN[name].default)
    if sentence := sentence or next(set_here, ""):
        raise InputError(sentence)
    return row


def check_refusals(request: GenerationRequest, facts: FamilyFacts) -> None:
    """Raise InputError for what the family refuses, before anything is loaded for the request."""
    for unit in request.units:
        checked_mode(unit, request.guess_mode, facts)
    if sentence := refusal_of(sampler(request.scheduler), facts):
        raise InputError(sentence)
