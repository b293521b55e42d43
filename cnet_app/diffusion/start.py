"""Where denoising starts: from noise, from a noisy picture, or from a picture of which only a part is made anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from annotators.images import load_image, resize
from cnet_app.diffusion.kept import Kept
from cnet_app.diffusion.latents import create_noise, encode, to_image
from cnet_app.diffusion.sizes import STEP, pad, padded_side
from cnet_app.diffusion.steering import white_pixels
from cnet_app.request.generation import GenerationRequest
from models.errors import InputError

if TYPE_CHECKING:
    from models.loader import Base

Picture = NDArray[np.uint8]
SOFT, SOFT_SHARE = (15, 240), 0.01
"""Greys of a soft mask, and how much of it has them at least: the border of a hard one is thinner."""


def _as_it_is(latents: Tensor, step: int) -> Tensor:
    return latents


@dataclass(frozen=True)
class Start:
    """What the loop begins with."""

    latents: Tensor
    """(1, C, h, w), as noisy as the first timestep."""
    timesteps: Tensor
    restore: Callable[[Tensor, int], Tensor] = _as_it_is
    """Latents after step 0 … to the same with the known part put back, where there is one."""
    beside: Tensor | None = None
    """(1, 1 + C, h, w) that an inpainting base's U-Net sees beside the latents: the mask, and what is known."""


def create_start(
    base: Base, scheduler: Any, request: GenerationRequest, generator: torch.Generator, kept: Kept
) -> Start:
    """Of a request, on a scheduler that has its timesteps set; as diffusers' pipelines do it, with the same seed."""
    inpaints = request.inpaint_mask is not None
    all_new = request.initial_image is None or (inpaints and request.strength == 1)
    # A base that sees the known part need not have it put back.
    uses_known = request.initial_image is not None and not (all_new and base.inpaints)
    known = encode(base, to_image(initial_pixels(request)), generator, kept) if uses_known else torch.empty(0)
    noise = create_noise(base, request.width, request.height, generator)
    beside = _beside(base, request, generator, kept) if base.inpaints else None
    timesteps = scheduler.timesteps if request.initial_image is None else _remaining(scheduler, request)
    latents = noise * scheduler.init_noise_sigma if all_new else scheduler.add_noise(known, noise, timesteps[:1])
    if not inpaints or base.inpaints:
        return Start(latents, timesteps, beside=beside)
    mask = _latent_mask(request).to(known.device)

    def restore(latents: Tensor, step: int) -> Tensor:
        last = step + 1 == len(timesteps)
        old = known if last else scheduler.add_noise(known, noise, timesteps[step + 1 : step + 2])
        return (1 - mask) * old + mask * latents

    return Start(latents, timesteps, restore)


def _beside(base: Base, request: GenerationRequest, generator: torch.Generator, kept: Kept) -> Tensor:
    """Without a mask all is to be made anew."""
    image = to_image(initial_pixels(request)) if request.initial_image else torch.zeros(1, 3, *_padded(request))
    new = torch.tensor(pad(inpainted(request)))
    known = encode(base, image * ~new, generator, kept)  # grey where it is made anew
    return torch.cat([_latent_mask(request).to(known.device), known], dim=1)


def _latent_mask(request: GenerationRequest) -> Tensor:
    """(1, 1, h, w): 1 where the picture is made anew."""
    shape = [side // STEP for side in _padded(request)]
    return F.interpolate(torch.tensor(pad(inpainted(request)), dtype=torch.float32)[None, None], shape)


def _padded(request: GenerationRequest) -> tuple[int, int]:
    return padded_side(request.height), padded_side(request.width)


def _remaining(scheduler: Any, request: GenerationRequest) -> Tensor:
    """The last `strength` of the timesteps."""
    steps = request.num_inference_steps
    skipped = steps - int(steps * request.strength)
    if skipped == steps:
        raise InputError(
            f"strength is {request.strength:g}, which leaves none of {steps} steps; raise it, or num_inference_steps."
        )
    first = skipped * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    return scheduler.timesteps[first:]


def initial_pixels(request: GenerationRequest) -> Picture:
    """The initial picture at the request's size, (H, W, 3)."""
    assert request.initial_image is not None
    return resize(load_image(request.initial_image), request.width, request.height, mode="crop")


def inpainted(request: GenerationRequest) -> NDArray[np.bool_]:
    """(H, W): True where the mask is white and the picture is made anew; everywhere where there is none."""
    if request.inpaint_mask is None:
        return np.ones((request.height, request.width), np.bool_)
    return white_pixels(request.inpaint_mask, request.width, request.height)


def mask_notes(request: GenerationRequest) -> Iterator[str]:
    """What is done with the masks where they do not say it themselves; InputError for one that covers nothing."""
    for number, unit in enumerate(request.units, 1):
        if unit.mask is not None and not load_image(unit.mask).any():
            yield f"The mask of unit {number} is black everywhere: the unit steers nothing."
    if request.inpaint_mask is None or request.initial_image is None:
        return
    share = inpainted(request).mean()
    if share == 0:
        raise InputError("inpaint_mask covers nothing: paint the part to change white, or leave inpaint_mask out.")
    if share == 1:
        yield "The mask covers everything: nothing of the initial picture stays."
    mask, picture = load_image(request.inpaint_mask), load_image(request.initial_image)
    if ((mask > SOFT[0]) & (mask < SOFT[1])).mean() > SOFT_SHARE:
        yield "The mask is soft: what is brighter than half is made anew, the rest stays as it is."
    if mask.shape != picture.shape:
        sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in (mask, picture)]
        yield f"The mask is {sizes[0]} and the initial picture {sizes[1]}: it was brought to the picture's size."


def keep_known(request: GenerationRequest, made: Picture) -> Picture:
    """Outside the mask the initial picture, bit for bit."""
    if request.inpaint_mask is None:
        return made
    return np.where(inpainted(request)[..., None], made, initial_pixels(request))
