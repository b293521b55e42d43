"""Z-Image: one transformer over image and text tokens together, trained by flow matching.

Guidance runs both sides in one batch. The network returns the direction from noise to the picture, at a time that runs
from 0 to 1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cnet_app.diffusion.backbones import latents as latents_of
from cnet_app.diffusion.backbones.base import Control, CreateBackbone, Extras, Network, Text
from cnet_app.diffusion.backbones.controls.z_image import adding_hints, prepare_controlnet
from cnet_app.diffusion.backbones.guidance import apply_guidance
from cnet_app.diffusion.backbones.transformer import LanguageModelBackbone, words_of
from cnet_app.diffusion.backbones.z_image_tokens import network_time
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.steering import control_tensor
from cnet_app.registry.conditions import condition
from cnet_app.request.checks.refusals import checked_mode
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models.errors import InputError


class ZImageBackbone(LanguageModelBackbone):
    """A Backbone."""

    def prepare_control(
        self, unit: ControlUnit, network: Network, request: GenerationRequest, cache: EncodingCache
    ) -> Control:
        if condition(unit.condition).masked:
            raise InputError(
                f"{unit.condition} has no ControlNet for {self._facts.title}, whose ControlNets of other conditions read the "
                "inpaint mask; leave the unit out, and give initial_image and inpaint_mask."
            )
        row = checked_mode(unit, request.guess_mode, self._facts)
        image = control_tensor(unit, request.width, request.height, self._facts.side_multiple)
        return prepare_controlnet(
            unit,
            network,
            self._base.network,
            latents_of.encode(self._base, 2 * image - 1, cache),
            self.known_part(request, cache),
            row,
            (request.width, request.height),
            self._facts,
            cache,
        )

    def encode_words(self, text: str) -> Tensor:
        """Return the words, and the conversation around them that the model was trained with."""
        found, _ = self._pipeline().encode_prompt(text, device=self.device, do_classifier_free_guidance=False)
        return found[0].to(self.device, self._base.dtype)

    def _pipeline(self) -> Any:
        """diffusers' pipeline without networks besides the text encoder's."""
        from diffusers import ZImagePipeline

        base: Any = self._base
        return ZImagePipeline(
            scheduler=base.scheduler,
            vae=None,  # pyright: ignore[reportArgumentType]
            text_encoder=base.text_encoders[0],
            tokenizer=base.tokenizers[0],
            transformer=None,  # pyright: ignore[reportArgumentType]
        )

    def count_tokens(self, text: str) -> int:
        tokenizer = self._base.tokenizers[0]
        said = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True, enable_thinking=True
        )
        return len(tokenizer(said).input_ids)

    def pack(self, latents: Tensor, text: Text) -> Tensor:
        """(1, C, h, w) to (B, C, 1, h, w): the network also makes films."""
        return latents.to(self._base.network.dtype).expand(len(text.states), -1, -1, -1)[:, :, None]

    def predict(self, batch: Tensor, timestep: Tensor, text: Text, guidance_scale: float, extras: Extras) -> Tensor:
        transformer = self._base.network
        refiners = len(transformer.noise_refiner)
        residuals = extras.residuals or {}
        with adding_hints(transformer, {number: hint for number, hint in residuals.items() if number < refiners}):
            rows = transformer(
                list(batch),
                network_time(timestep, len(batch)),
                words_of(text),
                controlnet_block_samples={n - refiners: tensor for n, tensor in residuals.items() if n >= refiners},
                return_dict=False,
            )[0]
        return apply_guidance(-torch.stack(rows).float()[:, :, 0], text, guidance_scale)


create: CreateBackbone = ZImageBackbone
