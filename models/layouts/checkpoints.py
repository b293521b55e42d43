"""Files of tensors: how they are opened, and the sizes of networks that their tensors show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from models.catalogue.local import READS_WORDS
from models.catalogue.weights import check_file
from models.errors import InputError
from models.families import FAMILIES
from models.family_facts import TWO_TEXT_STREAMS, Family
from models.files import MAX_NAME, read_formats
from models.layouts.pickles import read_pickle, unreadable

HEAD_WIDTH = 64
"""Channels of an attention head where a family does not fix the number of heads."""

LAYERS = 2
"""Residual layers a level, in every family."""

_FIRST = "time_embed.0.weight"
"""A tensor by which diffusers knows the original's layout."""
_SIZES: Mapping[str, str] = MappingProxyType(
    {"label_emb.0.0.": "add_embedding.linear_1.", "label_emb.0.2.": "add_embedding.linear_2."}
)
"""Layers that read the picture's size, in the original and in diffusers."""

_SCALES = (".scale_weight", ".weight_scale")
"""Ends of the names of scales next to weights in float8; a scale is one number."""
_OTHER_SCALES = (".scale_input", ".input_scale", "scaled_fp8", ".comfy_quant")
"""Ends of names of what else is stored with them, and is not needed."""
_FOUR_BITS = (".absmax", ".quant_map", ".bitsandbytes__nf4", ".bitsandbytes__fp4")

Tensors = Mapping[str, Callable[[], Tensor]]
"""Names to functions that read the tensor, so that only the used part of a large file is read."""


def open_tensors(path: Path, stack: ExitStack) -> Tensors:
    """Return the tensors of a file, readable while the stack is open. DamagedError; InputError where it might run code."""
    check_file(path)
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            file: Any = stack.enter_context(safe_open(path, "pt"))
        except SafetensorError as error:
            raise unreadable(path) from error
        return _unpacked(path, {name: _reader(file, name) for name in file.keys()})  # noqa: SIM118 - it is no mapping
    content = read_pickle(path)
    content = content.get("state_dict", content) if isinstance(content, dict) else {}
    named = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if any(len(name) > MAX_NAME for name in named):
        raise unreadable(path)
    return {name: lambda value=value: value for name, value in named.items()}


def _unpacked(path: Path, tensors: Tensors) -> Tensors:
    """Return tensors that were stored in float8 with a scale of their own at their scale; InputError for 4 bits."""
    if any(name.endswith(_FOUR_BITS) for name in tensors):
        raise InputError(f"{path.name} is stored in 4 bits, which this app does not read; get it in 8 bits or more.")
    found = {name: read for name, read in tensors.items() if not name.endswith((*_SCALES, *_OTHER_SCALES))}
    for name, scale in tensors.items():
        for weight in (f"{name.removesuffix(end)}.weight" for end in _SCALES if name.endswith(end)):
            if weight in tensors:
                found[weight] = _scaled(tensors[weight], scale)
    return found


def open_float8(path: Path, stack: ExitStack) -> tuple[Tensors, dict[str, float]]:
    """Return the tensors of a .safetensors file as they are stored, and the scales of those in float8 that have one, by name.

    Both are empty where none is in float8, or a scale is no single number: then `open_tensors` reads the file.
    """
    if path.suffix != ".safetensors" or not any(dtype.startswith("F8") for dtype in read_formats(path).values()):
        return {}, {}
    from safetensors import safe_open

    file: Any = stack.enter_context(safe_open(path, "pt"))
    readers = {name: _reader(file, name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    found = {name: read for name, read in readers.items() if not name.endswith((*_SCALES, *_OTHER_SCALES))}
    scales: dict[str, float] = {}
    for name, read in readers.items():
        for weight in (f"{name.removesuffix(end)}.weight" for end in _SCALES if name.endswith(end)):
            scale = read()
            if scale.numel() != 1:
                return {}, {}
            scales[weight] = float(scale.float())
    return found, scales


def _scaled(read: Callable[[], Tensor], scale: Callable[[], Tensor]) -> Callable[[], Tensor]:
    return lambda: read().float() * scale().float()


def read_metadata(path: Path) -> Mapping[str, str]:
    """Return the metadata of a .safetensors file; a pickle has none. Raises DamagedError."""
    if path.suffix != ".safetensors":
        return {}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            content: Any = file
            return content.metadata() or {}
    except SafetensorError as error:
        raise unreadable(path) from error


def _reader(file: Any, name: str) -> Callable[[], Tensor]:
    return lambda: file.get_tensor(name)


def part_of(tensors: Tensors, prefix: str) -> Tensors:
    """Return the tensors whose names begin with a prefix, named without it."""
    return {name.removeprefix(prefix): read for name, read in tensors.items() if name.startswith(prefix)}


def read_all(tensors: Tensors, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Read tensors as copies: mapped from a file they may be misaligned in memory, where sums round in another way."""
    return {name: read().to(dtype, copy=True) if dtype else read().clone() for name, read in tensors.items()}


def words_width(tensors: Tensors) -> int:
    """Return the numbers per word that a U-Net or ControlNet reads; 0 where it reads no words."""
    name = next((name for name in tensors if name.endswith(READS_WORDS)), None)
    return channels_in(tensors[name]) if name else 0


def channels_in(read: Callable[[], Tensor]) -> int:
    """Return the input channels of a layer by its weights; 0 where they are not a layer's."""
    return sum(read().shape[1:2])


def diffusers_names(names: Iterable[str], layers: int) -> dict[str, str]:
    """Return diffusers' names of a ControlNet's tensors, each with the original's; `layers` are the residual ones a level.

    diffusers' converter looks at names alone, so it maps them too. It leaves out the layers that read the picture's size.
    """
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

    given = {name: name for name in names}
    found: dict[str, str | None] = convert_controlnet_checkpoint({_FIRST: "", **given}, {"layers_per_block": layers})
    found |= {_renamed(name, _SIZES): name for name in given if name.startswith(tuple(_SIZES))}
    return {new: own for new, own in found.items() if own}


def _renamed(name: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        name = name.replace(old, new)
    return name


def encoder_config(family: Family, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return what the configs of a ControlNet and its U-Net have in common: sizes from tensors, the rest from the family."""
    levels = range(count_parts(state, "down_blocks"))
    widths = tuple(len(state[f"down_blocks.{level}.resnets.0.conv1.weight"]) for level in levels)
    depths = [count_parts(state, f"down_blocks.{level}.attentions.0.transformer_blocks") for level in levels]
    kinds = tuple("CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths)
    middle = count_parts(state, "mid_block.attentions.0.transformer_blocks")
    depths[-1] = depths[-1] or middle  # its number counts for the middle block too
    facts = FAMILIES[family]
    heads = facts.one_file.heads if facts.one_file else None
    config: dict[str, Any] = {
        "in_channels": state["conv_in.weight"].shape[1],
        "block_out_channels": widths,
        "down_block_types": kinds,
        "mid_block_type": "UNetMidBlock2DCrossAttn" if middle else "UNetMidBlock2D",
        "transformer_layers_per_block": tuple(max(depth, 1) for depth in depths),
        "layers_per_block": LAYERS,
        "cross_attention_dim": facts.words_width,
        "use_linear_projection": facts.linear_projection,
        "attention_head_dim": heads or tuple(max(width // HEAD_WIDTH, 1) for width in widths),
    }
    if facts.size_conditions:
        config |= {
            "addition_embed_type": TWO_TEXT_STREAMS,
            "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": state["add_embedding.linear_1.weight"].shape[1],
        }
    return config


def count_parts(state: Iterable[str], prefix: str) -> int:
    """Return how many numbered parts a prefix has."""
    return len({name[len(prefix) + 1 :].split(".")[0] for name in state if name.startswith(f"{prefix}.")})
