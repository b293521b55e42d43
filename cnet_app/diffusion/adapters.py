"""What a T2I-Adapter adds: features of the map at every level of the U-Net's encoder, worked out once for the whole job.

Unlike a ControlNet it looks at neither the latents nor the words, so that a step costs an addition. Features of several
adapters are summed with their weights (T2I-Adapter paper, section 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from diffusers import T2IAdapter
from torch import Tensor
from torch.nn import functional as F

from cnet_app.diffusion.kept import Kept, image_key
from cnet_app.diffusion.sizes import STEP
from cnet_app.diffusion.steering import Steering, block_masks, steering_of
from cnet_app.request.units import ControlUnit

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R BT.601)."""

Features = list[Tensor]
"""One (B, C, h, w) tensor per level, from the shallowest on."""


@dataclass(frozen=True)
class Adapter:
    """One unit made ready: only the step decides how much of it is added."""

    steering: Steering
    features: tuple[Tensor, ...]
    """(1, C, h, w) per level, at strength 1; nothing where the mask is black."""


def prepare_adapter(
    unit: ControlUnit,
    adapter: T2IAdapter,
    image: Tensor,
    mode_id: str,
    size: tuple[int, int],
    device: torch.device,
    kept: Kept,
) -> Adapter:
    """Runs the adapter on a (1, 3, H, W) map, once for the whole job, and settles its weights."""
    sizes = adapter_reductions(adapter)
    settings = steering_of(unit, mode_id, sizes, unit.conditioning_scale, "T2I-Adapter")
    given = _adapter_input(adapter, image).to(device, adapter.dtype)
    features = kept.get(adapter, image_key(image), lambda: tuple(adapter(given)))
    masks = block_masks(settings, size, sizes, device, adapter.dtype)
    if masks:
        features = tuple(feature * mask for feature, mask in zip(features, masks, strict=True))
    return Adapter(settings, features)


def adapter_reductions(adapter: T2IAdapter) -> tuple[int, ...]:
    """How many times smaller than the latents each level's features are: 1, 2, 4, 8, and SDXL's 2, 2, 4, 4."""
    found: list[int] = []
    reduction = adapter.downscale_factor // STEP
    body: Any = adapter.adapter.body
    for block in body:
        reduction *= 1 if block.downsample is None else 2
        found.append(reduction)
    return tuple(found)


def _adapter_input(adapter: T2IAdapter, image: Tensor) -> Tensor:
    """(1, 3, H, W) as the adapter reads it: grey where it wants one channel, and its edges repeated to whole squares."""
    if adapter.config["in_channels"] == 1:
        image = (image * torch.tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    height, width = image.shape[2:]
    square = adapter.downscale_factor
    return F.pad(image, (0, -width % square, 0, -height % square), mode="replicate")


def summed_features(adapters: Sequence[tuple[Adapter, float]], rows: int) -> Features | None:
    """What all adapters, each at its strength at this step, add for a batch of 1 or 2; None where they add nothing."""
    parts = [_weighed(adapter, strength, rows) for adapter, strength in adapters if strength]
    return [reduce(torch.add, level) for level in zip(*parts, strict=True)] if parts else None


def _weighed(adapter: Adapter, strength: float, rows: int) -> Features:
    """As many rows as the batch has: diffusers drops what it adds to SDXL's middle block where shapes are not the same."""
    one = adapter.steering.conditional
    other = adapter.steering.unconditional or (0.0,) * len(one)
    like = adapter.features[0]
    weights = torch.tensor([other, one][-rows:], dtype=like.dtype, device=like.device) * strength
    return [feature * weights[:, level, None, None, None] for level, feature in enumerate(adapter.features)]
