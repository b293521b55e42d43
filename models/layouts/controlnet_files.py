"""ControlNets and T2I-Adapters of one file. What they are is read from their tensors, never from names.

Facts that tensors do not show come from `sidecars`, weights that they lack from the base by `control_base`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.catalogue.local import check_kind, family_of_metadata, reads_sizes
from models.errors import InputError
from models.families import FAMILIES, FAMILY_BY_WIDTH, FAMILY_OF_TWO_ENCODERS, TITLES, family_of_control, takers
from models.family_facts import Family
from models.layouts.adapters import is_adapter, read_adapter
from models.layouts.checkpoints import (
    LAYERS,
    Tensors,
    count_parts,
    diffusers_names,
    encoder_config,
    open_tensors,
    part_of,
    read_all,
    read_metadata,
    words_width,
)
from models.layouts.control_base import MARKS, complete, completion
from models.layouts.sidecars import ControlFacts, control_facts

CONTROL_PREFIX = "control_model."
"""Before the ControlNet's tensors in a file with all of Stable Diffusion, or extracted from one."""
_OTHER_KINDS: tuple[tuple[str, str, str], ...] = (
    ("lllite_", "a ControlNet-LLLite", "choose a ControlNet, a T2I-Adapter or a Control-LoRA"),
    (
        r"(control_add_embedding|task_embedding|spatial_ch_projs)",
        "a union ControlNet",
        "choose one of the catalogue's union rows, which read its folder in diffusers format",
    ),
    (r"(image_proj|ip_adapter)\.", "an IP-Adapter", "give it as the image prompt, with its image encoder next to it"),
    (r".*motion_modules\.", "a SparseCtrl for videos", "choose a ControlNet for pictures"),
    (
        r"(controlnet_x_embedder|controlnet_blocks|controlnet_transformer_blocks|double_blocks|transformer_blocks)\b",
        "a ControlNet for SD 3 or another transformer",
        "give its folder in diffusers' format",
    ),
    (r".*(enc_zero_convs_out|ctrl_to_base|base_to_ctrl)\b", "a ControlNet-XS", "choose a ControlNet"),
)
"""Beginnings of tensors' names, the kind they show, and what to do."""


@dataclass(frozen=True)
class ControlFile:
    """The content of a file, in diffusers' layout."""

    config: dict[str, Any]
    state: dict[str, Tensor]
    notes: tuple[str, ...] = ()
    """Sentences on what the file leaves open, and what was taken."""
    network: Callable[..., Any] | None = None
    """The network's class, where it is not the family's in diffusers."""


ReadControl = Callable[[Tensors, Any], tuple[dict[str, Any], dict[str, Tensor], Callable[..., Any] | None]]
"""Tensors and the base's network to config, state and the network's class, None where it is the family's in diffusers."""


def load_controlnet_tensors(path: Path, expected: Family, base_network: Any = None) -> ControlFile:
    """Return the ControlNet or T2I-Adapter in a file.

    `base_network` is the base's, for a file that holds a part of its weights, or belongs to some of its layers. One of another family, or none at all, is refused with an InputError, a ControlNet before its tensors are read.
    """
    with ExitStack() as stack:
        tensors = open_tensors(path, stack)
        if own := family_of_control(tensors):
            _check_family(path, own, expected)
            read: ReadControl = import_module(f"models.layouts.{own}").read_control
            config, state, network = read(tensors, base_network)
            return ControlFile(config, state, network=network)
        if is_adapter(tensors):
            return ControlFile(*read_adapter(path, tensors, expected))
        kind = completion(tensors)
        tensors = _control_part(path, tensors)
        metadata = read_metadata(path)
        family = family_of_metadata(metadata) or _family(path, tensors)
        _check_family(path, family, expected)
        facts = control_facts(path, metadata)
        state = read_all({name: read for name, read in tensors.items() if name not in MARKS})
    if kind is None:
        state = _in_diffusers_layout(state)
        config = encoder_config(expected, state)
    else:
        config, state = complete(path, kind, state, base_network)
    config |= {"conditioning_embedding_out_channels": _hint_channels(state)}
    config |= {"global_pool_conditions": facts.pools, "controlnet_conditioning_channel_order": facts.channel_order}
    notes = facts.notes + (() if family else (f"{path.name} reads no words, so that it may be made for another base.",))
    return ControlFile(config, _silenced(state, facts), notes)


def _check_family(path: Path, family: Family | None, expected: Family) -> None:
    """Raise InputError for a ControlNet of another family; one that reads no words may be made for any U-Net."""
    may_fit = FAMILIES[expected].backbone == "unet" if family is None else expected in takers(family)
    if may_fit:
        return
    made = TITLES[family] if family else "a U-Net"
    raise InputError(
        f"{path.name} is a ControlNet for {made}, but the base is {TITLES[expected]}; choose one for that."
    )


def needs_base(path: Path) -> bool:
    """Return whether a file holds a part of a ControlNet's weights only, so that it is loaded for one base."""
    with ExitStack() as stack:
        return completion(open_tensors(path, stack)) is not None


def _in_diffusers_layout(state: dict[str, Tensor]) -> dict[str, Tensor]:
    if "time_embed.0.weight" not in state:
        return state
    return {new: state[own] for new, own in diffusers_names(state, LAYERS).items()}


def _silenced(state: dict[str, Tensor], facts: ControlFacts) -> dict[str, Tensor]:
    """Return the state, without effect outside of the middle block where the facts say so."""
    if facts.only_middle:
        silent = {name: torch.zeros_like(t) for name, t in state.items() if name.startswith("controlnet_down_blocks.")}
        state = state | silent
    return state


def _control_part(path: Path, tensors: Tensors) -> Tensors:
    """Return the ControlNet's tensors alone, without their prefix."""
    check_kind(path, tensors, "controlnet")
    tensors = part_of(tensors, CONTROL_PREFIX) or tensors
    _check_known(path, tensors)
    if not {"zero_convs.0.0.weight", "zero_convs.0.0.up", "controlnet_down_blocks.0.weight"} & set(tensors):
        raise InputError(f"{path.name} is no ControlNet: it has none of the layers that join one to its base.")
    return tensors


def _check_known(path: Path, names: Iterable[str]) -> None:
    """Raise InputError for a kind of control that is known by its name only."""
    known = list(names)
    for pattern, title, remedy in _OTHER_KINDS:
        if any(re.match(pattern, name) for name in known):
            raise InputError(f"{path.name} is {title}, which this app does not load as one file; {remedy}.")


def _family(path: Path, tensors: Tensors) -> Family | None:
    """Return the family; None where nothing shows it, since the network reads neither words nor sizes."""
    width = words_width(tensors)
    if width in FAMILY_BY_WIDTH:
        return FAMILY_BY_WIDTH[width]
    if width or any("attn" in name for name in tensors):
        raise InputError(f"{path.name} is a ControlNet for a base with {width} numbers a word, which none here has.")
    return FAMILY_OF_TWO_ENCODERS if reads_sizes(tensors) else None


def _hint_channels(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Return the channels of the layers that read the map."""
    first = len(state["controlnet_cond_embedding.conv_in.weight"])
    blocks = count_parts(state, "controlnet_cond_embedding.blocks")
    return (first, *(len(state[f"controlnet_cond_embedding.blocks.{block}.weight"]) for block in range(1, blocks, 2)))
