"""Miniatures of Qwen-Image's ControlNets: see models.tiny."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import QwenImageControlNetModel

from models.family_facts import TINY_WORDS
from models.layouts.qwen_image_fun import QwenImageFunControl

_TRANSFORMER: dict[str, Any] = {
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": TINY_WORDS,
    "axes_dims_rope": (8, 4, 4),
}
MASKED_CHANNELS = 4
"""Numbers of the mask in a token, which a ControlNet for inpainting reads besides the picture's latents."""


def tiny_qwen_image_controlnet(seed: int = 0, masked: bool = False, num_layers: int = 2) -> QwenImageControlNetModel:
    """A ControlNet that visibly changes what the tiny base makes; `masked` is one for inpainting."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = QwenImageControlNetModel(
            **_TRANSFORMER, num_layers=num_layers, extra_condition_channels=MASKED_CHANNELS if masked else 0
        )
        for part in (network.controlnet_blocks, network.controlnet_x_embedder):
            for weight in part.parameters():
                torch.nn.init.normal_(weight, std=0.2)
    return network.eval().requires_grad_(False)


def tiny_qwen_image_union(seed: int = 0) -> QwenImageFunControl:
    """A union ControlNet that visibly changes what the tiny base makes, at two of its four blocks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = QwenImageFunControl(
            (0, 2), 132, _TRANSFORMER["num_attention_heads"], _TRANSFORMER["attention_head_dim"]
        )
        for name, weight in network.named_parameters():
            if "after_proj" in name:
                torch.nn.init.normal_(weight, std=0.2)
    return network.eval().requires_grad_(False)
