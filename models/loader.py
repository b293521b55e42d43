"""Files become diffusers and transformers modules on a device and dtype. A family is read from configs, never from names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from models.catalog import Defaults, Family


@dataclass(frozen=True)
class Base:
    """A base model: everything that is loaded once and locked."""

    id: str
    family: Family
    unet: Any
    vae: Any
    """Its dtype may be wider than `dtype`: the one of SDXL overflows in float16."""
    text_encoders: tuple[Any, ...]
    tokenizers: tuple[Any, ...]
    scheduler: Any
    device: torch.device
    dtype: torch.dtype
    vae_scale_factor: int
    """Side of the picture over side of the latents."""
    defaults: Defaults


def vae_scale_factor(vae: Any) -> int:
    """8 for Stable Diffusion, 16 for the embedded model."""
    widths = getattr(vae.config, "block_out_channels", None) or vae.config.encoder_block_out_channels
    return 2 ** (len(widths) - 1)
