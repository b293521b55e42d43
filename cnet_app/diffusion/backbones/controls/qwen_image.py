"""ControlNets of Qwen-Image: InstantX's, of maps and for inpainting, and the authors of VideoX-Fun's union.

InstantX's is a small transformer of its own, which runs once on the prompt; each residual enters after every one of a run of
the base's blocks, on both sides of guidance. The union's blocks read what the base's first layers make of picture and text,
so that it runs for each side; each residual enters after one block. All of them add to image tokens alone, in proportion
to the strength.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cnet_app.diffusion.backbones import latents as latents_of
from cnet_app.diffusion.backbones.base import Control, HintedNetwork, Network, Residuals, Text, Weigh
from cnet_app.diffusion.backbones.tokens import (
    PATCH,
    BlockRange,
    image_shapes,
    inner_width,
    network_time,
    place_number,
    spread,
    to_tokens,
)
from cnet_app.diffusion.backbones.transformer import words_of
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.known import new_latents, with_known
from cnet_app.diffusion.steering import control_tensor, create_steering, place_masks
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import Mode, Place
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models.errors import InputError
from models.families import FAMILIES
from models.family_facts import FamilyFacts
from models.layouts.qwen_image_fun import QwenImageFunControl

if TYPE_CHECKING:
    from models.loader import Base


@dataclass(frozen=True, eq=False)
class HintedInstantX:
    """A HintedNetwork. It shares every weight with the loaded network."""

    network: Any
    hint: Tensor
    """(1, tokens, C)."""
    numbers: tuple[int, ...]

    @property
    def linear(self) -> bool:
        return True

    def residuals(self, model_input: Tensor, timestep: Tensor, text: Text, weigh: Weigh) -> Residuals:
        read = text.conditional() if text.guided else text
        parts = [
            self.network(
                hidden_states=to_tokens(model_input[:1]),
                controlnet_cond=self.hint,
                encoder_hidden_states=words[None],
                timestep=network_time(timestep, model_input),
                img_shapes=image_shapes(model_input),
                return_dict=False,
            )
            for words in words_of(read)
        ]
        rows = [torch.cat(place) for place in zip(*parts, strict=True)]
        if text.guided:  # the other side gets the same, of several parts their mean
            rows = [torch.cat([row.mean(0, keepdim=True), row]) for row in rows]
        return {number: weigh(number, row) for number, row in zip(self.numbers, rows, strict=False)}

    def joined(self, other: HintedNetwork) -> None:
        return None


@dataclass(frozen=True, eq=False)
class HintedUnion:
    """A HintedNetwork. It shares every weight with the loaded network, and reads the base's."""

    network: QwenImageFunControl
    transformer: Any
    hint: Tensor
    """(1, tokens, C)."""
    numbers: tuple[int, ...]

    @property
    def linear(self) -> bool:
        return True

    def residuals(self, model_input: Tensor, timestep: Tensor, text: Text, weigh: Weigh) -> Residuals:
        base = self.transformer
        states = base.img_in(to_tokens(model_input[:1]))
        time = base.time_text_embed(network_time(timestep, model_input).to(states.dtype), states)
        sides = [self._side(states, base.txt_in(base.txt_norm(words[None])), time, image_shapes(model_input))
                 for words in words_of(text)]  # fmt: skip
        rows = [torch.cat(place) for place in zip(*sides, strict=True)]
        return {number: weigh(number, row) for number, row in zip(self.numbers, rows, strict=True)}

    def _side(self, states: Tensor, words: Tensor, time: Tensor, shapes: Any) -> list[Tensor]:
        places = self.transformer.pos_embed(shapes, max_txt_seq_len=words.shape[1], device=states.device)
        return self.network(self.hint, states, words, time, places)

    def joined(self, other: HintedNetwork) -> None:
        return None


def prepare_controlnet(
    unit: ControlUnit,
    network: Network,
    base: Base,
    row: Mode,
    request: GenerationRequest,
    cache: EncodingCache,
    known: Callable[[], Tensor | None],
) -> Control:
    """Encode a unit's map, once for the whole job, and set the factors of the places.

    `known` returns (1, 1 + C, h, w): a mask that is 1 where the picture stays, and the latents of that part.
    """
    controlnet: Any = network
    facts = FAMILIES[base.family]
    _check_size(controlnet, base.network)
    blocks = len(base.network.transformer_blocks)
    runs = _runs(controlnet, blocks)
    places = tuple(_place(run, blocks) for run in runs)
    steering = create_steering(unit, row, places, unit.conditioning_scale, "ControlNet", unit.prompt)
    numbers = tuple(place_number(run, blocks) for run in runs)
    if isinstance(controlnet, QwenImageFunControl):
        hint = _union_hint(unit, controlnet, base, request, cache, known())
        hinted: HintedNetwork = HintedUnion(controlnet, base.network, hint, numbers)
    else:
        hinted = HintedInstantX(controlnet, _hint(unit, controlnet, base, request, cache), numbers)
    size = (request.width, request.height)
    masks = place_masks(steering, size, places[:1], facts, base.device, controlnet.dtype)
    tokens = tuple(mask.flatten(2).transpose(1, 2) for mask in masks) * len(places)
    return Control(steering, hinted, numbers, tokens)


def _hint(unit: ControlUnit, network: Any, base: Base, request: GenerationRequest, cache: EncodingCache) -> Tensor:
    """Return what InstantX's network reads of a map, (1, tokens, C): its latents, and where they are masked, the mask.

    Latents are the mode of the autoencoder's distribution; diffusers' pipelines sample it.
    """
    facts = FAMILIES[base.family]
    masked, reads_mask = condition(unit.condition).masked, network.config["extra_condition_channels"] > 0
    if masked and not reads_mask:
        raise _no_inpainting(unit, facts)
    if reads_mask and not masked:
        raise InputError(
            f"Condition {unit.condition} is given to a ControlNet for inpainting, which reads a masked picture; choose "
            "condition inpaint, or another ControlNet."
        )
    image = control_tensor(unit, request.width, request.height, facts.side_multiple, request.inpaint_mask)
    latents = latents_of.encode(base, 2 * image.clamp(min=0) - 1, cache)  # the masked part is black
    if masked:
        latents = torch.cat([latents, 1 - new_latents(request, facts).to(latents.device)], dim=1)
    return to_tokens(latents).to(network.dtype)


def _union_hint(
    unit: ControlUnit, network: Any, base: Base, request: GenerationRequest, cache: EncodingCache, known: Tensor | None
) -> Tensor:
    """Return what the union reads of a map and of the known part, (1, tokens, C)."""
    facts = FAMILIES[base.family]
    if condition(unit.condition).masked:
        raise _no_inpainting(unit, facts)
    image = control_tensor(unit, request.width, request.height, facts.side_multiple)
    latents = latents_of.encode(base, 2 * image - 1, cache)
    return to_tokens(with_known(latents, known, network.config["control_in_dim"] // PATCH**2)).to(network.dtype)


def _no_inpainting(unit: ControlUnit, facts: FamilyFacts) -> InputError:
    return InputError(
        f"Condition {unit.condition} is given to a ControlNet that reads a map; choose the ControlNet for inpainting of "
        f"{facts.title}, or another condition."
    )


def _runs(network: Any, blocks: int) -> tuple[BlockRange, ...]:
    """Return the base's blocks at which each residual of a network enters."""
    if not isinstance(network, QwenImageFunControl):
        return spread(len(network.transformer_blocks), blocks)
    own: Sequence[int] = network.config["control_layers"]
    if own[-1] >= blocks:
        raise InputError(
            f"The ControlNet was made for a base of more than {own[-1]} blocks, but this one has {blocks}; choose a "
            "ControlNet made for it."
        )
    return tuple(BlockRange(block, 1) for block in own)


def _place(run: BlockRange, blocks: int) -> Place:
    """Return the place in the middle of a run."""
    return Place(run.middle / max(1, blocks - 1), PATCH)


def _check_size(network: Any, transformer: Any) -> None:
    own, wanted = (inner_width(part.config) for part in (network, transformer))
    if own != wanted:
        raise InputError(
            f"The ControlNet was made for a base of {own} channels, but this one has {wanted}; choose a ControlNet made "
            "for it."
        )
