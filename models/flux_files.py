"""ControlNets of FLUX.1 in a file in diffusers' names. What they are is read from their tensors, never from names of files."""

from __future__ import annotations

from math import isqrt
from typing import Any

from torch import Tensor

from models.checkpoints import Tensors, channels_in, count_parts, read_all

ROTARY = (16, 56, 56)
"""Numbers of an attention head for kind, row and column of a token, where the base itself is not given."""
MODES, PIXELS = "controlnet_mode_embedder.weight", "input_hint_block.conv_out.weight"
"""Layers that a union alone has, and XLabs' ControlNets, which read pixels."""


def read_control(tensors: Tensors, transformer: Any = None) -> tuple[dict[str, Any], dict[str, Tensor], None]:
    """Return the config of diffusers' class, the tensors, and None: the class is the family's. `transformer` is the base's."""
    channels, width = channels_in(tensors["x_embedder.weight"]), len(tensors["x_embedder.weight"]())
    head = len(tensors["transformer_blocks.0.attn.norm_q.weight"]())
    hint = len(tensors[PIXELS]()) if PIXELS in tensors else None
    config: dict[str, Any] = {
        "in_channels": channels,
        "num_layers": count_parts(tensors, "transformer_blocks"),
        "num_single_layers": count_parts(tensors, "single_transformer_blocks"),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": channels_in(tensors["context_embedder.weight"]),
        "pooled_projection_dim": channels_in(tensors["time_text_embed.text_embedder.linear_1.weight"]),
        "guidance_embeds": "time_text_embed.guidance_embedder.linear_1.weight" in tensors,
        "axes_dims_rope": tuple(ROTARY if transformer is None else transformer.config["axes_dims_rope"]),
        "num_mode": len(tensors[MODES]()) if MODES in tensors else None,
        "conditioning_embedding_channels": hint,
        "patch_size": 1 if hint is None else isqrt(channels // hint),
    }
    return config, read_all(tensors), None
