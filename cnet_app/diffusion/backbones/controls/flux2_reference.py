"""Maps that FLUX.2 itself reads: further tokens of the picture, each map with a time of its own among their places.

A unit has no network, and so neither places nor a side of guidance. At strength 1 it is read as in training, at 0 its tokens
are left out; between them see flux2_strength.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cnet_app.diffusion.backbones import latents as latents_of
from cnet_app.diffusion.backbones.base import ActiveReference, ReferenceControl
from cnet_app.diffusion.backbones.tokens import PATCH, to_tokens
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.steering import control_tensor, create_steering
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import Place, mode
from cnet_app.request.checks.refusals import checked_mode
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models.errors import InputError
from models.families import FAMILIES, require
from models.family_facts import FamilyFacts

if TYPE_CHECKING:
    from models.loader import Base

TIME = 10
"""Distance of maps in time, in the places of their tokens; as in diffusers. The picture is at 0."""


def prepare_reference(
    unit: ControlUnit, base: Base, request: GenerationRequest, cache: EncodingCache
) -> ReferenceControl:
    """Encode a unit's map, once for the whole job. Latents are the mode of the autoencoder's distribution."""
    facts = FAMILIES[base.family]
    _check(unit, request, facts)
    image = 2 * control_tensor(unit, request.width, request.height, facts.side_multiple) - 1
    steering = create_steering(unit, mode("balanced"), (Place(0.0),), unit.conditioning_scale, facts.title)
    return ReferenceControl(steering, latents_of.encode(base, image, cache), " ".join(_notes(request, facts)))


def _check(unit: ControlUnit, request: GenerationRequest, facts: FamilyFacts) -> None:
    """Raise InputError for settings that need a network, in which maps are residuals."""
    if condition(unit.condition).masked:
        raise InputError(
            f"Condition {unit.condition} reads an inpaint mask, which {facts.title} does not read in a map; leave the unit out, "
            "and give initial_image and inpaint_mask."
        )
    checked_mode(unit, request.guess_mode, facts)
    if unit.conditioning_scale not in (0, 1):
        require(facts, "control_strength", f"conditioning_scale {unit.conditioning_scale:g}")
    if any(factor != 1 for _, factor in unit.strength_curve):
        require(facts, "control_strength", "strength_curve")


def _notes(request: GenerationRequest, facts: FamilyFacts) -> Iterator[str]:
    why = f"which has no effect: {facts.title} reads maps itself, without ControlNets."
    if request.residual_interval > 1:
        yield f"residual_interval is {request.residual_interval}, {why}"
    if request.norm_preserving:
        yield f"norm_preserving is on, {why}"


def token_places(time: int, latents: Tensor) -> Tensor:
    """Return (tokens, 4) of a picture's latents: time, row, column, and 0."""
    rows, columns = (torch.arange(side // PATCH) for side in latents.shape[-2:])
    return torch.cartesian_prod(torch.tensor([time]), rows, columns, torch.arange(1)).to(latents.device)


def word_places(words: int, device: torch.device) -> Tensor:
    """Return (words, 4) of a text: 0, 0, 0, and the number of the word."""
    places = torch.zeros(words, 4, dtype=torch.long, device=device)
    places[:, 3] = torch.arange(words, device=device)
    return places


def joined_tokens(latents: Tensor, references: Sequence[ActiveReference]) -> tuple[list[Tensor], Tensor]:
    """Return the tokens of a picture and of each map, (1, tokens, C) in the picture's number format, and places of all."""
    pictures = [latents, *(one.latents.to(latents) for one in references)]
    times = [0, *(TIME + TIME * one.number for one in references)]
    places = [token_places(time, picture) for time, picture in zip(times, pictures, strict=True)]
    return [to_tokens(picture) for picture in pictures], torch.cat(places)
