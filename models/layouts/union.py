"""Union ControlNets: one network that reads many kinds of maps, several of them in one pass."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
from diffusers import ControlNetUnionModel
from torch import Tensor, nn

from models.errors import InputError
from models.modules import load_network

_LOADED: WeakValueDictionary[tuple[Path, str, torch.dtype], ControlNetUnionModel] = WeakValueDictionary()
"""Networks in use, so that several inputs share one. The references are weak: they keep none of them in memory."""


@dataclass(frozen=True)
class UnionInput:
    """One kind of map that a union ControlNet reads; inputs of one network share its weights."""

    network: ControlNetUnionModel
    control_type: int
    """0 openpose, 1 depth, 2 soft edge or scribble, 3 hard edges or lines, 4 normal, 5 segmentation, 6 tile, 7 inpaint."""

    def knowing(self, hint: Tensor, scale: float) -> UnionPass:
        """Return the network with this encoded map and its control strength."""
        return UnionPass(self.network, (self.control_type,), (hint,), (scale,))


@dataclass(frozen=True)
class UnionPass:
    """A union ControlNet with its encoded maps, each of another kind; called like any ControlNet."""

    network: ControlNetUnionModel
    control_types: tuple[int, ...]
    hints: tuple[Tensor, ...]
    """(1, C, h, w) each: encoded maps."""
    scales: tuple[float, ...]
    """Control strengths of the maps. The network applies them where the maps are joined; a single one, at its end."""

    def may_join(self, other: UnionPass) -> bool:
        """Return whether one pass can read the maps of both: the network reads each kind only once."""
        return self.network is other.network and not set(self.control_types) & set(other.control_types)

    def joined(self, other: UnionPass) -> UnionPass:
        """Return one pass for the maps of both."""
        return replace(
            self,
            control_types=self.control_types + other.control_types,
            hints=self.hints + other.hints,
            scales=self.scales + other.scales,
        )

    def __call__(
        self,
        sample: Tensor,
        timestep: Tensor | int,
        encoder_hidden_states: Tensor,
        controlnet_cond: Tensor | None = None,
        added_cond_kwargs: dict[str, Tensor] | None = None,
        return_dict: bool = False,
    ) -> tuple[list[Tensor], Tensor]:
        """Return the residuals of the levels and of the middle block for a (B, C, h, w) `sample`, as ControlNetModel does.

        `controlnet_cond` and `return_dict` are not read.
        """
        rows = len(sample)
        kinds = torch.zeros(rows, self.network.config["num_control_type"], device=sample.device, dtype=sample.dtype)
        kinds[:, self.control_types] = 1
        return _without_encoder(self.network)(
            sample,
            timestep,
            encoder_hidden_states,
            # The network joins hints and sample, and needs as many rows of one as of the other.
            controlnet_cond=[hint.expand(rows, -1, -1, -1) for hint in self.hints],
            control_type=kinds,
            control_type_idx=list(self.control_types),
            conditioning_scale=list(self.scales),
            added_cond_kwargs=added_cond_kwargs,
            return_dict=False,
        )


def module_of(network: nn.Module | UnionInput) -> Any:
    """Return the torch module of a loaded ControlNet, adapter or union input."""
    return network.network if isinstance(network, UnionInput) else network


def load_union(id: str, folder: Path, control_type: int, dtype: torch.dtype, device: torch.device | str) -> UnionInput:
    """Return an input of the union ControlNet in a folder, which is loaded only where no other input of it is in use."""
    key = (folder.resolve(), str(device), dtype)
    network = _LOADED.get(key)
    if network is None:
        network = _LOADED[key] = load_network(ControlNetUnionModel, folder, dtype, device)
    known = network.config["num_control_type"]
    if control_type >= known:
        raise InputError(
            f"{id} is kind {control_type} of a union ControlNet's maps, but this one knows 0 to {known - 1}; "
            "choose a promax version."
        )
    return UnionInput(network, control_type)


def _without_encoder(network: ControlNetUnionModel) -> Any:
    """Return the same network on the same weights without its hint encoder."""
    bare = copy.copy(network)
    vars(bare)["_modules"] = vars(network)["_modules"] | {"controlnet_cond_embedding": nn.Identity()}
    return bare
