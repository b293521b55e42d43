"""Bases with a U-Net: the embedded model, SD 1.5, SD 2.1, SDXL, and their inpainting models.

Residuals enter at the skip connections and the middle block, adapters' features inside the encoder. Guidance runs both
sides in one batch. Nothing is packed. What differs between the four is in their rows of models/families.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from diffusers import T2IAdapter
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor, nn

from annotators.base import Image
from cnet_app.diffusion.backbones import clip
from cnet_app.diffusion.backbones.base import Control, Extras, Network, StaticControl, Text
from cnet_app.diffusion.backbones.unet_adapter import prepare_adapter
from cnet_app.diffusion.backbones.unet_control import prepare_controlnet
from cnet_app.diffusion.cache import EncodingCache, image_key
from cnet_app.diffusion.pixels import padded_side
from cnet_app.diffusion.steering import control_tensor
from cnet_app.registry.modes import mode
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models.families import FAMILIES, FamilyFacts
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
        return self._base.unet

    @property
    def inpaints(self) -> bool:
        return self._base.inpaints

    def prepare_control(
        self, unit: ControlUnit, network: Network, request: GenerationRequest, cache: EncodingCache
    ) -> Control | StaticControl:
        row = mode("control" if request.guess_mode else unit.control_mode)
        row.check(self._facts)
        size = request.width, request.height
        image = control_tensor(unit, *size, self._facts.side_multiple, request.inpaint_mask)
        if unit.prompt is not None:
            self._facts.require("control_prompts", "The prompt of a control unit")
        if isinstance(network, T2IAdapter):
            return prepare_adapter(unit, network, image, row, size, self._facts, self.device, cache)
        prompt = None if unit.prompt == request.prompt else unit.prompt
        return prepare_controlnet(unit, network, image, row, size, self._facts, self.device, cache, prompt)

    def encode_texts(
        self,
        request: GenerationRequest,
        controls: Sequence[Control | StaticControl],
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
        """The generator is the CPU's, so that a seed means the same noise on every device."""
        sides = (
            padded_side(side, self._facts.side_multiple) // self._base.vae_scale_factor for side in (height, width)
        )
        shape = (1, self._base.vae.config["latent_channels"], *sides)
        return torch.randn(shape, generator=generator, dtype=torch.float32).to(self.device)

    def encode(self, image: Tensor, generator: torch.Generator, cache: EncodingCache) -> Tensor:
        """An autoencoder that returns a distribution is sampled with the generator."""
        vae = self._base.vae

        def moments() -> Tensor:
            encoded = vae.encode(image.to(self.device, vae.dtype))
            return encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.parameters

        found = cache.get(vae, image_key(image), moments)
        if found.shape[1] > vae.config["latent_channels"]:
            found = DiagonalGaussianDistribution(found).sample(generator)
        return found.float() * vae.config["scaling_factor"]

    def decode(self, latents: Tensor) -> Tensor:
        vae = self._base.vae
        scaled = latents / vae.config["scaling_factor"]
        return vae.decode(scaled.to(vae.dtype), return_dict=False)[0].float()

    def pack(self, latents: Tensor, text: Text) -> Tensor:
        return latents.expand(len(text.states), -1, -1, -1).to(self._base.unet.dtype)

    def predict(self, batch: Tensor, timestep: Tensor, text: Text, guidance_scale: float, extras: Extras) -> Tensor:
        rows = len(batch)
        if extras.known is not None:
            batch = torch.cat([batch, extras.known.to(batch).expand(rows, -1, -1, -1)], 1)
        added: dict[str, Any] | None = text.added
        if extras.image_prompt is not None:
            sides = [0, *[1] * max(1, rows - 1)][-rows:]
            added = {**(added or {}), "image_embeds": [extras.image_prompt[sides]]}
        residuals = [tensor for _, tensor in sorted((extras.residuals or {}).items())]
        prediction = self._base.unet(
            batch,
            timestep,
            encoder_hidden_states=text.states,
            added_cond_kwargs=added,
            down_block_additional_residuals=tuple(residuals[:-1]) if residuals else None,
            mid_block_additional_residual=residuals[-1] if residuals else None,
            down_intrablock_additional_residuals=extras.features,
            return_dict=False,
        )[0].float()
        if rows == 1:
            return prediction
        unconditional, pulls = prediction[:1], prediction[1:] - prediction[:1]
        if text.weights != (1.0,):
            pulls = torch.einsum("bchw,b->chw", pulls, pulls.new_tensor(text.weights))[None]
        return unconditional + guidance_scale * pulls

    def predict_original(self, scheduler: Any, model_input: Tensor, prediction: Tensor, timestep: Tensor) -> Tensor:
        """`model_input` has unit variance, whatever the scheduler's own scaling."""
        level = scheduler.alphas_cumprod[timestep.round().long().cpu()].to(model_input.device)
        signal, noise = level.sqrt(), (1 - level).sqrt()
        if scheduler.config.prediction_type == "v_prediction":
            return signal * model_input - noise * prediction
        if scheduler.config.prediction_type == "sample":
            return prediction
        return (model_input - noise * prediction) / signal.clamp(min=LEAST_SIGNAL)
