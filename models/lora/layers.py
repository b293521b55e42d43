"""Layers with the updates of LoRAs. Their own weights never change, so that another set leaves no trace."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.errors import InputError
from models.layouts.float8 import Float8Linear
from models.lora.files import LoraFile
from models.lora.updates import Kind, Update, changed

Plain = nn.Linear | nn.Conv2d
Scaled = tuple[LoraFile, Update, float]
"""A file, an update in it, and the file's weight in the request."""


class Updated(nn.Module):
    """A layer and its updates; `plain` is the base's own."""

    def __init__(self, plain: Plain, added: Sequence[Scaled]) -> None:
        super().__init__()
        self.plain = plain
        self.source = source_of(added)
        self.files = tuple(file for file, _, _ in added)


class Adapted(Updated):
    """A layer with low-rank updates: `up(down(x))` is the sum of all, their ranks concatenated."""

    def __init__(self, plain: Plain, added: Sequence[Scaled]) -> None:
        super().__init__(plain, added)
        self.down, self.up = _low_rank(plain, sum(update.rank for _, update, _ in added))
        device = plain.weight.device
        downs = [update.down.to(device).reshape(-1, *weight_shape(plain)[1:]) for _, update, _ in added]
        ups = [update.up.to(device).float().flatten(1) * (update.scale * weight) for _, update, weight in added]
        self.down.weight = _parameter(torch.cat([down.float() for down in downs]), self.down, plain)
        self.up.weight = _parameter(torch.cat(ups, dim=1), self.up, plain)

    def forward(self, x: Tensor) -> Tensor:
        return self.plain(x) + self.up(self.down(x))


class Reweighted(Updated):
    """A layer whose weights are computed at every call, from its own and all updates.

    So updates of every kind take no more memory than their files. Each is measured from the layer's own weights, in
    float32; several add up.
    """

    def __init__(self, plain: Plain, added: Sequence[Scaled]) -> None:
        super().__init__(plain, added)
        self._updates: list[tuple[Kind, tuple[str, ...], float, float]] = [
            (update.kind, tuple(update.tensors), update.scale, weight) for _, update, weight in added
        ]
        for number, (_, update, _) in enumerate(added):
            for name, tensor in update.tensors.items():
                kept = tensor.to(plain.weight.device, copy=True)
                self.register_buffer(_buffer(number, name), kept, persistent=False)

    def weights(self) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias, in the layer's number format."""
        wide = self.plain.widened() if isinstance(self.plain, Float8Linear) else self.plain.weight
        own = wide.float()
        total, bias = own, self.plain.bias
        for number, (kind, names, scale, weight) in enumerate(self._updates):
            tensors: dict[str, Tensor] = {name: self.get_buffer(_buffer(number, name)) for name in names}
            total = total + weight * (changed(kind, tensors, scale, own) - own)
            if "bias" in tensors:
                added = weight * scale * tensors["bias"].to(own)
                bias = (added if bias is None else bias + added).to(wide.dtype)
        return total.to(wide.dtype), bias

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weights()
        plain = self.plain
        if isinstance(plain, nn.Linear):
            return F.linear(x, weight, bias)
        if plain.padding_mode != "zeros":
            sides: Any = plain._reversed_padding_repeated_twice  # noqa: SLF001 - as the layer itself does
            return F.conv2d(F.pad(x, sides, plain.padding_mode), weight, bias, plain.stride, 0, plain.dilation)
        return F.conv2d(x, weight, bias, plain.stride, plain.padding, plain.dilation, plain.groups)


def create_layer(plain: Plain, added: Sequence[Scaled]) -> Updated:
    """Return the layer with these updates."""
    if all(update.is_low_rank for _, update, _ in added):
        return Adapted(plain, added)
    if is_quantised(plain) and not isinstance(plain, Float8Linear):
        name = next(file.name for file, update, _ in added if not update.is_low_rank)
        raise InputError(
            f"{name} changes weights as a whole, which cannot be done to quantised ones; choose a base in 16 bits, or a LoRA "
            "of low rank."
        )
    return Reweighted(plain, added)


def is_quantised(plain: Plain) -> bool:
    """Return whether a layer's weights are packed into whole numbers."""
    return not plain.weight.is_floating_point()


def weight_shape(plain: Plain) -> tuple[int, ...]:
    """Return the shape of a layer's weights, also where they are packed."""
    return (plain.out_features, plain.in_features) if isinstance(plain, nn.Linear) else tuple(plain.weight.shape)


def source_of(added: Sequence[Scaled]) -> Hashable:
    """Return a key of what acts on a layer."""
    return tuple((file.version, weight) for file, _, weight in added)


def plain_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the state of a network as it was loaded, whatever LoRAs act on it now."""
    places = [f"{name}." for name, module in network.named_modules() if isinstance(module, Updated)]
    found: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        place = next((place for place in places if name.startswith(place)), None)
        if place is None:
            found[name] = tensor
        elif (inner := name.removeprefix(place)).startswith("plain."):
            found[place + inner.removeprefix("plain.")] = tensor
    return found


def _buffer(number: int, name: str) -> str:
    return f"update_{number}_{name}"


def _low_rank(plain: Plain, rank: int) -> tuple[Plain, Plain]:
    """Return two layers without weights: one like the plain layer with `rank` channels out, and one on single pixels."""
    with torch.device("meta"):
        if isinstance(plain, nn.Linear):
            return nn.Linear(plain.in_features, rank, bias=False), nn.Linear(rank, plain.out_features, bias=False)
        down = nn.Conv2d(
            plain.in_channels,
            rank,
            plain.kernel_size,  # pyright: ignore[reportArgumentType]
            plain.stride,  # pyright: ignore[reportArgumentType]
            plain.padding,  # pyright: ignore[reportArgumentType]
            plain.dilation,  # pyright: ignore[reportArgumentType]
            bias=False,
            padding_mode=plain.padding_mode,
        )
        return down, nn.Conv2d(rank, plain.out_channels, 1, bias=False)


def _parameter(values: Tensor, layer: Plain, plain: Plain) -> nn.Parameter:
    own: Any = plain
    dtype = own.compute_dtype if is_quantised(plain) else plain.weight.dtype
    return nn.Parameter(values.reshape(layer.weight.shape).to(dtype), requires_grad=False)
