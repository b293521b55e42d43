"""Stable Diffusion 3.5: one transformer of two streams, picture and text, trained by flow matching, and its ControlNets.

Both sides of guidance run in one batch. Two CLIPs read a prompt's first 77 tokens, T5 its first 256; without T5 there are zeros
in their place. A ControlNet also runs on both sides; it adds to image tokens alone, in proportion to the strength. Those of
Stability AI read no words, and of the picture what the base's first layer makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from cnet_app.diffusion.backbones import latents as latents_of
from cnet_app.diffusion.backbones.base import (
    Control,
    CreateBackbone,
    Extras,
    HintedNetwork,
    Network,
    Residuals,
    Text,
    Weigh,
)
from cnet_app.diffusion.backbones.guidance import apply_guidance
from cnet_app.diffusion.backbones.tokens import PATCH, BlockRange, inner_width, place_number, residuals_by_block
from cnet_app.diffusion.backbones.transformer import TransformerBackbone
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.steering import control_tensor, create_steering, place_masks
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import Place
from cnet_app.request.checks.refusals import checked_mode
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models.errors import InputError
from models.lora.loras import lora_versions

LONGEST = 256
"""Tokens that T5 reads, as in diffusers."""
POOLED = "pooled_projections"
"""Key of `Text.added`: (B, channels), the prompt as one vector."""
PIXELS: Mapping[str, tuple[float, float]] = MappingProxyType({"canny": (127.5, 0.5), "depth": (-2.0, 1.0)})
"""By condition, factor and summand of a map in [0, 1] for Stability AI's ControlNets, where they are not those of a picture. Of canny:
the authors' own code. Depth is read with near black: so are the maps that their page names, and so does ComfyUI."""


@dataclass(frozen=True, eq=False)
class HintedSD3:
    """A HintedNetwork. It shares every weight with the loaded network, and reads the base's first layer."""

    network: Any
    transformer: Any
    hint: Tensor
    """(1, C, h, w) latents."""
    numbers: Mapping[int, int]
    """Of places in the base, by the number of the residual; what is left out enters nowhere."""

    @property
    def linear(self) -> bool:
        return True

    def residuals(self, model_input: Tensor, timestep: Tensor, text: Text, weigh: Weigh) -> Residuals:
        network = self.network
        assert text.added is not None
        pooled = text.added[POOLED]
        shares_places = network.pos_embed is None
        rows = network(
            hidden_states=self.transformer.pos_embed(model_input) if shares_places else model_input,
            controlnet_cond=self.hint.expand(len(model_input), -1, -1, -1),
            encoder_hidden_states=None if network.context_embedder is None else text.states,
            pooled_projections=torch.zeros_like(pooled) if _reads_zeros(network) else pooled,
            timestep=timestep.reshape(1),
            return_dict=False,
        )[0]
        return {number: weigh(number, rows[residual]) for residual, number in self.numbers.items()}

    def joined(self, other: HintedNetwork) -> None:
        return None


class SD3Backbone(TransformerBackbone):
    """A Backbone."""

    @property
    def longest(self) -> int:
        return LONGEST if self._reads_t5 else self._base.tokenizers[0].model_max_length

    @property
    def _reads_t5(self) -> bool:
        return len(self._base.text_encoders) == self._facts.text_encoders

    def prepare_control(
        self, unit: ControlUnit, network: Network, request: GenerationRequest, cache: EncodingCache
    ) -> Control:
        row = checked_mode(unit, request.guess_mode, self._facts)
        controlnet: Any = network
        transformer = self._base.network
        _check_size(controlnet, transformer)
        runs, blocks = block_runs(controlnet, transformer), len(transformer.transformer_blocks)
        places = tuple(Place(run.middle / max(1, blocks - 1), PATCH) for run in runs.values())
        steering = create_steering(unit, row, places, unit.conditioning_scale, "ControlNet", unit.prompt)
        numbers = {residual: place_number(run, blocks) for residual, run in runs.items()}
        hinted = HintedSD3(controlnet, transformer, self._hint(unit, controlnet, request, cache), numbers)
        size = (request.width, request.height)
        masks = place_masks(steering, size, places[:1], self._facts, self.device, controlnet.dtype)
        tokens = tuple(mask.flatten(2).transpose(1, 2) for mask in masks) * len(places)
        return Control(steering, hinted, tuple(numbers.values()), tokens)

    def _hint(self, unit: ControlUnit, network: Any, request: GenerationRequest, cache: EncodingCache) -> Tensor:
        """Return what a ControlNet reads of a map, (1, C, h, w): latents, which were not shifted for one that reads no vector.

        They are the mode of the autoencoder's distribution; diffusers samples it.
        """
        if condition(unit.condition).masked or network.config["extra_conditioning_channels"]:
            raise InputError(
                f"Condition {unit.condition} and its ControlNet are given to {self._facts.title}, whose ControlNets read a map "
                "alone; choose another, or to inpaint leave the unit out, and give initial_image and inpaint_mask."
            )
        factor, summand = PIXELS.get(unit.condition, (2.0, -1.0)) if network.context_embedder is None else (2.0, -1.0)
        image = control_tensor(unit, request.width, request.height, self._facts.side_multiple)
        hint = latents_of.encode(self._base, factor * image + summand, cache)
        if _reads_zeros(network):
            config = self._base.vae.config
            hint = hint + (config.get("shift_factor") or 0.0) * config["scaling_factor"]
        return hint.to(network.dtype)

    def encode_rows(self, texts: Sequence[str], weights: tuple[float, ...], cache: EncodingCache) -> Text:
        encoders = self._base.text_encoders
        versions = tuple(lora_versions(encoder) for encoder in encoders)
        rows = [cache.get(encoders[-1], (text, versions), partial(self._encode, text)) for text in texts]
        states, pooled = (torch.cat(parts) for parts in zip(*rows, strict=True))
        return Text(states, {POOLED: pooled}, weights)

    def _encode(self, text: str) -> tuple[Tensor, Tensor]:
        """Return (1, tokens, channels), filled up, CLIP's before T5's, and (1, channels) of the whole text."""
        from diffusers import StableDiffusion3Pipeline

        base: Any = self._base
        last = 2 if self._reads_t5 else None
        pipeline: Any = StableDiffusion3Pipeline(
            scheduler=base.scheduler,
            vae=None,  # pyright: ignore[reportArgumentType]
            text_encoder=base.text_encoders[0],
            tokenizer=base.tokenizers[0],
            text_encoder_2=base.text_encoders[1],
            tokenizer_2=base.tokenizers[1],
            text_encoder_3=None if last is None else base.text_encoders[last],  # pyright: ignore[reportArgumentType]
            tokenizer_3=None if last is None else base.tokenizers[last],  # pyright: ignore[reportArgumentType]
            transformer=base.network,
        )
        states, _, pooled, _ = pipeline.encode_prompt(
            text, None, None, device=self.device, do_classifier_free_guidance=False, max_sequence_length=LONGEST
        )
        return states.to(base.dtype), pooled.to(base.dtype)

    def count_tokens(self, text: str) -> int:
        return len(self._base.tokenizers[-1](text, verbose=False).input_ids)

    def create_noise(self, width: int, height: int, generator: torch.Generator) -> Tensor:
        most = self._facts.side_multiple * self._base.network.config["pos_embed_max_size"]
        if max(width, height) > most:
            raise InputError(
                f"The picture is {width} x {height} px, but {self._base.id} knows places up to {most} px a side; choose smaller "
                "sides."
            )
        return super().create_noise(width, height, generator)

    def pack(self, latents: Tensor, text: Text) -> Tensor:
        """(1, C, h, w) to (B, C, h, w)."""
        return latents.to(self._base.network.dtype).expand(len(text.states), -1, -1, -1)

    def predict(self, batch: Tensor, timestep: Tensor, text: Text, guidance_scale: float, extras: Extras) -> Tensor:
        transformer = self._base.network
        assert text.added is not None
        sides = transformer(
            hidden_states=batch,
            timestep=timestep.reshape(1),
            encoder_hidden_states=text.states,
            pooled_projections=text.added[POOLED],
            block_controlnet_hidden_states=residuals_by_block(
                extras.residuals or {}, len(transformer.transformer_blocks)
            ),
            return_dict=False,
        )[0]
        return apply_guidance(sides.float(), text, guidance_scale)


def block_runs(network: Any, transformer: Any) -> dict[int, BlockRange]:
    """Return the base's blocks at which each residual of a network enters, as the base's own forward does.

    None enters after a block that returns no words, which is the last; one that would enter only there is left out.
    """
    blocks = transformer.transformer_blocks
    length = len(blocks) / len(network.transformer_blocks)
    read = [int(number / length) for number, block in enumerate(blocks) if not block.context_pre_only]
    return {residual: BlockRange(read.index(residual), read.count(residual)) for residual in dict.fromkeys(read)}


def _reads_zeros(network: Any) -> bool:
    """Return whether a ControlNet reads zeros in place of the prompt's vector, as those of InstantX were trained."""
    return bool(network.config["force_zeros_for_pooled_projection"])


def _check_size(network: Any, transformer: Any) -> None:
    own, wanted = (inner_width(part.config) for part in (network, transformer))
    if own != wanted:
        raise InputError(
            f"The ControlNet was made for a base of {own} channels, but this one has {wanted}; choose a ControlNet made for it."
        )


create: CreateBackbone = SD3Backbone
