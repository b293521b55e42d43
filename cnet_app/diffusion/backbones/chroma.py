"""Chroma: FLUX.1's transformer, made smaller and no longer distilled, so that it has guidance of two sides.

It reads T5's words alone, and one token of filling behind them, as in training: diffusers' pipelines also let it read the rest of
the filling (their issue 13619). The two sides of guidance run one after the other. FLUX.1's ControlNets steer it; the vector of
the whole prompt that these read is zero, and their guidance that of FLUX.1's defaults.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cnet_app.diffusion.backbones.base import CreateBackbone, Extras, Text
from cnet_app.diffusion.backbones.controls.flux import block_samples, places_of
from cnet_app.diffusion.backbones.flux import FluxLikeBackbone
from cnet_app.diffusion.backbones.guidance import apply_guidance
from cnet_app.diffusion.backbones.tokens import network_time, to_latents, to_tokens
from cnet_app.diffusion.backbones.transformer import LanguageModelBackbone, words_of
from cnet_app.request.generation import GenerationRequest
from models.families import FAMILIES


class ChromaBackbone(FluxLikeBackbone, LanguageModelBackbone):
    """A Backbone."""

    def control_guidance(self, request: GenerationRequest) -> float:
        return FAMILIES[self._facts.shares_with or self._facts.id].defaults.guidance_scale

    def encode_words(self, text: str) -> Tensor:
        from diffusers import ChromaPipeline

        base: Any = self._base
        pipeline: Any = ChromaPipeline(
            scheduler=base.scheduler,
            vae=None,  # pyright: ignore[reportArgumentType]
            text_encoder=base.text_encoders[0],
            tokenizer=base.tokenizers[0],
            transformer=None,  # pyright: ignore[reportArgumentType]
        )
        states, _, mask, *_ = pipeline.encode_prompt(
            text, device=self.device, max_sequence_length=self.longest, do_classifier_free_guidance=False
        )
        return states[0, : int(mask[0].sum())].to(base.dtype)

    def predict(self, batch: Tensor, timestep: Tensor, text: Text, guidance_scale: float, extras: Extras) -> Tensor:
        transformer = self._base.network
        residuals = extras.residuals or {}
        sides: list[Tensor] = []
        for row, words in enumerate(words_of(text)):
            doubles, singles = block_samples(residuals, transformer, row)
            latents = batch[row : row + 1]
            predicted = transformer(
                hidden_states=to_tokens(latents),
                timestep=network_time(timestep, batch),
                encoder_hidden_states=words[None],
                controlnet_block_samples=doubles,
                controlnet_single_block_samples=singles,
                return_dict=False,
                **places_of(latents, words),
            )
            sides.append(predicted[0])
        guided = apply_guidance(torch.cat(sides).float(), text, guidance_scale)
        return to_latents(guided, batch.shape[-2], batch.shape[-1])


create: CreateBackbone = ChromaBackbone
