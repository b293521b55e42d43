"""Linear layers whose weights stay in float8, as a file has them, and are widened in every pass.

A number in float8 fits into every wider format as it is, and is multiplied by its scale in float32 and rounded once: so the numbers are
bit for bit those of weights that are widened when they are loaded. diffusers' layerwise casting narrows them again after each
pass, which a scale makes inexact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layouts.checkpoints import Tensors

FORMATS = (torch.float8_e4m3fn, torch.float8_e5m2)
State = dict[str, Tensor]
Convert = Callable[[dict[str, Any]], Mapping[str, Tensor | None]]
"""diffusers' converters write None where a file lacks what they look for."""


class Float8Linear(nn.Linear):
    """A linear layer with packed weights. They are kept as whole numbers, so that no change of the network's format widens them."""

    def __init__(self, like: nn.Linear, format: torch.dtype, scale: float, compute_dtype: torch.dtype) -> None:
        """Take the sizes of a layer; weights and bias are without content."""
        bias: Any = like.bias
        with torch.device("meta"):
            super().__init__(like.in_features, like.out_features, bias=bias is not None)
            self.weight = nn.Parameter(torch.empty(like.weight.shape, dtype=torch.uint8), requires_grad=False)
        self.format, self.scale, self.compute_dtype = format, scale, compute_dtype

    def widened(self) -> Tensor:
        """Return the weights in the network's number format."""
        wide = self.weight.view(self.format).to(self.compute_dtype)
        return wide if self.scale == 1 else wide.mul_(self.scale)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.widened(), self.bias)


@dataclass(frozen=True)
class Packed:
    """State of a network of which some weights are in float8."""

    state: State
    scales: Mapping[str, float]
    """By the name of each weight that stays packed."""


def read_packed(
    tensors: Tensors, scales: Mapping[str, float], dtype: torch.dtype, convert: Convert | None
) -> Packed | None:
    """Return a state with weights in float8; `convert` gives the class's names. None where that cannot be done to packed numbers.

    Scales are carried through the conversion beside the numbers, so that parts of fused weights keep theirs.
    """
    raw = {name: _copied(read(), dtype) for name, read in tensors.items()}
    marks = {
        name: torch.tensor(scales.get(name, 1.0) if tensor.dtype in FORMATS else 0.0).expand(tensor.shape)
        for name, tensor in raw.items()
    }
    if convert:
        try:
            raw, marks = _found(convert({**raw})), _found(convert({**marks}))
        except (RuntimeError, TypeError, NotImplementedError):
            return None
    state, kept = State(), dict[str, float]()
    for name, tensor in raw.items():
        mark = _mark(marks[name]) if tensor.dtype in FORMATS else None
        if mark is not None and tensor.ndim == 2 and name.endswith(".weight"):
            state[name], kept[name] = tensor.contiguous(), mark
        else:
            state[name] = (tensor.float() * marks[name]).to(dtype) if tensor.dtype in FORMATS else tensor
    return Packed(state, kept)


def put_packed(network: nn.Module, packed: Packed, dtype: torch.dtype) -> State:
    """Give a network without weights the layers for packed ones; return its state. Those of other layers are widened."""
    state = dict(packed.state)
    for name, scale in packed.scales.items():
        layer, tensor = name.removesuffix(".weight"), state[name]
        own = _layer(network, layer)
        if type(own) is nn.Linear:
            network.set_submodule(layer, Float8Linear(own, tensor.dtype, scale, dtype))
            state[name] = tensor.view(torch.uint8)
        else:
            state[name] = (tensor.float() * scale).to(dtype)
    return state


def float8_layers(network: nn.Module) -> Iterator[tuple[str, Float8Linear]]:
    """Yield names and layers with packed weights."""
    return ((name, module) for name, module in network.named_modules() if isinstance(module, Float8Linear))


def spared_bytes(network: nn.Module) -> int:
    """Return the bytes that packed weights spare against widened ones."""
    return sum(layer.weight.numel() * (layer.compute_dtype.itemsize - 1) for _, layer in float8_layers(network))


def widen(network: nn.Module) -> None:
    """Widen all packed weights for good, in place."""
    for name, layer in list(float8_layers(network)):
        bias: Any = layer.bias
        with torch.device("meta"):
            wide = nn.Linear(layer.in_features, layer.out_features, bias=bias is not None)
        wide.weight = nn.Parameter(layer.widened(), requires_grad=False)
        wide.bias = bias
        network.set_submodule(name, wide.train(layer.training))


def _found(converted: Mapping[str, Tensor | None]) -> State:
    return {name: tensor for name, tensor in converted.items() if tensor is not None}


def _copied(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.clone() if tensor.dtype in FORMATS else tensor.to(dtype, copy=True)


def _mark(marks: Tensor) -> float | None:
    """Return the one scale of a tensor; None where its parts have several."""
    first = float(marks.flatten()[0]) if marks.numel() else 1.0
    return first if all(step == 0 for step in marks.stride()) or bool((marks == first).all()) else None


def _layer(network: nn.Module, name: str) -> Any:
    try:
        return network.get_submodule(name)
    except AttributeError:
        return None
