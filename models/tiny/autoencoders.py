"""Autoencoders of the miniatures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderKLFlux2, AutoencoderKLQwenImage, AutoencoderTiny

from models.family_facts import FamilyFacts


def create_autoencoder(facts: FamilyFacts) -> Any:
    """Return a small one of the family's first class."""
    return _KINDS[facts.vae_classes[0]](facts).eval().requires_grad_(False)


def _kl(facts: FamilyFacts) -> AutoencoderKL:
    levels: dict[str, Any] = {
        "block_out_channels": (4, 8, 8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
    }
    assert facts.latent_scaling is not None
    return AutoencoderKL(
        **levels,
        latent_channels=facts.latent_channels,
        norm_num_groups=4,
        scaling_factor=facts.latent_scaling,
        shift_factor=facts.latent_shift,
    )


def _tiny(facts: FamilyFacts) -> AutoencoderTiny:
    return AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        num_encoder_blocks=(1,) * 4,
        num_decoder_blocks=(1,) * 4,
        latent_channels=facts.latent_channels,
        scaling_factor=1.0,
    )


def _flux2(_: FamilyFacts) -> AutoencoderKLFlux2:
    """One whose statistics differ from one number of a token to the next, as those of training do."""
    vae: Any = AutoencoderKLFlux2(block_out_channels=(4, 8, 8, 8), layers_per_block=1, norm_num_groups=4)
    vae.bn.running_mean.copy_(torch.randn(128) / 4)
    vae.bn.running_var.copy_(torch.rand(128) + 0.5)
    return vae


def _qwen_image(_: FamilyFacts) -> AutoencoderKLQwenImage:
    return AutoencoderKLQwenImage(base_dim=4, dim_mult=[1, 1, 2, 2], num_res_blocks=1)


_KINDS: Mapping[str, Callable[[FamilyFacts], Any]] = MappingProxyType(
    {
        "AutoencoderKL": _kl,
        "AutoencoderTiny": _tiny,
        "AutoencoderKLFlux2": _flux2,
        "AutoencoderKLQwenImage": _qwen_image,
    }
)
"""By the class in diffusers."""
