"""ControlNets in files that hold a part of their weights only: the rest is the base's.

A Control-LoRA has low-rank factors `NAME.up` and `NAME.down` of what is added to a copy of the base's encoder and middle
block; those of a zero convolution, which no base has, are the whole of it. A difference ControlNet has the whole difference from them. Both are marked by a tensor of a name of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from models.catalogue.sizes import DIFFERENCE, LOW_RANK
from models.errors import InputError, OutOfMemoryError
from models.layouts.checkpoints import diffusers_names
from models.lora.layers import plain_state

Completion = Literal["low_rank", "difference"]
MARKS: Mapping[str, Completion] = {LOW_RANK: "low_rank", DIFFERENCE: "difference"}
TITLES: Mapping[Completion, str] = {"low_rank": "a Control-LoRA", "difference": "a difference ControlNet"}


def completion(names: Iterable[str]) -> Completion | None:
    """Return how the base completes a file with tensors of these names; None for a whole ControlNet."""
    return next((MARKS[name] for name in names if name in MARKS), None)


def complete(
    path: Path, kind: Completion, state: Mapping[str, Tensor], unet: Any
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return config and whole state, in diffusers' layout, of a ControlNet for this U-Net; LoRAs on it do not count.

    Raises InputError where the file does not fit, and OutOfMemoryError where the base's weights are not in one place.
    """
    if unet is None:
        raise InputError(
            f"{path.name} is {TITLES[kind]}, which holds a part of its weights only; load it with its base."
        )
    base = {name: tensor for name, tensor in plain_state(unet).items() if _is_shared(name)}
    if any(tensor.is_meta for tensor in base.values()):
        raise OutOfMemoryError(
            f"{path.name} is {TITLES[kind]}, which needs more memory than is free here; choose a whole ControlNet, or a smaller base."
        )
    layers = unet.config["layers_per_block"]
    found = _low_rank(path, state, base, layers) if kind == "low_rank" else _difference(path, state, base, layers)
    return _config(unet, found), found


def _low_rank(path: Path, state: Mapping[str, Tensor], base: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Tensors of the file replace the base's, factors are added to them, and all others are the base's."""
    factors = {name.removesuffix(".up") for name in state if name.endswith(".up")}
    plain = [name for name in state if not name.endswith((".up", ".down"))]
    found = {name: tensor.cpu() for name, tensor in base.items()}
    channels = _channels_in(state)
    found["conv_in.weight"] = found["conv_in.weight"][:, :channels]
    for name, own in diffusers_names([*plain, *(f"{layer}.weight" for layer in factors)], layers).items():
        layer = own.removesuffix(".weight")
        if own.endswith(".weight") and layer in factors:
            found[name] = _added(path, layer, state, found.get(name))
        else:
            found[name] = state[own]
    return found


def _added(path: Path, layer: str, state: Mapping[str, Tensor], weight: Tensor | None) -> Tensor:
    """Return the base's weight with the product of a layer's factors, in the base's number format."""
    up, down = state[f"{layer}.up"], state.get(f"{layer}.down")
    if down is None or min(up.ndim, down.ndim) < 2 or up.flatten(1).shape[1] != len(down):
        raise _misfit(path, layer)
    if weight is None:
        weight = torch.zeros((len(up), *down.shape[1:]), dtype=up.dtype)
    if (len(up), down.shape[1], down[0].numel()) != (*weight.shape[:2], weight[0].numel()):
        raise _misfit(path, layer)
    product = up.float().flatten(1) @ down.float().flatten(1)
    return (weight.float() + product.reshape(weight.shape)).to(weight.dtype)


def _difference(path: Path, state: Mapping[str, Tensor], base: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """The base's tensors are added wherever it has one."""
    original = any(name.startswith("input_blocks.") for name in state)
    names = diffusers_names(state, layers) if original else {name: name for name in state}
    found = {name: state[own] for name, own in names.items()}
    for name in found.keys() & base.keys():
        own = base[name].cpu()
        own = own[:, : found[name].shape[1]] if name == "conv_in.weight" else own
        if found[name].shape != own.shape:
            raise _misfit(path, names[name])
        found[name] = (found[name].float() + own.float()).to(own.dtype)
    return found


def _misfit(path: Path, layer: str) -> InputError:
    return InputError(
        f"{path.name} does not fit this base: its {layer} has another shape; choose the base it was made for."
    )


def _is_shared(name: str) -> bool:
    parts = ("conv_in.", "time_embedding.", "add_embedding.", "class_embedding.", "down_blocks.", "mid_block.")
    return name.startswith(parts)


def _channels_in(state: Mapping[str, Tensor]) -> int | None:
    """Return the channels that the ControlNet reads; an inpainting base reads more of them."""
    found = next((state[name] for name in ("input_blocks.0.0.down", "input_blocks.0.0.weight") if name in state), None)
    return None if found is None or found.ndim < 2 else found.shape[1]


def _config(unet: Any, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the arguments of ControlNetModel: the U-Net's own, and the channels that its file shows."""
    from diffusers import ControlNetModel

    taken = inspect.signature(ControlNetModel.__init__).parameters
    own = {name: value for name, value in unet.config.items() if name in taken and not name.startswith("encoder_hid")}
    return own | {"in_channels": state["conv_in.weight"].shape[1]}
