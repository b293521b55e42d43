"""FLUX.2 klein: one transformer whose first blocks have a stream each for picture and text, and whose others join them.

It is trained by flow matching. Most bases are distilled to few steps and read the prompt alone; others have guidance, whose two
sides run one after the other. It reads maps itself, as further tokens of the picture: see flux2_reference.py. Its text encoder
is a language model, of which it reads the words after three layers, and the filling behind them, as in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cnet_app.diffusion.backbones import latents as latents_of
from cnet_app.diffusion.backbones.base import ActiveReference, CreateBackbone, Extras, Network, ReferenceControl, Text
from cnet_app.diffusion.backbones.controls.flux2_reference import joined_tokens, prepare_reference, word_places
from cnet_app.diffusion.backbones.controls.flux2_strength import mixed_attention
from cnet_app.diffusion.backbones.guidance import apply_guidance
from cnet_app.diffusion.backbones.tokens import PATCH, network_time, to_latents
from cnet_app.diffusion.backbones.transformer import TransformerBackbone
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.pixels import padded_side
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models.lora.loras import lora_versions


class Flux2Backbone(TransformerBackbone):
    """A Backbone."""

    @property
    def two_sides(self) -> bool:
        return super().two_sides and not self._base.is_distilled

    def prepare_control(
        self, unit: ControlUnit, network: Network, request: GenerationRequest, cache: EncodingCache
    ) -> ReferenceControl:
        return prepare_reference(unit, self._base, request, cache)

    def encode_rows(self, texts: Sequence[str], weights: tuple[float, ...], cache: EncodingCache) -> Text:
        encoder = self._base.text_encoders[0]
        versions = lora_versions(encoder)
        rows = [cache.get(encoder, (text, versions), partial(self._encode, text)) for text in texts]
        return Text(torch.cat(rows), None, weights)

    def _encode(self, text: str) -> Tensor:
        """Return (1, longest, channels), filled up."""
        from diffusers import Flux2KleinPipeline

        base: Any = self._base
        encode: Any = Flux2KleinPipeline._get_qwen3_prompt_embeds  # noqa: SLF001 - pipelines of diffusers share it
        states = encode(
            base.text_encoders[0], base.tokenizers[0], text, device=self.device, max_sequence_length=self.longest
        )
        return states.to(base.dtype)

    def count_tokens(self, text: str) -> int:
        tokenizer = self._base.tokenizers[0]
        said = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return len(tokenizer(said).input_ids)

    def text_notes(self, request: GenerationRequest, steps: int) -> Sequence[str]:
        notes = list(super().text_notes(request, steps))
        if request.guidance_scale > 1 and self._base.is_distilled:
            notes.append(
                f"guidance_scale is {request.guidance_scale:g}, which has no effect: this base was distilled to few steps and "
                "reads the prompt alone; set it to 1."
            )
        return notes

    def create_noise(self, width: int, height: int, generator: torch.Generator) -> Tensor:
        """Return noise that is drawn token by token, as diffusers draws it."""
        multiple, channels = self._facts.side_multiple, PATCH**2 * self._facts.latent_channels
        sides = (padded_side(side, multiple) // multiple for side in (height, width))
        noise = torch.randn((1, channels, *sides), generator=generator, dtype=torch.float32)
        return torch.nn.functional.pixel_shuffle(noise, PATCH).to(self.device)

    def encode(self, image: Tensor, generator: torch.Generator, cache: EncodingCache) -> Tensor:
        """Return the mode of the autoencoder's distribution, as its authors do."""
        return latents_of.encode(self._base, image, cache)

    def pack(self, latents: Tensor, text: Text) -> Tensor:
        """(1, C, h, w) to (B, C, h, w): tokens are made where the size is known."""
        return latents.to(self._base.network.dtype).expand(len(text.states), -1, -1, -1)

    def predict(self, batch: Tensor, timestep: Tensor, text: Text, guidance_scale: float, extras: Extras) -> Tensor:
        rows = zip(batch.split(1), text.states.split(1), strict=True)
        sides = [self._predict_side(latents, timestep, words, extras.references) for latents, words in rows]
        guided = apply_guidance(torch.cat(sides).float(), text, guidance_scale)
        return to_latents(guided, batch.shape[-2], batch.shape[-1])

    def _predict_side(
        self, latents: Tensor, timestep: Tensor, words: Tensor, references: Sequence[ActiveReference]
    ) -> Tensor:
        """Return (1, tokens, C) of the picture, for one side of guidance or one part of the prompt."""
        parts, places = joined_tokens(latents, references)
        own, *counts = (part.shape[1] for part in parts)
        strengths = [one.strength for one in references]
        with mixed_attention(self._base.network, strengths, words.shape[1] + own, counts, latents.device):
            predicted = self._base.network(
                hidden_states=torch.cat(parts, dim=1),
                encoder_hidden_states=words,
                timestep=network_time(timestep, latents),
                img_ids=places,
                txt_ids=word_places(words.shape[1], words.device),
                return_dict=False,
            )
        return predicted[0][:, :own]


create: CreateBackbone = Flux2Backbone
