"""T2I-Adapters: small networks that turn a map into features for the U-Net's encoder, once for all steps."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import InputError
from models.families import FAMILIES, TITLES
from models.family_facts import Family

if TYPE_CHECKING:
    from torch import Tensor

ADAPTER = "T2IAdapter"
"""The class of T2I-Adapters in a config."""
LEVELS = 4
"""Levels of every adapter of one file; the original code numbers the blocks of all levels in a row."""
LARGE_SQUARE, SQUARE = 16, 8
"""Sides in px of the squares that an adapter cuts its map into: SDXL's, and all others'."""
LARGE_INPUTS = (LARGE_SQUARE**2, 3 * LARGE_SQUARE**2)
"""Channels of a grey or coloured map cut into large squares."""


def adapter_family(config: Mapping[str, Any]) -> Family:
    """Return the family whose adapters read squares of this one's size; only large ones have the layout for SDXL."""
    large = config.get("adapter_type") == "full_adapter_xl" or config.get("downscale_factor") == LARGE_SQUARE
    square = LARGE_SQUARE if large else SQUARE
    return next(row.id for row in FAMILIES.values() if row.t2i_square == square)


def is_adapter(names: Iterable[str]) -> bool:
    """Return whether tensors of these names are an adapter's, in diffusers' layout or the original's."""
    return any(name.startswith(("body.", "adapter.body.")) for name in names)


def read_adapter(
    path: Path, tensors: Mapping[str, Callable[[], Tensor]], expected: Family
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return config and state in diffusers' layout; InputError for another family's. `tensors` are read when called."""
    blocks = len({name.split(".")[1] for name in tensors if name.startswith("body.")})
    state = {_renamed(name, blocks // LEVELS): read().clone() for name, read in tensors.items()}
    try:
        config = _config(state)
    except KeyError as error:
        raise InputError(f"{path.name} is no whole T2I-Adapter: it lacks {error}; get another file.") from error
    if (family := adapter_family(config)) != expected:
        raise InputError(
            f"{path.name} is a T2I-Adapter for {TITLES[family]}, but the base is {TITLES[expected]}; choose one for that."
        )
    return config, state


def _renamed(name: str, blocks_a_level: int) -> str:
    """Return a name of either layout in diffusers'."""
    if name.startswith("adapter."):
        return name
    name = re.sub(r"^body\.(\d+)\.body\.", r"body.\1.resnets.", name)  # a light adapter numbers levels
    found = re.match(r"body\.(\d+)\.(block[12]|in_conv)\.(.*)", name)
    if not found or blocks_a_level < 2:
        return f"adapter.{name}"
    level, block = divmod(int(found[1]), blocks_a_level)
    inside = f"resnets.{block}.{found[2]}" if found[2].startswith("block") else found[2]
    return f"adapter.body.{level}.{inside}.{found[3]}"


def _config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the arguments of T2IAdapter, from the sizes of its tensors."""
    light = "adapter.body.0.out_conv.weight" in state
    last = "out_conv" if light else "resnets.0.block1"
    widths = [len(state[f"adapter.body.{level}.{last}.weight"]) for level in range(LEVELS)]
    inputs = state["adapter.body.0.in_conv.weight" if light else "adapter.conv_in.weight"].shape[1]
    large = inputs in LARGE_INPUTS
    square = LARGE_SQUARE if large else SQUARE
    return {
        "in_channels": math.ceil(inputs / square**2),
        "channels": widths[:-1] if light else widths,
        "num_res_blocks": len(
            {name for name in state if re.match(r"adapter\.body\.0\.resnets\.\d+\.block1\.weight", name)}
        ),
        "downscale_factor": square,
        "adapter_type": "light_adapter" if light else "full_adapter_xl" if large else "full_adapter",
    }
