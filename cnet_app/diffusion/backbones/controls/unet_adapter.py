"""T2I-Adapters: features of the map for every level of the U-Net's encoder, made once for the whole job.

An adapter reads neither the latents nor the words, so that a step costs an addition. Features of several adapters are
summed with their weights (T2I-Adapter paper, section 3.3).
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import T2IAdapter
from torch import Tensor
from torch.nn import functional as F

from cnet_app.diffusion.backbones.base import StaticControl
from cnet_app.diffusion.cache import EncodingCache, image_key
from cnet_app.diffusion.steering import create_steering, place_masks
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import Mode, Place, even_places
from cnet_app.request.units import ControlUnit
from models.errors import InputError
from models.family_facts import FamilyFacts

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R BT.601)."""
STEM = 8
"""Pixels to a latent, by which an adapter's own reduction is divided."""


def prepare_adapter(
    unit: ControlUnit,
    adapter: T2IAdapter,
    image: Tensor,
    row: Mode,
    size: tuple[int, int],
    facts: FamilyFacts,
    device: torch.device,
    cache: EncodingCache,
) -> StaticControl:
    """Run the adapter on a (1, 3, H, W) map, once for the whole job, and set the factors of its levels.

    Raises InputError for a unit with a prompt, which an adapter has no place for.
    """
    if unit.prompt is not None:
        raise InputError(
            f"prompt is given for a unit of {condition(unit.condition).title}, but its T2I-Adapter reads no text; "
            "leave prompt out, or choose a ControlNet."
        )
    places = adapter_places(adapter)
    steering = create_steering(unit, row, places, unit.conditioning_scale, "T2I-Adapter")
    given = _adapter_input(adapter, image).to(device, adapter.dtype)
    features = cache.get(adapter, image_key(image), lambda: tuple(adapter(given)))
    masks = place_masks(steering, size, places, facts, device, adapter.dtype)
    if masks:
        features = tuple(feature * mask for feature, mask in zip(features, masks, strict=True))
    return StaticControl(steering, features)


def adapter_places(adapter: T2IAdapter) -> tuple[Place, ...]:
    """Return a place a level; reductions are 1, 2, 4, 8, and SDXL's 2, 2, 4, 4."""
    found: list[int] = []
    reduction = adapter.downscale_factor // STEM
    body: Any = adapter.adapter.body
    for block in body:
        reduction *= 1 if block.downsample is None else 2
        found.append(reduction)
    return even_places(found)


def _adapter_input(adapter: T2IAdapter, image: Tensor) -> Tensor:
    """(1, 3, H, W) to what the adapter reads: grey where it has one channel, edges repeated to whole squares."""
    if adapter.config["in_channels"] == 1:
        image = (image * torch.tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    height, width = image.shape[2:]
    square = adapter.downscale_factor
    return F.pad(image, (0, -width % square, 0, -height % square), mode="replicate")
