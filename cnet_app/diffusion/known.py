"""The initial picture of a request, and the part of it that an inpaint mask leaves."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from annotators.base import Image
from annotators.sources.images import load_image, resize
from cnet_app.diffusion.pixels import pad, padded_side, to_image
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import white_pixels
from models.family_facts import FamilyFacts


def padded_size(request: GenerationRequest, facts: FamilyFacts) -> tuple[int, int]:
    """Return the height and width that the networks work at."""
    return padded_side(request.height, facts.side_multiple), padded_side(request.width, facts.side_multiple)


def initial_pixels(request: GenerationRequest) -> Image:
    """Return the initial picture at the request's size, (H, W, 3)."""
    assert request.initial_image is not None
    return resize(load_image(request.initial_image), request.width, request.height, mode="crop")


def inpainted(request: GenerationRequest) -> NDArray[np.bool_]:
    """Return (H, W): True where the mask is white and the picture is new; everywhere where there is no mask."""
    if request.inpaint_mask is None:
        return np.ones((request.height, request.width), np.bool_)
    return white_pixels(request.inpaint_mask, request.width, request.height)


def new_latents(request: GenerationRequest, facts: FamilyFacts) -> Tensor:
    """(1, 1, h, w): 1 where the picture is new."""
    shape = [side // facts.latent_reduction for side in padded_size(request, facts)]
    new = pad(inpainted(request), facts.side_multiple)
    return F.interpolate(torch.tensor(new, dtype=torch.float32)[None, None], shape)


def known_image(request: GenerationRequest, facts: FamilyFacts) -> Tensor:
    """Return the known part, (1, 3, H, W) in [-1, 1], grey where the picture is new; all grey without an initial picture."""
    black = torch.zeros(1, 3, *padded_size(request, facts))
    image = to_image(initial_pixels(request), facts.side_multiple) if request.initial_image else black
    return image * ~torch.tensor(pad(inpainted(request), facts.side_multiple))


def with_known(latents: Tensor, known: Tensor | None, channels: int) -> Tensor:
    """Return a map's latents with as many channels as a ControlNet reads: the known part follows, or zeros."""
    missing = channels - latents.shape[1]
    if known is None or not missing:
        return F.pad(latents, (0, 0, 0, 0, 0, missing))
    return torch.cat([latents, known], dim=1)
