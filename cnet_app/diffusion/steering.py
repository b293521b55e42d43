"""The settings of a unit in numbers, for any network: its factors, its range of steps, its mask and its map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from annotators.images import load_image, resize
from annotators.maps import resize_map
from cnet_app.diffusion.pixels import pad
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import CUSTOM, Mode, Place, Weights
from cnet_app.request.pictures import white_pixels
from cnet_app.request.units import ControlUnit
from models.errors import InputError
from models.families import FamilyFacts


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

    def strength_at(self, step: int, steps: int) -> float:
        """Return the curve factor at step 0 … steps - 1, for both sides; 0 outside of the range."""
        if not runs_at(step, steps, self.start, self.end):
            return 0.0
        return curve_at(self.curve, step / steps)


def create_steering(unit: ControlUnit, row: Mode, places: Sequence[Place], scale: float, network: str) -> Steering:
    """Return the unit's settings in a mode at this strength, for a network with these places; errors name `network`."""
    conditional, unconditional = _side_weights(unit, row, places, network)
    return Steering(
        conditional=tuple(scale * weight for weight in conditional),
        unconditional=tuple(scale * weight for weight in unconditional) if any(unconditional) else None,
        start=unit.control_guidance_start,
        end=unit.control_guidance_end,
        curve=unit.strength_curve,
        mask=unit.mask,
        mask_feather=unit.mask_feather,
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


def runs_at(step: int, steps: int, start: float, end: float) -> bool:
    """Return whether no time of the step is before `start` or after `end`, fractions of all steps; as in diffusers."""
    return step / steps >= start and (step + 1) / steps <= end


def curve_at(curve: Sequence[tuple[float, float]], place: float) -> float:
    """Return the factor at a fraction of the steps: linear between the points, constant before the first and after the last."""
    places, factors = [place for place, _ in curve], [factor for _, factor in curve]
    return float(np.interp(place, places, factors)) if curve else 1.0


def place_masks(
    steering: Steering,
    size: tuple[int, int],
    places: Sequence[Place],
    facts: FamilyFacts,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[Tensor, ...]:
    """Return the mask of a (width, height) picture at the size of every place, (1, 1, h, w), its border softened.

    Empty where the unit has no mask.
    """
    if steering.mask is None:
        return ()
    width, height = size
    grey = cv2.cvtColor(resize(load_image(steering.mask), width, height, mode="crop"), cv2.COLOR_RGB2GRAY)
    if steering.mask_feather:
        grey = cv2.GaussianBlur(grey, (0, 0), steering.mask_feather)
    mask = torch.tensor(pad(grey, facts.side_multiple), dtype=torch.float32)[None, None] / 255
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
