"""The settings of a unit in numbers, for any network: its factors, its range of steps, its mask and its map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from annotators.maps.encoders import resize_map
from cnet_app.diffusion.pixels import pad
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import CUSTOM, Mode, Place, Weights
from cnet_app.request.factors import active_steps, curve_at, place_weights
from cnet_app.request.pictures import white_pixels
from cnet_app.request.units import ControlUnit
from models.errors import InputError
from models.family_facts import FamilyFacts


@dataclass(frozen=True, kw_only=True)
class Steering:
    """A unit's settings. Two units with equal ones differ in their maps and networks alone."""

    conditional: Weights
    """One factor a place, control strength included."""
    unconditional: Weights | None
    """The same for guidance's unconditional side; None leaves that side uncontrolled."""
    start: float
    end: float
    curve: tuple[tuple[float, float], ...]
    mask: bytes | None
    mask_feather: float
    weight_map: bytes | None
    prompt: str | None
    """Text that the network reads instead of the request's prompt."""

    def strength_at(self, step: int, steps: int) -> float:
        """Return the curve factor at step 0 … steps - 1, for both sides; 0 outside of the range, see `active_steps`."""
        if step not in active_steps(steps, self.start, self.end):
            return 0.0
        return curve_at(self.curve, step / steps)


def create_steering(
    unit: ControlUnit, row: Mode, places: Sequence[Place], scale: float, network: str, prompt: str | None = None
) -> Steering:
    """Return the unit's settings in a mode at this strength, for a network with these places; errors name `network`."""
    factors = [curve_at(unit.depth_curve, place.depth) for place in places]
    conditional, unconditional = (
        tuple(scale * weight * factor for weight, factor in zip(side, factors, strict=False))  # a free side has none
        for side in _side_weights(unit, row, places, network)
    )
    return Steering(
        conditional=conditional,
        unconditional=unconditional if any(unconditional) else None,
        start=unit.control_guidance_start,
        end=unit.control_guidance_end,
        curve=unit.strength_curve,
        mask=unit.mask,
        mask_feather=unit.mask_feather,
        weight_map=unit.weight_map,
        prompt=prompt,
    )


def _side_weights(unit: ControlUnit, row: Mode, places: Sequence[Place], network: str) -> tuple[Weights, Weights]:
    """Factors of the conditional and the unconditional side at strength 1; none of a side that stays uncontrolled."""
    if row.id != CUSTOM:
        weights = row.weights(places)
        return weights, weights if row.both_sides else ()
    for name in ("block_weights", "unconditional_block_weights"):
        given = getattr(unit, name)
        if given and len(given) != len(places):
            raise InputError(f"{name} has {len(given)} numbers, but this {network} has {len(places)} blocks.")
    return unit.block_weights, unit.unconditional_block_weights


def check_form(unit: ControlUnit, has_two: bool) -> None:
    """Raise InputError where a unit chooses a form of a ControlNet that has one only, in a family where others have two."""
    if not has_two and unit.control_form != "authors":
        raise InputError(
            f"control_form is {unit.control_form}, but the ControlNet of {condition(unit.condition).title} has one form "
            "only; set it to authors."
        )


def place_masks(
    steering: Steering,
    size: tuple[int, int],
    places: Sequence[Place],
    facts: FamilyFacts,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[Tensor, ...]:
    """Return the unit's weights over a (width, height) picture at the size of every place, (1, 1, h, w) in [-1, 1].

    Empty where the unit has neither mask nor weight map.
    """
    width, height = size
    weights = place_weights(steering.mask, steering.mask_feather, steering.weight_map, width, height)
    if weights is None:
        return ()
    mask = torch.tensor(pad(weights, facts.side_multiple))[None, None]
    reductions = [facts.latent_reduction * place.reduction for place in places]
    shapes = [(-(-height // reduction), -(-width // reduction)) for reduction in reductions]
    return tuple(F.adaptive_avg_pool2d(mask, shape).to(device, dtype) for shape in shapes)


def control_tensor(
    unit: ControlUnit, width: int, height: int, multiple: int, inpaint_mask: bytes | None = None
) -> Tensor:
    """Return the map at the picture's size, padded to the multiple, (1, 3, H, W) in [0, 1].

    A map of another shape is cropped around its centre. A condition that reads the known part of a picture has -1 where
    the inpaint mask is white.
    """
    pixels = unit.pixels
    if pixels.shape[:2] != (height, width):
        pixels = resize_map(pixels, condition(unit.condition).kind, width, height)
    image = torch.tensor(np.moveaxis(pad(pixels, multiple), 2, 0)[None], dtype=torch.float32) / 255
    if not condition(unit.condition).masked:
        return image
    if inpaint_mask is None:
        raise InputError(
            f"{unit.condition} needs an inpaint_mask, and the picture it covers as initial_image; give both."
        )
    return image.masked_fill(torch.tensor(pad(white_pixels(inpaint_mask, width, height), multiple)), -1.0)
