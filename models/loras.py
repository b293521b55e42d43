"""LoRAs on a base: layers get low-rank updates next to their weights, which never change."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from models.errors import InputError
from models.families import FAMILIES, FAMILY_BY_WIDTH, TITLES, Family
from models.lora_files import LoraFile, Update, read_lora
from models.lora_names import Place, parts, spellings
from models.resolve import resolve

if TYPE_CHECKING:
    from models.loader import Base

Plain = nn.Linear | nn.Conv2d
Scaled = tuple[LoraFile, Update, float]
"""A file, an update in it, and the file's weight in the request."""


class Adapted(nn.Module):
    """A layer with the updates of LoRAs: `up(down(x))` is the sum of all, their ranks concatenated."""

    def __init__(self, plain: Plain, added: Sequence[Scaled]) -> None:
        super().__init__()
        self.plain = plain
        self.source = _source(added)
        self.down, self.up = _low_rank(plain, sum(update.rank for _, update, _ in added))
        device = plain.weight.device
        downs = [update.down.to(device).reshape(-1, *plain.weight.shape[1:]) for _, update, _ in added]
        ups = [update.up.to(device).float().flatten(1) * (update.scale * weight) for _, update, weight in added]
        self.down.weight = _parameter(torch.cat(downs), self.down, plain)
        self.up.weight = _parameter(torch.cat(ups, dim=1), self.up, plain)

    def forward(self, x: Tensor) -> Tensor:
        return self.plain(x) + self.up(self.down(x))


def use_loras(base: Base, loras: Sequence[tuple[str, float]]) -> None:
    """Put exactly these (name, weight) on the base; an empty list leaves it as it was loaded, bit for bit.

    Names are those of `find_lora`. Raises InputError and WeightsError, and then nothing has changed.
    """
    for name, weight in loras:
        FAMILIES[base.family].require("loras", f"LoRA {name}")
        if not math.isfinite(weight):
            raise InputError(f"The weight of LoRA {name} is {weight}; give a number such as 0.8.")
    files = [(read_lora(find_lora(name, base.family)), weight) for name, weight in loras]
    wanted: dict[Place, list[Scaled]] = {}
    for file, weight in files:
        for place, update in _fitting(base, file).items():
            if weight:
                wanted.setdefault(place, []).append((file, update, weight))
    # All layers exist before the first is put in place, so that an error leaves the base as it was.
    made = {place: _adapted(_module(base, place), added) for place, added in wanted.items()}
    for place in _adapted_places(base) - made.keys():
        _put(base, place, _plain(base, place))
    for place, layer in made.items():
        _put(base, place, layer)


def lora_versions(network: nn.Module) -> Hashable:
    """Return a key of the LoRAs that act on a network: it changes with their files' content, weights and order."""
    return tuple(module.source for module in network.modules() if isinstance(module, Adapted))


def find_lora(name: str, family: Family | None = None) -> Path:
    """Return the file of a name: dropped into models/loras (with or without its ending), a path, or a catalogue id."""
    return resolve(name, "lora", family).require()


def _fitting(base: Base, file: LoraFile) -> dict[Place, Update]:
    """Return a file's updates by the base's layers; InputError where it was made for another base."""
    title = TITLES[base.family]
    width = base.unet.config.cross_attention_dim
    if file.width not in (None, width):
        made = FAMILY_BY_WIDTH.get(file.width or 0)
        family = TITLES[made] if made else f"a base with {file.width} numbers a word"
        raise InputError(f"{file.name} is made for {family}, but the base is {title}; choose a LoRA for {title}.")
    places = spellings(base)
    strange = [layer for layer in file.updates if not isinstance(_plain(base, places.get(layer)), Plain)]
    if strange:
        raise InputError(
            f"{file.name} changes {len(strange)} layers that the base has not, such as {strange[0]}; "
            f"choose a LoRA for {title}."
        )
    for layer, update in file.updates.items():
        shape = tuple(_plain(base, places[layer]).weight.shape)
        if not _fits(update, shape):
            raise InputError(
                f"{file.name} does not fit: its parts for {layer} are {tuple(update.down.shape)} and "
                f"{tuple(update.up.shape)}, the base's layer is {shape}; choose a LoRA for {title}."
            )
    return {places[layer]: update for layer, update in file.updates.items()}


def _fits(update: Update, shape: Sequence[int]) -> bool:
    """Return whether an update fits; a 1x1 convolution and a linear layer count as the same, as some files mix them up."""
    out, rank = shape[0], update.rank
    return (
        update.down.shape[1] == shape[1]
        and update.down[0].numel() == math.prod(shape[1:])
        and len(update.up) == out
        and update.up.numel() == out * rank
    )


def _module(base: Base, place: Place | None) -> Any:
    part, name = place or ("", "")
    return parts(base)[part].get_submodule(name) if part else None


def _plain(base: Base, place: Place | None) -> Any:
    """Return the base's own layer; None where there is no such place."""
    module = _module(base, place)
    return module.plain if isinstance(module, Adapted) else module


def _adapted(module: Any, added: Sequence[Scaled]) -> Adapted:
    """Return the layer with these updates: the same one where it has them, so that a network is not compiled again."""
    if isinstance(module, Adapted):
        return module if module.source == _source(added) else Adapted(module.plain, added)
    return Adapted(module, added)


def _adapted_places(base: Base) -> set[Place]:
    return {
        (part, name)
        for part, network in parts(base).items()
        for name, module in network.named_modules()
        if isinstance(module, Adapted)
    }


def _put(base: Base, place: Place, module: nn.Module) -> None:
    part, name = place
    parts(base)[part].set_submodule(name, module)


def _source(added: Sequence[Scaled]) -> tuple[Any, ...]:
    return tuple((file.version, weight) for file, _, weight in added)


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
    return nn.Parameter(values.reshape(layer.weight.shape).to(plain.weight.dtype), requires_grad=False)
