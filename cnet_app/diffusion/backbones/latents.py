"""Noise, and latents of pictures, as a base's autoencoder makes them: shifted and scaled as in training."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor

from cnet_app.diffusion.backbones.tokens import PATCH
from cnet_app.diffusion.cache import EncodingCache, image_key
from cnet_app.diffusion.pixels import padded_side
from models.autoencoders import latent_channels, makes_films, normalises_tokens
from models.families import FAMILIES

if TYPE_CHECKING:
    from models.loader import Base


def create_noise(base: Base, width: int, height: int, generator: torch.Generator) -> Tensor:
    """Return (1, C, h, w) normal noise. The generator is the CPU's, so that a seed means the same noise on every device."""
    multiple = FAMILIES[base.family].side_multiple
    sides = (padded_side(side, multiple) // base.vae_scale_factor for side in (height, width))
    shape = (1, latent_channels(base.vae), *sides)
    return torch.randn(shape, generator=generator, dtype=torch.float32).to(base.device)


def encode(base: Base, image: Tensor, cache: EncodingCache, generator: torch.Generator | None = None) -> Tensor:
    """(1, 3, H, W) in [-1, 1] to (1, C, h, w) latents, float32.

    An autoencoder that returns a distribution is sampled with the generator; without one the result is its mode.
    """
    found = cache.get(base.vae, image_key(image), partial(encode_moments, base, image))
    if found.shape[1] > latent_channels(base.vae):
        distribution = DiagonalGaussianDistribution(found)
        found = distribution.mode() if generator is None else distribution.sample(generator)
    return normalised(base, found)


def encode_moments(base: Base, images: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] to what the autoencoder returns: mean and log variance, (B, 2C, h, w), or latents alone."""
    vae = base.vae
    pixels = images.to(base.device, vae.dtype)
    encoded = vae.encode(pixels[:, :, None] if makes_films(vae) else pixels)
    found = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.parameters
    return found[:, :, 0] if makes_films(vae) else found


def normalised(base: Base, latents: Tensor) -> Tensor:
    """Return the autoencoder's (B, C, h, w) latents shifted and scaled as the base reads them, in float32."""
    shift, scaling = _statistics(base.vae, latents)
    return (latents.float() - shift) * scaling


def decode(base: Base, latents: Tensor) -> Tensor:
    """(1, C, h, w) latents to (1, 3, H, W) in [-1, 1], float32."""
    vae = base.vae
    shift, scaling = _statistics(vae, latents)
    scaled = (latents / scaling + shift).to(vae.dtype)
    if makes_films(vae):
        return vae.decode(scaled[:, :, None], return_dict=False)[0][:, :, 0].float()
    return vae.decode(scaled, return_dict=False)[0].float()


def _statistics(vae: Any, latents: Tensor) -> tuple[float | Tensor, float | Tensor]:
    """Return what is subtracted from latents, and their factor: two numbers, or tensors where channels or places differ."""
    device = latents.device
    if normalises_tokens(vae):
        mean, variance = vae.bn.running_mean.float(), vae.bn.running_var.float() + vae.config["batch_norm_eps"]
        return _over_tokens(mean, latents), _over_tokens(variance.rsqrt(), latents)
    if not makes_films(vae):
        return vae.config.get("shift_factor") or 0.0, vae.config["scaling_factor"]
    mean, deviation = (
        torch.tensor(vae.config[name], device=device)[None, :, None, None] for name in ("latents_mean", "latents_std")
    )
    return mean, 1 / deviation


def _over_tokens(numbers: Tensor, latents: Tensor) -> Tensor:
    """(4 C,) numbers, one a channel of a token, to (1, C, h, w) of latents."""
    height, width = (side // PATCH for side in latents.shape[-2:])
    grid = numbers.to(latents.device)[None, :, None, None].expand(-1, -1, height, width)
    return torch.nn.functional.pixel_shuffle(grid, PATCH)
