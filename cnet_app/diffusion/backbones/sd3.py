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
from typing import TYPE_CHECKING, Any

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
from models.families import FAMILIES
from models.lora.loras import lora_versions

if TYPE_CHECKING:
    from models.loader import Base

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
        hints = self.hint.expand(len(model_input), -1, -1, -1)
        rows = control_rows(self.network, self.transformer, model_input, timestep.reshape(1), hints, text)
        return {number: weigh(number, rows[residual]) for residual, number in self.numbers.items()}

    def joined(self, other: HintedNetwork) -> None:
        return None


class SD3Backbone(TransformerBackbone):
    """A Backbone."""

    @property
    def longest(self) -> int:
        return longest(self._base)

    def prepare_control(
        self, unit: ControlUnit, network: Network, request: GenerationRequest, cache: EncodingCache
    ) -> Control:
        row = checked_mode(unit, request.guess_mode, self._facts)
        controlnet: Any = network
        transformer = self._base.network
        check_width(controlnet, transformer)
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
        """Return what a ControlNet reads of a map, (1, C, h, w)."""
        if condition(unit.condition).masked or network.config["extra_conditioning_channels"]:
            raise InputError(
                f"Condition {unit.condition} and its ControlNet are given to {self._facts.title}, whose ControlNets read a map "
                "alone; choose another, or to inpaint leave the unit out, and give initial_image and inpaint_mask."
            )
        image = control_tensor(unit, request.width, request.height, self._facts.side_multiple)
        return hint_latents(self._base, network, unit.condition, image, cache).to(network.dtype)

    def encode_rows(self, texts: Sequence[str], weights: tuple[float, ...], cache: EncodingCache) -> Text:
        base, encoders = self._base, self._base.text_encoders
        versions = tuple(lora_versions(encoder) for encoder in encoders)
        rows = [cache.get(encoders[-1], (text, versions), partial(encode_words, base, [text])) for text in texts]
        states, pooled = (torch.cat(parts) for parts in zip(*rows, strict=True))
        return Text(states, {POOLED: pooled}, weights)

    def count_tokens(self, text: str) -> int:
        return len(self._base.tokenizers[-1](text, verbose=False).input_ids)

    def create_noise(self, width: int, height: int, generator: torch.Generator) -> Tensor:
        check_sides(self._base, width, height)
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


def longest(base: Base) -> int:
    """Return the tokens of a prompt that are read, of its last tokenizer."""
    return LONGEST if _reads_t5(base) else base.tokenizers[0].model_max_length


def encode_words(base: Base, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Return (B, tokens, channels), filled up, CLIP's before T5's, and (B, channels) of the whole texts."""
    from diffusers import StableDiffusion3Pipeline

    last = 2 if _reads_t5(base) else None
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
        list(texts), None, None, device=base.device, do_classifier_free_guidance=False, max_sequence_length=LONGEST
    )
    return states.to(base.dtype), pooled.to(base.dtype)


def _reads_t5(base: Base) -> bool:
    return len(base.text_encoders) == FAMILIES[base.family].text_encoders


def hint_latents(base: Base, network: Any, condition_id: str, image: Tensor, cache: EncodingCache) -> Tensor:
    """(1, 3, H, W) of a map in [0, 1] to what a ControlNet reads of it, (1, C, h, w) in float32.

    These are latents, the mode of the autoencoder's distribution, which diffusers samples. They are not shifted for a ControlNet
    that reads no vector.
    """
    plain = (2.0, -1.0)
    factor, summand = PIXELS.get(condition_id, plain) if network.context_embedder is None else plain
    pixels = (factor * image + summand).contiguous()  # of one layout, so that pictures and trainings round alike
    hint = latents_of.encode(base, pixels, cache)
    if _reads_zeros(network):
        config = base.vae.config
        hint = hint + (config.get("shift_factor") or 0.0) * config["scaling_factor"]
    return hint


def control_rows(
    network: Any, transformer: Any, noisy: Tensor, timesteps: Tensor, hints: Tensor, text: Text
) -> Sequence[Tensor]:
    """Return the residuals of a ControlNet, each (B, tokens, channels), for (B, C, h, w) latents and hints."""
    assert text.added is not None
    pooled = text.added[POOLED]
    return network(
        hidden_states=transformer.pos_embed(noisy) if network.pos_embed is None else noisy,
        controlnet_cond=hints,
        encoder_hidden_states=None if network.context_embedder is None else text.states,
        pooled_projections=torch.zeros_like(pooled) if _reads_zeros(network) else pooled,
        timestep=timesteps,
        return_dict=False,
    )[0]


def _reads_zeros(network: Any) -> bool:
    """Return whether a ControlNet reads zeros in place of the prompt's vector, as those of InstantX were trained."""
    return bool(network.config["force_zeros_for_pooled_projection"])


def check_width(network: Any, transformer: Any) -> None:
    """Raise InputError where a ControlNet was made for another base of the family."""
    own, wanted = (inner_width(part.config) for part in (network, transformer))
    if own != wanted:
        raise InputError(
            f"The ControlNet was made for a base of {own} channels, but this one has {wanted}; choose a ControlNet made for it."
        )


def check_sides(base: Base, width: int, height: int) -> None:
    """Raise InputError where a picture has more places than the base knows."""
    most = FAMILIES[base.family].side_multiple * base.network.config["pos_embed_max_size"]
    if max(width, height) > most:
        raise InputError(
            f"The picture is {width} x {height} px, but {base.id} knows places up to {most} px a side; choose smaller sides."
        )


create: CreateBackbone = SD3Backbone
