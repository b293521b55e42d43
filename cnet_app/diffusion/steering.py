"""What every unit says, whatever network it has: how strongly it counts, at which steps, where, and on which side of guidance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from annotators.images import load_image, resize
from annotators.maps import resize_map
from cnet_app.diffusion.sizes import STEP, pad
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import CUSTOM, Weights, mode
from cnet_app.request.units import ControlUnit
from models.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Steering:
    """A unit's settings, in numbers. Two units with equal ones differ in their maps and networks alone."""

    conditional: Weights
    """One factor per block, strength included."""
    unconditional: Weights | None
    """The same for guidance's other side; None leaves it uncontrolled."""
    start: float
    end: float
    curve: tuple[tuple[float, float], ...]
    mask: bytes | None
    mask_feather: float

    def strength_at(self, step: int, steps: int) -> float:
        """Factor on both sides' weights at step 0 … steps - 1; 0 where the unit adds nothing."""
        if not runs_at(step, steps, self.start, self.end):
            return 0.0
        return curve_at(self.curve, step / steps)


def steering_of(unit: ControlUnit, mode_id: str, sizes: Sequence[int], scale: float, network: str) -> Steering:
    """The unit's settings for a network's blocks of these reductions, at this strength; `network` is told in errors."""
    conditional, unconditional = _side_weights(unit, mode_id, sizes, network)
    return Steering(
        conditional=tuple(scale * weight for weight in conditional),
        unconditional=tuple(scale * weight for weight in unconditional) if any(unconditional) else None,
        start=unit.control_guidance_start,
        end=unit.control_guidance_end,
        curve=unit.strength_curve,
        mask=unit.mask,
        mask_feather=unit.mask_feather,
    )


def _side_weights(unit: ControlUnit, mode_id: str, sizes: Sequence[int], network: str) -> tuple[Weights, Weights]:
    """Factors of the conditional and the unconditional side at strength 1; of the latter none where it stays free."""
    if mode_id != CUSTOM:
        row = mode(mode_id)
        weights = row.weights(sizes)
        return weights, weights if row.both_sides else ()
    for name in ("block_weights", "unconditional_block_weights"):
        given = getattr(unit, name)
        if given and len(given) != len(sizes):
            raise InputError(f"{name} has {len(given)} numbers, but this {network} has {len(sizes)} blocks.")
    return unit.block_weights, unit.unconditional_block_weights


def runs_at(step: int, steps: int, start: float, end: float) -> bool:
    """Whether the step covers no time before `start` and none after `end`, both fractions of all steps; as diffusers."""
    return step / steps >= start and (step + 1) / steps <= end


def curve_at(curve: Sequence[tuple[float, float]], place: float) -> float:
    """The factor at a fraction of the steps: straight between the points, level before the first and after the last."""
    places, factors = [place for place, _ in curve], [factor for _, factor in curve]
    return float(np.interp(place, places, factors)) if curve else 1.0


def block_masks(
    steering: Steering, size: tuple[int, int], sizes: Sequence[int], device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    """The mask of a picture of this (width, height) at every block's features, its border softened; empty where there is none."""
    if steering.mask is None:
        return ()
    width, height = size
    grey = cv2.cvtColor(resize(load_image(steering.mask), width, height, mode="crop"), cv2.COLOR_RGB2GRAY)
    if steering.mask_feather:
        grey = cv2.GaussianBlur(grey, (0, 0), steering.mask_feather)
    mask = torch.tensor(pad(grey), dtype=torch.float32)[None, None] / 255
    shapes = [(-(-height // (STEP * size)), -(-width // (STEP * size))) for size in sizes]
    return tuple(F.adaptive_avg_pool2d(mask, shape).to(device, dtype) for shape in shapes)


def control_tensor(unit: ControlUnit, width: int, height: int, inpaint_mask: bytes | None = None) -> Tensor:
    """The map at the picture's padded size, (1, 3, H, W) in [0, 1]; one of another shape is cropped around its centre.

    A condition that wants the known part of a picture has -1 where the mask says that it is made anew.
    """
    pixels = unit.pixels
    if pixels.shape[:2] != (height, width):
        pixels = resize_map(pixels, condition(unit.condition).kind, width, height)
    image = torch.tensor(np.moveaxis(pad(pixels), 2, 0)[None], dtype=torch.float32) / 255
    if not condition(unit.condition).masked:
        return image
    if inpaint_mask is None:
        raise InputError(
            f"{unit.condition} needs an inpaint_mask, and the picture it covers as initial_image; give both."
        )
    return image.masked_fill(torch.tensor(pad(white_pixels(inpaint_mask, width, height))), -1.0)


def white_pixels(mask: bytes, width: int, height: int) -> NDArray[np.bool_]:
    """(H, W) of a PNG at this size: True where it is white."""
    return resize(load_image(mask), width, height, mode="crop", nearest=True).max(axis=2) > 127
