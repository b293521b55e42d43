"""The latents that denoising starts from: noise, a noisy picture, or a picture of which a mask covers a part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from annotators.base import Image
from annotators.sources.images import load_image
from annotators.sources.roles import MASK, WEIGHTS
from cnet_app.diffusion.backbones.base import Backbone
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.known import initial_pixels, inpainted, known_image, new_latents
from cnet_app.diffusion.pixels import to_image
from cnet_app.diffusion.schedulers import add_noise, initial_latents
from cnet_app.request.factors import NEUTRAL
from cnet_app.request.generation import MASK_AREA, PICTURE_AREA, REQUEST_LIMITS, GenerationRequest
from cnet_app.request.inpaint import mask_fit_notes
from models.errors import InputError

SOFT, SOFT_SHARE = (15, 240), 0.01
"""Greys of a soft mask, and the least share of it that has them: the border of a hard one is thinner."""


def _unchanged(latents: Tensor, step: int) -> Tensor:
    return latents


@dataclass(frozen=True)
class Start:
    """Initial state of the loop."""

    latents: Tensor
    """(1, C, h, w), as noisy as the first timestep."""
    timesteps: Tensor
    restore: Callable[[Tensor, int], Tensor] = _unchanged
    """Puts the known part back into the latents after step 0 …, where there is one."""
    known: Tensor | None = None
    """(1, 1 + C, h, w) for an inpainting base: the mask, and the latents of what is known."""


def create_start(
    backbone: Backbone,
    scheduler: Any,
    timesteps: Tensor,
    request: GenerationRequest,
    generator: torch.Generator,
    cache: EncodingCache,
) -> Start:
    """Return the start of a request, for a scheduler set to these timesteps; as in diffusers' pipelines, from one seed."""
    inpaints = request.inpaint_mask is not None
    all_new = request.initial_image is None or (inpaints and request.strength == 1)
    # Where an inpainting base starts from noise, the known part is in what it reads.
    uses_known = request.initial_image is not None and not (all_new and backbone.inpaints)
    multiple = backbone.facts.side_multiple
    initial = to_image(initial_pixels(request), multiple) if uses_known else None
    known = torch.empty(0) if initial is None else backbone.encode(initial, generator, cache)
    noise = backbone.create_noise(request.width, request.height, generator)
    read = _known_part(backbone, request, generator, cache) if backbone.inpaints else None
    latents = initial_latents(scheduler, noise) if all_new else add_noise(scheduler, known, noise, timesteps[:1])
    if not inpaints or backbone.inpaints:
        return Start(latents, timesteps, known=read)
    mask = new_latents(request, backbone.facts).to(known.device)

    def restore(latents: Tensor, step: int) -> Tensor:
        last = step + 1 == len(timesteps)
        old = known if last else add_noise(scheduler, known, noise, timesteps[step + 1 : step + 2])
        return (1 - mask) * old + mask * latents

    return Start(latents, timesteps, restore)


def _known_part(
    backbone: Backbone, request: GenerationRequest, generator: torch.Generator, cache: EncodingCache
) -> Tensor:
    """Return the extra inputs of an inpainting base; without a mask all of the picture is new."""
    known = backbone.encode(known_image(request, backbone.facts), generator, cache)
    return torch.cat([new_latents(request, backbone.facts).to(known.device), known], dim=1)


def mask_notes(request: GenerationRequest) -> Iterator[str]:
    """A sentence for each mask that acts otherwise than it may seem; InputError for one that covers nothing.

    With inpaint_area "mask" the inpaint mask's are in cnet_app.request.inpaint.Part.
    """
    for number, unit in enumerate(request.units, 1):
        if unit.mask is not None and not load_image(unit.mask, role=MASK).any():
            yield f"The mask of unit {number} is black everywhere: the unit has no effect."
        if unit.weight_map is not None and (load_image(unit.weight_map, role=WEIGHTS) == NEUTRAL).all():
            yield f"The weight map of unit {number} is middle grey everywhere: the unit has no effect."
        if unit.mask_feather and unit.mask is None:
            yield f"mask_feather of unit {number} softens a mask, but there is none: it has no effect."
    if request.inpaint_padding != REQUEST_LIMITS["inpaint_padding"].default and request.inpaint_area == PICTURE_AREA:
        yield f"inpaint_padding is {request.inpaint_padding}, which has no effect unless inpaint_area is mask."
    if request.inpaint_mask is None or request.initial_image is None or request.inpaint_area == MASK_AREA:
        return
    share = inpainted(request).mean()
    if share == 0:
        raise InputError("inpaint_mask covers nothing: paint the part to change white, or leave inpaint_mask out.")
    mask = load_image(request.inpaint_mask, role=MASK)
    yield from mask_fit_notes(mask, load_image(request.initial_image), covers_all=bool(share == 1))
    if ((mask > SOFT[0]) & (mask < SOFT[1])).mean() > SOFT_SHARE:
        yield "The mask is soft: where it is brighter than half the picture is new, elsewhere the initial picture stays."


def keep_known(request: GenerationRequest, made: Image) -> Image:
    """Return the picture with the initial one outside of the mask, bit for bit."""
    if request.inpaint_mask is None:
        return made
    return np.where(inpainted(request)[..., None], made, initial_pixels(request))
