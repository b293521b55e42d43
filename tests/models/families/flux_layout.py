"""FLUX.1, FLUX.2 and Chroma in the layout of their authors, and diffusers' conversion of it at the miniatures' width."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES
from torch import Tensor

from models.families import FAMILIES
from models.family_facts import Family

State = dict[str, Tensor]
WIDTH = 32
"""Numbers of a token in the miniature."""


def authors_layout(state: Mapping[str, Tensor], family: Family = "flux") -> State:
    """Return the names of the original code, with its fused matrices; the last norm's halves are exchanged there.

    Chroma has no such norm, and other names in the layers that make its modulations; FLUX.2 has no biases.
    """
    found: State = {}

    def fused(new: str, *own: str) -> None:
        for end in ("weight", "bias"):
            if f"{own[0]}.{end}" in state:
                found[f"{new}.{end}"] = torch.cat([state[f"{name}.{end}"] for name in own])

    for original, own in FAMILIES[family].original_layers:
        pattern = re.compile(re.escape(own[0]).replace(re.escape("{}"), r"(\d+)") + r"\.weight")
        numbers = [match.groups() for name in state if (match := pattern.fullmatch(name))]
        for number in numbers:
            fused(original.format(*number), *(name.format(*number) for name in own))
        for (number,) in numbers if "qkv" in original else ():
            side = "added_" if "txt" in original else ""
            for letter, name in (("q", "query"), ("k", "key")):
                norm = original.format(number).replace("qkv", f"norm.{name}_norm.scale")
                found[norm] = state[f"transformer_blocks.{number}.attn.norm_{side}{letter}.weight"]
    for number in {name.split(".")[1] for name in state if name.startswith("single_transformer_blocks.")}:
        for letter, name in (("q", "query"), ("k", "key")):
            norm = state[f"single_transformer_blocks.{number}.attn.norm_{letter}.weight"]
            found[f"single_blocks.{number}.norm.{name}_norm.scale"] = norm
    guidance = "distilled_guidance_layer."
    for name, tensor in state.items():
        if name.startswith((f"{guidance}in_proj", f"{guidance}out_proj")):
            found[name] = tensor
        elif name.startswith(f"{guidance}norms"):
            found[name.replace("weight", "scale")] = tensor
    for end in (end for end in ("weight", "bias") if f"norm_out.linear.{end}" in state):
        halves = state[f"norm_out.linear.{end}"].chunk(2)[::-1]
        found[f"final_layer.adaLN_modulation.1.{end}"] = torch.cat(halves)
    return found


def prefixed(state: Mapping[str, Tensor]) -> State:
    return {f"model.diffusion_model.{name}": tensor for name, tensor in authors_layout(state).items()}


def narrow_conversion(monkeypatch: pytest.MonkeyPatch, family: Family) -> None:
    """Set diffusers' conversion, whose width is fixed to that of the published base, to the miniature's."""
    row = SINGLE_FILE_LOADABLE_CLASSES[FAMILIES[family].network_class]
    convert: Any = copy.copy(row["checkpoint_mapping_fn"])
    code = convert.__code__
    constants = tuple(WIDTH if constant == 3072 else constant for constant in code.co_consts)
    narrowed = type(convert)(code.replace(co_consts=constants), convert.__globals__)
    monkeypatch.setitem(row, "checkpoint_mapping_fn", narrowed)
