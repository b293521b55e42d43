"""Files as others write them: the original repositories' names for the tensors of diffusers' and transformers' networks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from models.catalogue.catalog import Family

SIZES: dict[Family, dict[str, Any]] = {
    "sd15": {
        "block_out_channels": (32, 64, 64, 64),
        "cross_attention_dim": 768,
        "conditioning_embedding_out_channels": (4, 8, 12, 16),
    },
    "sd21": {
        "block_out_channels": (64, 128, 128, 128),
        "cross_attention_dim": 1024,
        "attention_head_dim": (1, 2, 2, 2),
        "use_linear_projection": True,
        "conditioning_embedding_out_channels": (4, 8, 12, 16),
    },
    "sdxl": {
        "block_out_channels": (64, 128, 128),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "transformer_layers_per_block": (1, 2, 3),
        "cross_attention_dim": 2048,
        "attention_head_dim": (1, 2, 2),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
        "conditioning_embedding_out_channels": (4, 8, 12, 16),
    },
}
"""The families' own layouts, but narrow."""
Names = Iterable[tuple[str, str | Callable[[re.Match[str]], str]]]
UNET_NAMES: Names = [
    (r"time_embedding\.linear_1", "time_embed.0"),
    (r"time_embedding\.linear_2", "time_embed.2"),
    (r"add_embedding\.linear_1", "label_emb.0.0"),
    (r"add_embedding\.linear_2", "label_emb.0.2"),
    (r"^conv_in", "input_blocks.0.0"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
    (r"controlnet_down_blocks\.(\d+)", r"zero_convs.\1.0"),
    (r"controlnet_mid_block", "middle_block_out.0"),
    (r"controlnet_cond_embedding\.conv_in", "input_hint_block.0"),
    (r"controlnet_cond_embedding\.conv_out", "input_hint_block.14"),
    (r"controlnet_cond_embedding\.blocks\.(\d+)", lambda m: f"input_hint_block.{2 + 2 * int(m[1])}"),
    (r"down_blocks\.(\d)\.resnets\.(\d)", lambda m: f"input_blocks.{1 + 3 * int(m[1]) + int(m[2])}.0"),
    (r"down_blocks\.(\d)\.attentions\.(\d)", lambda m: f"input_blocks.{1 + 3 * int(m[1]) + int(m[2])}.1"),
    (r"down_blocks\.(\d)\.downsamplers\.0\.conv", lambda m: f"input_blocks.{3 + 3 * int(m[1])}.0.op"),
    (r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"output_blocks.{3 * int(m[1]) + int(m[2])}.0"),
    (r"up_blocks\.(\d)\.attentions\.(\d)", lambda m: f"output_blocks.{3 * int(m[1]) + int(m[2])}.1"),
    (r"mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}"),
    (r"mid_block\.attentions\.0", "middle_block.1"),
    (r"\.norm1\.(weight|bias)$", r".in_layers.0.\1"),
    (r"\.conv1\.", ".in_layers.2."),
    (r"\.time_emb_proj\.", ".emb_layers.1."),
    (r"\.norm2\.(weight|bias)$", r".out_layers.0.\1"),
    (r"\.conv2\.", ".out_layers.3."),
    (r"\.conv_shortcut\.", ".skip_connection."),
]
"""diffusers' names to those of the original repository's ldm/modules/diffusionmodules/openaimodel.py and cldm/cldm.py."""
VAE_NAMES: Names = [
    (r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{3 - int(m[1])}.block.{m[2]}"),
    (r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample"),
    (r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}"),
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"attn_1\.group_norm", "attn_1.norm"),
    (r"attn_1\.to_([qkv])", r"attn_1.\1"),
    (r"attn_1\.to_out\.0", "attn_1.proj_out"),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
]
"""diffusers' names to those of ldm/models/autoencoder.py."""
OPEN_CLIP_NAMES: Names = [
    (r"^text_model\.", ""),
    (r"^embeddings\.token_embedding", "token_embedding"),
    (r"^embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"^encoder\.layers", "transformer.resblocks"),
    (r"final_layer_norm", "ln_final"),
    (r"layer_norm(\d)", r"ln_\1"),
    (r"self_attn", "attn"),
    (r"mlp\.fc1", "mlp.c_fc"),
    (r"mlp\.fc2", "mlp.c_proj"),
]
"""transformers' names to those of open_clip/transformer.py."""


def renamed(name: str, names: Names) -> str:
    """By every pattern, in turn."""
    for pattern, new in names:
        name = re.sub(pattern, new, name)
    return name


def original_layout(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of a ControlNet or a U-Net; within a transformer the names are the same."""
    outside = [pair for pair in UNET_NAMES if not pair[0].startswith(r"\.")]
    found = {renamed(name, outside if "transformer_blocks" in name else UNET_NAMES): t for name, t in state.items()}
    return {_upsampler(name, found): tensor for name, tensor in found.items()}


def _upsampler(name: str, names: Iterable[str]) -> str:
    """It follows what its block has: residual layers, or these and attention."""

    def place(match: re.Match[str]) -> str:
        block = f"output_blocks.{3 * int(match[1]) + 2}"
        return f"{block}.{1 + any(other.startswith(f'{block}.1.') for other in names)}.conv"

    return re.sub(r"up_blocks\.(\d)\.upsamplers\.0\.conv", place, name)


def original_vae(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Attention is written as convolutions."""
    found = {renamed(name, VAE_NAMES): tensor for name, tensor in state.items()}
    return {n: t[:, :, None, None] if "attn_1" in n and t.ndim == 2 else t for n, t in found.items()}


def open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Query, key and value are written as one, and the projection from the other side."""
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        new = renamed(name, OPEN_CLIP_NAMES)
        if name == "text_projection.weight":
            found["text_projection"] = tensor.T.contiguous()
        elif ".q_proj." in new:
            three = [state[name.replace(".q_proj.", f".{one}_proj.")] for one in "qkv"]
            found[new.replace("q_proj.", "in_proj_")] = torch.cat(three)
        elif "k_proj." not in new and "v_proj." not in new:
            found[new] = tensor
    return found
