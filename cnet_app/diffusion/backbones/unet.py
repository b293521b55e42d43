"""Bases with a U-Net: the embedded model, SD 1.5, SD 2.1, SDXL, and their inpainting models.

Residuals enter at the skip connections and the middle block, adapters' features inside the encoder. Guidance runs both
sides in one batch. Nothing is packed. What differs between the four is in their files in models/families/.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from diffusers import T2IAdapter
from torch import Tensor, nn

from annotators.base import Image
from cnet_app.diffusion.backbones import clip
from cnet_app.diffusion.backbones import latents as latents_of
from cnet_app.diffusion.backbones.base import (
    Control,
    CreateBackbone,
    Extras,
    Network,
    PreparedControl,
    StaticControl,
    Text,
)
from cnet_app.diffusion.backbones.controls.unet import prepare_controlnet
from cnet_app.diffusion.backbones.controls.unet_adapter import prepare_adapter
from cnet_app.diffusion.backbones.guidance import apply_guidance
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.steering import control_tensor
from cnet_app.request.checks.refusals import checked_mode
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models.families import FAMILIES
from models.family_facts import FamilyFacts
from models.ip_adapter import IpAdapter, image_embeds, use_ip_adapter

if TYPE_CHECKING:
    from models.loader import Base

LEAST_SIGNAL = 1e-3
"""Share of the picture in noisy latents below which it is not divided by."""


class UNetBackbone:
    """A Backbone."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._facts = FAMILIES[base.family]

    @property
    def facts(self) -> FamilyFacts:
        return self._facts

    @property
    def device(self) -> torch.device:
        return self._base.device

    @property
    def denoiser(self) -> nn.Module:
        return self._base.network

    @property
    def inpaints(self) -> bool:
        return self._base.inpaints

    def prepare_control(
        self, unit: ControlUnit, network: Network, request: GenerationRequest, cache: EncodingCache
    ) -> Control | StaticControl:
        row = checked_mode(unit, request.guess_mode, self._facts)
        size = request.width, request.height
        image = control_tensor(unit, *size, self._facts.side_multiple, request.inpaint_mask)
        if isinstance(network, T2IAdapter):
            return prepare_adapter(unit, network, image, row, size, self._facts, self.device, cache)
        prompt = None if unit.prompt == request.prompt else unit.prompt
        return prepare_controlnet(unit, network, image, row, size, self._facts, self.device, cache, prompt)

    def encode_texts(
        self,
        request: GenerationRequest,
        controls: Sequence[PreparedControl],
        cache: EncodingCache,
        steps: int,
        prompt: str | None = None,
    ) -> tuple[Text, ...]:
        return clip.encode_steps(self._base, request, controls, cache, steps, prompt)

    def text_notes(self, request: GenerationRequest, steps: int) -> Sequence[str]:
        return clip.prompt_notes(self._base, request, steps)

    def encode_image_prompt(self, adapter: IpAdapter, image: Image) -> Tensor:
        return image_embeds(adapter, image)

    def use_image_prompt(self, adapter: IpAdapter | None, scale: float) -> AbstractContextManager[None]:
        return use_ip_adapter(self._base, adapter, scale)

    def create_noise(self, width: int, height: int, generator: torch.Generator) -> Tensor:
        return latents_of.create_noise(self._base, width, height, generator)

    def encode(self, image: Tensor, generator: torch.Generator, cache: EncodingCache) -> Tensor:
        return latents_of.encode(self._base, image, cache, generator)

    def decode(self, latents: Tensor) -> Tensor:
        return latents_of.decode(self._base, latents)

    def pack(self, latents: Tensor, text: Text) -> Tensor:
        return latents.expand(len(text.states), -1, -1, -1).to(self._base.network.dtype)

    def predict(self, batch: Tensor, timestep: Tensor, text: Text, guidance_scale: float, extras: Extras) -> Tensor:
        rows = len(batch)
        if extras.known is not None:
            batch = torch.cat([batch, extras.known.to(batch).expand(rows, -1, -1, -1)], 1)
        added: dict[str, Any] | None = text.added
        if extras.image_prompt is not None:
            sides = [0, *[1] * max(1, rows - 1)][-rows:]
            added = {**(added or {}), "image_embeds": [extras.image_prompt[sides]]}
        residuals = [tensor for _, tensor in sorted((extras.residuals or {}).items())]
        prediction = self._base.network(
            batch,
            timestep,
            encoder_hidden_states=text.states,
            added_cond_kwargs=added,
            down_block_additional_residuals=tuple(residuals[:-1]) if residuals else None,
            mid_block_additional_residual=residuals[-1] if residuals else None,
            down_intrablock_additional_residuals=extras.features,
            return_dict=False,
        )[0].float()
        return apply_guidance(prediction, text, guidance_scale)

    def predict_original(self, scheduler: Any, model_input: Tensor, prediction: Tensor, timestep: Tensor) -> Tensor:
        """`model_input` has unit variance, whatever the scheduler's own scaling."""
        level = scheduler.alphas_cumprod[timestep.round().long().cpu()].to(model_input.device)
        signal, noise = level.sqrt(), (1 - level).sqrt()
        if scheduler.config.prediction_type == "v_prediction":
            return signal * model_input - noise * prediction
        if scheduler.config.prediction_type == "sample":
            return prediction
        return (model_input - noise * prediction) / signal.clamp(min=LEAST_SIGNAL)


create: CreateBackbone = UNetBackbone
