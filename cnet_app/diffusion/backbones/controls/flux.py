"""ControlNets of FLUX.1: small transformers of its own kind, which any base of the same blocks can take residuals from.

Each runs once a step, on the prompt. What it returns enters after double and single blocks of the base, on image tokens alone,
in proportion to the strength. Most read latents of their map. A union also reads which kind of map it is. XLabs' read pixels,
and their residuals take turns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cnet_app.diffusion.backbones import latents as latents_of
from cnet_app.diffusion.backbones.base import Control, HintedNetwork, Network, Residuals, Text, Weigh
from cnet_app.diffusion.backbones.tokens import (
    PATCH,
    BlockRange,
    inner_width,
    network_time,
    place_number,
    residuals_by_block,
    spread,
    to_tokens,
)
from cnet_app.diffusion.backbones.transformer import LENGTHS, words_of
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.steering import control_tensor, create_steering, place_masks
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import Mode, Place
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models.errors import InputError
from models.families import FAMILIES

if TYPE_CHECKING:
    from models.loader import Base

POOLED = "pooled"
"""Key of `Text.added`: (B, channels), the prompt as one vector; a base without it reads none."""
UNION_MODES: Mapping[str, int] = MappingProxyType({"canny": 0, "tile": 1, "depth": 2, "openpose": 4, "recolor": 5})
"""By condition, the mode of InstantX's and Shakker-Labs' unions; theirs of grey pictures is that of luminance."""


@dataclass(frozen=True, eq=False)
class HintedFlux:
    """A HintedNetwork. It shares every weight with the loaded network."""

    network: Any
    hint: Tensor
    """(1, tokens, C) of latents, or (1, 3, H, W) pixels in [-1, 1]."""
    mode: int | None
    """Of a union."""
    guidance_scale: float
    runs: tuple[tuple[int, ...], tuple[int, ...]]
    """Numbers of the places of its double blocks and of its single ones; what is left over enters nowhere."""

    @property
    def linear(self) -> bool:
        return True

    def residuals(self, model_input: Tensor, timestep: Tensor, text: Text, weigh: Weigh) -> Residuals:
        read = text.conditional() if text.guided else text
        parts = [
            self._part(model_input[:1], timestep, words[None], pooled[None])
            for words, pooled in zip(_words(read), _pooled(self.network, read), strict=True)
        ]
        rows = {number: torch.cat([part[number] for part in parts]) for number in parts[0]}
        if text.guided:  # the other side gets the same, of several parts their mean
            rows = {number: torch.cat([row.mean(0, keepdim=True), row]) for number, row in rows.items()}
        return {number: weigh(number, row) for number, row in rows.items()}

    def _part(self, latents: Tensor, timestep: Tensor, words: Tensor, pooled: Tensor) -> dict[int, Tensor]:
        """Return (1, tokens, C) by the number of the place, for one part of the prompt."""
        network, device = self.network, latents.device
        found = network(
            hidden_states=to_tokens(latents),
            controlnet_cond=self.hint,
            controlnet_mode=None if self.mode is None else torch.full((1, 1), self.mode, device=device),
            encoder_hidden_states=words,
            pooled_projections=pooled,
            timestep=network_time(timestep, latents),
            guidance=torch.full((1,), self.guidance_scale, device=device)
            if network.config["guidance_embeds"]
            else None,
            return_dict=False,
            **places_of(latents, words[0]),
        )
        kinds = zip(self.runs, found, strict=True)
        return {number: row for numbers, kind in kinds for number, row in zip(numbers, kind or (), strict=False)}

    def joined(self, other: HintedNetwork) -> None:
        return None


def _pooled(network: Any, text: Text) -> Tensor:
    """Return the prompt as one vector, (B, channels); zeros where the base has none."""
    if text.added and POOLED in text.added:
        return text.added[POOLED]
    return text.states.new_zeros(len(text.states), network.config["pooled_projection_dim"])


def _words(text: Text) -> list[Tensor]:
    """Return the words of each row, (words, channels), as the base reads them."""
    return words_of(text) if text.added and LENGTHS in text.added else list(text.states)


def places_of(latents: Tensor, words: Tensor) -> dict[str, Tensor]:
    """Return `img_ids` and `txt_ids`, (tokens, 3) each: row and column of a picture's tokens; (words, channels) have no place."""
    height, width = (side // PATCH for side in latents.shape[-2:])
    image = latents.new_zeros(height, width, 3)
    image[..., 1] = torch.arange(height, device=latents.device)[:, None]
    image[..., 2] = torch.arange(width, device=latents.device)
    return {"img_ids": image.flatten(0, 1), "txt_ids": latents.new_zeros(len(words), 3)}


def prepare_controlnet(
    unit: ControlUnit,
    network: Network,
    base: Base,
    row: Mode,
    request: GenerationRequest,
    cache: EncodingCache,
    guidance_scale: float,
) -> Control:
    """Encode a unit's map, once for the whole job, and set the factors of the places.

    `guidance_scale` is what a ControlNet reads that was distilled with its base.
    """
    controlnet: Any = network
    facts = FAMILIES[base.family]
    _check_size(controlnet, base.network)
    kinds = block_runs(controlnet, base.network)
    blocks = sum(_blocks(base.network))
    places = tuple(Place(run.middle / max(1, blocks - 1), PATCH) for runs in kinds for run in runs)
    steering = create_steering(unit, row, places, unit.conditioning_scale, "ControlNet", unit.prompt)
    doubles, singles = (tuple(place_number(run, blocks) for run in runs) for runs in kinds)
    hint, chosen = _hint(unit, controlnet, base, request, cache), _union_mode(unit, controlnet)
    hinted = HintedFlux(controlnet, hint, chosen, guidance_scale, (doubles, singles))
    masks = place_masks(steering, (request.width, request.height), places[:1], facts, base.device, controlnet.dtype)
    tokens = tuple(mask.flatten(2).transpose(1, 2) for mask in masks) * len(places)
    return Control(steering, hinted, (*doubles, *singles), tokens)


def _hint(unit: ControlUnit, network: Any, base: Base, request: GenerationRequest, cache: EncodingCache) -> Tensor:
    """Return what a ControlNet reads of a map. Latents are the mode of the autoencoder's distribution; diffusers samples it."""
    facts = FAMILIES[base.family]
    if condition(unit.condition).masked:
        raise InputError(
            f"Condition {unit.condition} is given to a ControlNet of {facts.title}, which reads a map; leave the unit out, "
            "and give initial_image and inpaint_mask."
        )
    image = 2 * control_tensor(unit, request.width, request.height, facts.side_multiple) - 1
    if network.input_hint_block is not None:
        return image.to(base.device, network.dtype)
    return to_tokens(latents_of.encode(base, image, cache)).to(network.dtype)


def _union_mode(unit: ControlUnit, network: Any) -> int | None:
    """Return the mode of a union for the unit's condition; None for a ControlNet without modes."""
    modes = network.config["num_mode"]
    if modes is None:
        return None
    found = UNION_MODES.get(unit.condition, modes)
    if found < modes:
        return found
    able = ", ".join(id for id, number in UNION_MODES.items() if number < modes)
    raise InputError(
        f"Condition {unit.condition} is given to a union ControlNet that has no mode for it; choose one of: {able}, or "
        "another ControlNet."
    )


def block_runs(network: Any, transformer: Any) -> tuple[tuple[BlockRange, ...], tuple[BlockRange, ...]]:
    """Return the base's blocks at which each residual of a network enters, of double and of single blocks.

    Blocks are counted from the first double one through the last single one. XLabs' residuals take turns.
    """
    doubles, singles = _blocks(transformer)
    own, own_single = _blocks(network)
    if network.input_hint_block is not None:
        first = tuple(BlockRange(k, len(range(k, doubles, own)), own) for k in range(min(own, doubles)))
    else:
        first = spread(own, doubles) if own else ()
    later = spread(own_single, singles) if own_single else ()
    return first, tuple(BlockRange(doubles + run.first, run.count) for run in later)


def _blocks(network: Any) -> tuple[int, int]:
    return len(network.transformer_blocks), len(network.single_transformer_blocks)


def block_samples(residuals: Residuals, transformer: Any, row: int) -> tuple[list[Any] | None, list[Any] | None]:
    """Return what is added after each double and each single block for a row of the batch: (1, tokens, C), or 0.

    None of a kind of blocks that gets nothing.
    """
    doubles, singles = _blocks(transformer)
    blocks = doubles + singles
    added = residuals_by_block(residuals, blocks, slice(row, row + 1)) or [0] * blocks
    kinds = added[:doubles], added[doubles:]
    first, later = (kind if any(isinstance(one, Tensor) for one in kind) else None for kind in kinds)
    return first, later


def _check_size(network: Any, transformer: Any) -> None:
    own, wanted = (inner_width(part.config) for part in (network, transformer))
    if own != wanted or network.config["in_channels"] != transformer.config["in_channels"]:
        raise InputError(
            f"The ControlNet was made for a base of {own} channels that reads {network.config['in_channels']}, but this one "
            f"has {wanted} and reads {transformer.config['in_channels']}; choose a ControlNet made for it."
        )
