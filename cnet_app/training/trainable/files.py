"""Files of a trained ControlNet: diffusers' folder, the original code's single file, and the Control-LoRA of a light one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from cnet_app.training.trainable.networks import low_rank_layers
from models.layouts.control_base import MARKS
from models.loader import save_network

LAYER_NAMES = (
    ("time_embedding.linear_1", "time_embed.0"),
    ("time_embedding.linear_2", "time_embed.2"),
    ("add_embedding.linear_1", "label_emb.0.0"),
    ("add_embedding.linear_2", "label_emb.0.2"),
    ("conv_in", "input_blocks.0.0"),
    ("controlnet_mid_block", "middle_block_out.0"),
    ("controlnet_cond_embedding.conv_in", "input_hint_block.0"),
)
RESNET_NAMES = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("time_emb_proj", "emb_layers.1"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("conv_shortcut", "skip_connection"),
)
"""diffusers' and the original's names."""
_BLOCK = re.compile(r"down_blocks\.(\d+)\.(resnets|attentions|downsamplers)\.(\d+)\.(.+)")
_MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")
_NUMBERED = re.compile(r"(controlnet_down_blocks|controlnet_cond_embedding\.blocks)\.(\d+)\.(.+)")


def original_name(name: str, layers: int, hint_blocks: int) -> str:
    """Return the original's name of a ControlNet's tensor.

    `layers` are the residual ones of a level, `hint_blocks` the layers between the first and the last that read the map.
    """
    for own, other in LAYER_NAMES:
        if name.startswith(f"{own}."):
            return other + name.removeprefix(own)
    if name.startswith("controlnet_cond_embedding.conv_out."):
        return name.replace("controlnet_cond_embedding.conv_out", f"input_hint_block.{2 * (hint_blocks + 1)}")
    if found := _NUMBERED.fullmatch(name):
        number = int(found[2])
        if found[1] == "controlnet_down_blocks":
            return f"zero_convs.{number}.0.{found[3]}"
        return f"input_hint_block.{2 * (number + 1)}.{found[3]}"
    if found := _MIDDLE.fullmatch(name):
        place = 2 * int(found[2]) if found[1] == "resnets" else 1
        return f"middle_block.{place}.{_in_resnet(found[1], found[3])}"
    found = _BLOCK.fullmatch(name)
    assert found, f"{name} is of no ControlNet"
    level, kind, place = int(found[1]), found[2], int(found[3])
    block = 1 + level * (layers + 1) + (layers if kind == "downsamplers" else place)
    if kind == "downsamplers":
        return f"input_blocks.{block}.0.{found[4].replace('conv', 'op')}"
    return f"input_blocks.{block}.{int(kind == 'attentions')}.{_in_resnet(kind, found[4])}"


def _in_resnet(kind: str, name: str) -> str:
    if kind == "resnets":
        for own, other in RESNET_NAMES:
            if name.startswith(f"{own}."):
                return other + name.removeprefix(own)
    return name


def original_layout(network: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of a ControlNet, by the original's names; names may end in .up and .down too."""
    layers, blocks = network.config["layers_per_block"], len(network.controlnet_cond_embedding.blocks)
    return {original_name(name, layers, blocks): tensor for name, tensor in state.items()}


def save_whole(network: Any, folder: Path, name: str, metadata: Mapping[str, str]) -> list[Path]:
    """Write config and weights in diffusers' layout, and `NAME.safetensors` in the original's; both in float16."""
    save_network(network, folder)
    path = folder / f"{name}.safetensors"
    save_file(_half(original_layout(network, network.state_dict())), path, dict(metadata))
    return [folder / "diffusion_pytorch_model.safetensors", path]


def save_diffusers(network: Any, folder: Path, metadata: Mapping[str, str]) -> list[Path]:
    """Write config and weights in diffusers' layout alone, in float16, with the metadata in the file of weights."""
    folder.mkdir(parents=True, exist_ok=True)
    network.save_config(folder)
    path = folder / "diffusion_pytorch_model.safetensors"
    save_file(_half(network.state_dict()), path, dict(metadata))
    path.chmod(0o644)  # as `save_network` has it
    return [path]


def save_light(network: Any, folder: Path, name: str, metadata: Mapping[str, str]) -> list[Path]:
    """Write `NAME.safetensors`, a Control-LoRA in float16: factors, and the layers that read the map."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    tensors = _half(original_layout(network, dict(_light_tensors(network))))
    mark = next(mark for mark, kind in MARKS.items() if kind == "low_rank")
    save_file(tensors | {mark: torch.empty(0)}, path, dict(metadata))
    return [path]


def _light_tensors(network: Any) -> Iterator[tuple[str, Tensor]]:
    for name, factors in low_rank_layers(network):
        yield f"{name}.up", factors.up
        yield f"{name}.down", factors.down
    for name, tensor in network.state_dict().items():
        joint = name.startswith(("controlnet_down_blocks.", "controlnet_mid_block.")) and name.endswith(".bias")
        if name.startswith("controlnet_cond_embedding.") or joint:
            yield name, tensor


def _half(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in state.items()}
