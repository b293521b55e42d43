"""Noise, and latents of pictures, as a base's autoencoder makes them: shifted and scaled as in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor

from cnet_app.diffusion.cache import EncodingCache, image_key
from cnet_app.diffusion.pixels import padded_side
from models.families import FAMILIES

if TYPE_CHECKING:
    from models.loader import Base


def create_noise(base: Base, width: int, height: int, generator: torch.Generator) -> Tensor:
    """Return (1, C, h, w) normal noise. The generator is the CPU's, so that a seed means the same noise on every device."""
    multiple = FAMILIES[base.family].side_multiple
    sides = (padded_side(side, multiple) // base.vae_scale_factor for side in (height, width))
    shape = (1, base.vae.config["latent_channels"], *sides)
    return torch.randn(shape, generator=generator, dtype=torch.float32).to(base.device)


def encode(base: Base, image: Tensor, cache: EncodingCache, generator: torch.Generator | None = None) -> Tensor:
    """(1, 3, H, W) in [-1, 1] to (1, C, h, w) latents, float32.

    An autoencoder that returns a distribution is sampled with the generator; without one the result is its mode.
    """
    vae = base.vae

    def moments() -> Tensor:
        encoded = vae.encode(image.to(base.device, vae.dtype))
        return encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.parameters

    found = cache.get(vae, image_key(image), moments)
    if found.shape[1] > vae.config["latent_channels"]:
        distribution = DiagonalGaussianDistribution(found)
        found = distribution.mode() if generator is None else distribution.sample(generator)
    return (found.float() - _shift(vae)) * vae.config["scaling_factor"]


def decode(base: Base, latents: Tensor) -> Tensor:
    """(1, C, h, w) latents to (1, 3, H, W) in [-1, 1], float32."""
    vae = base.vae
    scaled = latents / vae.config["scaling_factor"] + _shift(vae)
    return vae.decode(scaled.to(vae.dtype), return_dict=False)[0].float()


def _shift(vae: Any) -> float:
    return vae.config.get("shift_factor") or 0.0
