"""Qwen-Image: one transformer of two streams, image tokens and text tokens, trained by flow matching.

The two sides of guidance run one after the other. Guidance keeps the norm of each token of the prompt's side. The network
returns the direction from the picture to noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cnet_app.diffusion.backbones.base import Control, CreateBackbone, Extras, Network, Text
from cnet_app.diffusion.backbones.controls.qwen_image import prepare_controlnet
from cnet_app.diffusion.backbones.guidance import apply_guidance_to_tokens
from cnet_app.diffusion.backbones.tokens import image_shapes, network_time, residuals_by_block, to_latents, to_tokens
from cnet_app.diffusion.backbones.transformer import LONGEST, LanguageModelBackbone, words_of
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.request.checks.refusals import checked_mode
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models.errors import InputError

if TYPE_CHECKING:
    from models.loader import Base


class QwenImageBackbone(LanguageModelBackbone):
    """A Backbone."""

    def __init__(self, base: Base) -> None:
        super().__init__(base)
        if base.network.config["use_additional_t_cond"]:
            raise InputError(
                f"{base.id} makes pictures in layers, which this app does not do; choose a {self._facts.title} that makes "
                "one picture."
            )

    def prepare_control(
        self, unit: ControlUnit, network: Network, request: GenerationRequest, cache: EncodingCache
    ) -> Control:
        row = checked_mode(unit, request.guess_mode, self._facts)
        return prepare_controlnet(
            unit, network, self._base, row, request, cache, lambda: self.known_part(request, cache)
        )

    def encode_words(self, text: str) -> Tensor:
        """Return the words, and the end of the conversation around them that the model was trained with."""
        found, _ = self._pipeline().encode_prompt(text, device=self.device, max_sequence_length=LONGEST)
        return found[0].to(self.device, self._base.dtype)

    def _pipeline(self) -> Any:
        """diffusers' pipeline without networks besides the text encoder's."""
        from diffusers import QwenImagePipeline

        base: Any = self._base
        return QwenImagePipeline(
            scheduler=base.scheduler,
            vae=None,  # pyright: ignore[reportArgumentType]
            text_encoder=base.text_encoders[0],
            tokenizer=base.tokenizers[0],
            transformer=None,  # pyright: ignore[reportArgumentType]
        )

    def count_tokens(self, text: str) -> int:
        pipeline = self._pipeline()
        ids = self._base.tokenizers[0](pipeline.prompt_template_encode.format(text)).input_ids
        return len(ids) - pipeline.prompt_template_encode_start_idx

    def pack(self, latents: Tensor, text: Text) -> Tensor:
        """(1, C, h, w) to (B, C, h, w): tokens are made where the size is known."""
        return latents.to(self._base.network.dtype).expand(len(text.states), -1, -1, -1)

    def predict(self, batch: Tensor, timestep: Tensor, text: Text, guidance_scale: float, extras: Extras) -> Tensor:
        transformer = self._base.network
        blocks = len(transformer.transformer_blocks)
        sides = [
            transformer(
                hidden_states=to_tokens(batch[row : row + 1]),
                timestep=network_time(timestep, batch),
                encoder_hidden_states=words[None],
                img_shapes=image_shapes(batch),
                controlnet_block_samples=residuals_by_block(extras.residuals or {}, blocks, slice(row, row + 1)),
                return_dict=False,
            )[0]
            for row, words in enumerate(words_of(text))
        ]
        tokens = apply_guidance_to_tokens(torch.cat(sides).float(), text, guidance_scale)
        return to_latents(tokens, batch.shape[-2], batch.shape[-1])


create: CreateBackbone = QwenImageBackbone
