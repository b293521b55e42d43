"""Miniatures of FLUX.1-schnell, and of the ControlNets of FLUX.1 and Chroma: see models.tiny."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxControlNetModel

from models.family_facts import TINY_WORDS
from models.loader import Base
from models.tiny import tiny_base

_TRANSFORMER: dict[str, Any] = {
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": TINY_WORDS,
    "axes_dims_rope": (8, 4, 4),
}
_KINDS: dict[str, dict[str, Any]] = {
    "plain": {"num_layers": 2, "num_single_layers": 0},
    "union": {"num_layers": 2, "num_single_layers": 2, "num_mode": 7},
    "pixels": {"num_layers": 2, "num_single_layers": 0, "patch_size": 2, "conditioning_embedding_channels": 16},
}
KINDS = tuple(_KINDS)
"""Published kinds of ControlNets: of latents, of several kinds of maps with a mode each, and XLabs', of pixels."""


def tiny_schnell(seed: int = 0) -> Base:
    """A base that reads no guidance, with the scheduler of FLUX.1-schnell."""
    base = tiny_base("flux", seed, guidance_embeds=False)
    return replace(base, scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0))


def tiny_flux_controlnet(kind: str = "plain", seed: int = 0, **config: Any) -> FluxControlNetModel:
    """A ControlNet that visibly changes what the tiny bases make; kinds are KINDS."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        settings: dict[str, Any] = {"pooled_projection_dim": TINY_WORDS, "guidance_embeds": True}
        settings |= _TRANSFORMER | _KINDS[kind] | config
        network = FluxControlNetModel(**settings)
        parts = (network.controlnet_blocks, network.controlnet_single_blocks, network.controlnet_x_embedder)
        for weight in (weight for part in parts for weight in part.parameters()):
            torch.nn.init.normal_(weight, std=0.2)
        if network.input_hint_block is not None:
            for weight in network.input_hint_block.parameters():
                torch.nn.init.normal_(weight, std=0.2)
    return network.eval().requires_grad_(False)
