"""The picture a running job is heading for, as a small RGB image that costs next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnet_app.diffusion.latents import decode, to_pixels
from models.families import FAMILIES

if TYPE_CHECKING:
    from models.loader import Base


def predict_original(scheduler: Any, model_input: Tensor, prediction: Tensor, timestep: Tensor) -> Tensor:
    """The noise-free latents that one step's prediction points at.

    `model_input` is what the U-Net saw: whatever the scheduler's own scaling, that has unit variance.
    """
    level = scheduler.alphas_cumprod[timestep.round().long().cpu()].to(model_input.device)
    signal, noise = level.sqrt(), (1 - level).sqrt()
    if scheduler.config.prediction_type == "v_prediction":
        return signal * model_input - noise * prediction
    if scheduler.config.prediction_type == "sample":
        return prediction
    return (model_input - noise * prediction) / signal.clamp(min=1e-3)


def preview(base: Base, original: Tensor) -> NDArray[np.uint8]:
    """(1, C, h, w) predicted latents to an (h', w', 3) picture: at latent size by a linear map, or decoded."""
    with torch.inference_mode():
        linear = FAMILIES[base.family].preview
        if linear is None:
            return to_pixels(decode(base, original))
        rows = torch.tensor(linear, device=original.device)
        image = torch.einsum("bchw,cr->brhw", original.float(), rows[:-1]) + rows[-1][:, None, None]
        return to_pixels(image)
