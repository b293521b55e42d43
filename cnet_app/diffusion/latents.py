"""Between latents and pixels: the noise a seed means, encoding and decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from numpy.typing import NDArray
from torch import Tensor

from cnet_app.diffusion.kept import Kept, image_key
from cnet_app.diffusion.sizes import pad, padded_side

if TYPE_CHECKING:
    from models.loader import Base


def create_noise(base: Base, width: int, height: int, generator: torch.Generator) -> Tensor:
    """(1, C, h, w) normal noise in float32 for a picture of this size, padded.

    The generator is the CPU's, so a seed means the same on every device.
    """
    sides = (padded_side(side) // base.vae_scale_factor for side in (height, width))
    shape = (1, base.vae.config["latent_channels"], *sides)
    return torch.randn(shape, generator=generator, dtype=torch.float32).to(base.device)


def encode(base: Base, image: Tensor, generator: torch.Generator, kept: Kept) -> Tensor:
    """(1, 3, H, W) in [-1, 1] to (1, C, h, w) latents, float32; an autoencoder that gives a distribution is sampled."""

    def moments() -> Tensor:
        encoded = base.vae.encode(image.to(base.device, base.vae.dtype))
        return encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.parameters

    found = kept.get(base.vae, image_key(image), moments)
    if found.shape[1] > base.vae.config["latent_channels"]:
        found = DiagonalGaussianDistribution(found).sample(generator)
    return found.float() * base.vae.config["scaling_factor"]


def decode(base: Base, latents: Tensor) -> Tensor:
    """(1, C, h, w) latents to (1, 3, H, W) pixels in [-1, 1], float32."""
    scaled = latents / base.vae.config["scaling_factor"]
    return base.vae.decode(scaled.to(base.vae.dtype), return_dict=False)[0].float()


def to_image(pixels: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) RGB uint8 to (1, 3, H, W) in [-1, 1], padded."""
    return torch.tensor(np.moveaxis(pad(pixels), 2, 0)[None], dtype=torch.float32) / 127.5 - 1


def to_pixels(image: Tensor) -> NDArray[np.uint8]:
    """(1, 3, H, W) in [-1, 1] to (H, W, 3) uint8 RGB."""
    unit = (image[0] / 2 + 0.5).clamp(0, 1)
    return (unit * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
