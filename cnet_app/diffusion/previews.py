"""The picture a running job is heading for, as a small RGB image that costs next to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnet_app.diffusion.latents import decode, to_pixels

if TYPE_CHECKING:
    from models.loader import Base

Rows = tuple[tuple[float, float, float], ...]
_SD: Rows = ((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473), (0, 0, 0))
_SDXL: Rows = (
    (0.471, 0.471, 0.471), (-0.471, -0.039, 0.078), (0.196, 0.118, -0.039), (-0.549, -0.392, -0.275), (0.176, 0.098, 0.020),
)  # fmt: skip
LINEAR: Mapping[str, Rows] = MappingProxyType({"sd15": _SD, "sd21": _SD, "sdxl": _SDXL})
"""Least-squares maps from four latent channels to RGB in [-1, 1], the last row added. Fitted by others:
discuss.huggingface.co/t/decoding-latents-to-rgb-without-upscaling/23204 (SD),
huggingface.co/blog/TimothyAlexisVass/explaining-the-sdxl-latent-space (SDXL, there for 0 … 255)."""


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
        if base.family not in LINEAR:
            return to_pixels(decode(base, original))
        rows = torch.tensor(LINEAR[base.family], device=original.device)
        image = torch.einsum("bchw,cr->brhw", original.float(), rows[:4]) + rows[4][:, None, None]
        return to_pixels(image)
