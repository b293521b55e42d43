"""ControlNets of Qwen-Image in a file. What they are is read from their tensors, never from names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from models.layouts.checkpoints import Tensors, channels_in, count_parts, read_all

UNION_EMBEDDER = "control_img_in.weight"
"""The layer that reads the map, in the union of VideoX-Fun's authors alone."""
BASE_BLOCKS = 60
"""Of the published bases, where the base itself is not given."""
ROTARY = (16, 56, 56)
"""Numbers of an attention head for the place in time, height and width, likewise."""


def read_control(
    tensors: Tensors, transformer: Any = None
) -> tuple[dict[str, Any], dict[str, Tensor], Callable[..., Any] | None]:
    """Return a ControlNet's config, its tensors, and its class where that is not the family's in diffusers.

    `transformer` is the base's: the residuals of a union divide its blocks evenly.
    """
    if UNION_EMBEDDER in tensors:
        from models.layouts.qwen_image_fun import QwenImageFunControl

        return _union_config(tensors, transformer), read_all(tensors), QwenImageFunControl
    return _instantx_config(tensors, transformer), read_all(tensors), None


def _union_config(tensors: Tensors, transformer: Any) -> dict[str, Any]:
    blocks = int(transformer.config["num_layers"]) if transformer is not None else BASE_BLOCKS
    count = count_parts(tensors, "control_blocks")
    return {
        "control_layers": list(range(0, blocks, max(1, blocks // count)))[:count],
        "control_in_dim": channels_in(tensors[UNION_EMBEDDER]),
        **_heads(tensors, UNION_EMBEDDER, "control_blocks"),
    }


def _instantx_config(tensors: Tensors, transformer: Any) -> dict[str, Any]:
    channels = channels_in(tensors["img_in.weight"])
    return {
        "in_channels": channels,
        "num_layers": count_parts(tensors, "transformer_blocks"),
        "joint_attention_dim": len(tensors["txt_norm.weight"]()),
        "axes_dims_rope": tuple(ROTARY if transformer is None else transformer.config["axes_dims_rope"]),
        "extra_condition_channels": channels_in(tensors["controlnet_x_embedder.weight"]) - channels,
        **_heads(tensors, "img_in.weight", "transformer_blocks"),
    }


def _heads(tensors: Tensors, embedder: str, blocks: str) -> dict[str, int]:
    """Return the numbers of attention heads, by the layer that makes tokens and the norm of a head."""
    head = len(tensors[f"{blocks}.0.attn.norm_q.weight"]())
    return {"num_attention_heads": len(tensors[embedder]()) // head, "attention_head_dim": head}
