"""ControlNets of FLUX.1 in a file, in diffusers' names or XLabs'. What they are is read from their tensors alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from math import isqrt
from typing import Any

from torch import Tensor

from models.families import FAMILIES, family_of_control
from models.layouts.checkpoints import Tensors, channels_in, count_parts, read_all

ROTARY = (16, 56, 56)
"""Numbers of an attention head for kind, row and column of a token, where the base itself is not given."""
MODES, PIXELS = "controlnet_mode_embedder.weight", "input_hint_block.conv_out.weight"
"""Layers that a union alone has, and XLabs' ControlNets, which read pixels."""
XLABS = "pos_embed_input.weight"
"""A layer in XLabs' own names."""
_XLABS_ENDS = {
    "pos_embed_input": "controlnet_x_embedder",
    "input_hint_block.0": "input_hint_block.conv_in",
    **{f"input_hint_block.{2 * number + 2}": f"input_hint_block.blocks.{number}" for number in range(6)},
    "input_hint_block.14": "input_hint_block.conv_out",
}
"""Layers around the blocks in XLabs' names, to diffusers'."""
_NORM = re.compile(r"double_blocks\.(\d+)\.(img|txt)_attn\.norm\.(query|key)_norm\.scale")


def read_control(tensors: Tensors, transformer: Any = None) -> tuple[dict[str, Any], dict[str, Tensor], None]:
    """Return the config of diffusers' class, the tensors, and None: the class is the family's. `transformer` is the base's."""
    if XLABS in tensors:
        tensors = dict(_from_xlabs(tensors))
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


def _from_xlabs(tensors: Tensors) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Yield the tensors in diffusers' names; of fused layers equal shares."""
    family = family_of_control(tensors)
    layers = FAMILIES[family].original_layers if family else ()
    patterns = [(re.compile(re.escape(one).replace(re.escape("{}"), r"(\d+)")), own) for one, own in layers]
    for name, read in tensors.items():
        layer, _, end = name.rpartition(".")
        if norm := _NORM.fullmatch(name):
            number, stream, kind = norm.groups()
            yield f"transformer_blocks.{number}.attn.norm_{'added_' if stream == 'txt' else ''}{kind[0]}.weight", read
            continue
        found = ((match, own) for pattern, own in patterns if (match := pattern.fullmatch(layer)))
        match, own = next(found, (None, (_XLABS_ENDS.get(layer, layer),)))
        for place, one in enumerate(own):
            yield f"{one.format(*match.groups()) if match else one}.{end}", partial(_share, read, place, len(own))


def _share(read: Callable[[], Tensor], place: int, shares: int) -> Tensor:
    return read().chunk(shares)[place] if shares > 1 else read()
