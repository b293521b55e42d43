"""ControlNets of U-Nets: places, hints and residuals. A network encodes its hint once a job, not at every step."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import ControlNetModel, ControlNetUnionModel
from torch import Tensor, nn

from cnet_app.diffusion.backbones.base import Control, HintedNetwork, Network, Residuals, Text, Weigh
from cnet_app.diffusion.cache import EncodingCache, image_key
from cnet_app.diffusion.steering import create_steering, place_masks
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import CUSTOM, Mode, Place, even_places, mode
from cnet_app.request.units import ControlUnit
from models.errors import InputError
from models.family_facts import FamilyFacts
from models.layouts.union import UnionInput, UnionPass


@dataclass(frozen=True)
class HintedControlNet:
    """A HintedNetwork. It shares every weight with the loaded network."""

    network: ControlNetModel | UnionPass

    @property
    def linear(self) -> bool:
        return True

    def residuals(self, model_input: Tensor, timestep: Tensor, text: Text, weigh: Weigh) -> Residuals:
        down, middle = self.network(
            model_input,
            timestep,
            encoder_hidden_states=text.states,
            controlnet_cond=model_input,  # not read: the hint is known
            added_cond_kwargs=text.added,
            return_dict=False,
        )
        return {number: weigh(number, residual) for number, residual in enumerate((*down, middle))}

    def joined(self, other: HintedNetwork) -> HintedControlNet | None:
        """Inputs of one union network, which was trained to read them together."""
        if not isinstance(other, HintedControlNet):
            return None
        one, two = self.network, other.network
        if isinstance(one, UnionPass) and isinstance(two, UnionPass) and one.may_join(two):
            return HintedControlNet(one.joined(two))
        return None


def prepare_controlnet(
    unit: ControlUnit,
    network: Network,
    image: Tensor,
    row: Mode,
    size: tuple[int, int],
    facts: FamilyFacts,
    device: torch.device,
    cache: EncodingCache,
    prompt: str | None = None,
) -> Control:
    """Encode a (1, 3, H, W) map, once for the whole job, and set the factors of the places.

    `prompt` is the unit's where it differs from the request's.
    """
    union = isinstance(network, UnionInput)
    controlnet: Any = network.network if union else network
    places = controlnet_places(controlnet)
    pools = bool(controlnet.config["global_pool_conditions"])
    note = _pooling_note(unit, row) if pools else ""
    scale = 1.0 if union else unit.conditioning_scale  # a union weighs its maps itself
    # A network that pools (shuffle) is made to control the prompt's side alone.
    row = mode("unbalanced") if pools else row
    steering = create_steering(unit, row, places, scale, "ControlNet", prompt)
    hint = cache.get(controlnet, image_key(image), lambda: encode_hint(controlnet, image.to(device)))
    hinted = network.knowing(hint, unit.conditioning_scale) if union else with_encoded_hint(controlnet, hint)
    masks = place_masks(steering, size, places, facts, device, controlnet.dtype)
    return Control(steering, HintedControlNet(hinted), tuple(range(len(places))), masks, note)


def _pooling_note(unit: ControlUnit, row: Mode) -> str:
    """Return the note on a mode without effect for a network that averages its residuals; InputError for custom factors."""
    title = condition(unit.condition).title
    if row.id == CUSTOM:
        raise InputError(
            f"Control mode is {row.title!r}, but the ControlNet of {title} averages its residuals over the whole picture and "
            "has no blocks to weigh; choose another control mode."
        )
    if unit.depth_curve:
        raise InputError(
            f"depth_curve is given, but the ControlNet of {title} averages its residuals over the whole picture and has "
            "no depths to weigh; leave depth_curve out."
        )
    if not row.by_place:
        return ""
    return f"Control mode {row.title!r} has no effect on {title}: its ControlNet averages its residuals over the whole picture."


def controlnet_places(controlnet: ControlNetModel | ControlNetUnionModel) -> tuple[Place, ...]:
    """Return the places of a ControlNet's residuals: skip connections from the shallowest, then the middle block.

    Reductions are 1, 1, 1, 2, 2, 2, 4, … for SD 1.5.
    """
    found, reduction = [1], 1
    for block in controlnet.down_blocks:
        layers: Any = block
        found += [reduction] * len(layers.resnets)
        if layers.downsamplers:
            reduction *= 2
            found.append(reduction)
    return even_places((*found, reduction))


class _KnownHint(nn.Module):
    """Takes the hint encoder's place and returns what that encoder made."""

    def __init__(self, hint: Tensor) -> None:
        super().__init__()
        self.hint = hint

    def forward(self, _: Tensor) -> Tensor:
        return self.hint


def encode_hint(controlnet: Any, image: Tensor) -> Tensor:
    """(1, 3, H, W) map to (1, C, h, w), C the network's first channels."""
    if controlnet.config["controlnet_conditioning_channel_order"] == "bgr":
        image = image.flip(1)
    return controlnet.controlnet_cond_embedding(image.to(controlnet.dtype))


def with_encoded_hint(controlnet: ControlNetModel, hint: Tensor) -> ControlNetModel:
    """Return the same network on the same weights, which does not encode its map at every step.

    diffusers' forward always runs the hint encoder. A shallow copy with another module in its place leaves the loaded
    network untouched, so that several units, or several jobs, may use it at once.
    """
    hinted = copy.copy(controlnet)
    modules = vars(controlnet)["_modules"] | {"controlnet_cond_embedding": _KnownHint(hint)}
    vars(hinted)["_modules"] = modules
    return hinted
