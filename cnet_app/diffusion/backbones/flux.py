"""FLUX.1: one transformer whose first blocks have a stream each for picture and text, and whose others join them.

It is trained by flow matching, and distilled: guidance is a number that the network reads (dev), or there is none (schnell).
The prompt alone is read, once a step. The network returns the direction from the picture to noise.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cnet_app.diffusion.backbones.base import Control, CreateBackbone, Extras, Network, Text
from cnet_app.diffusion.backbones.controls.flux import POOLED, block_samples, places_of, prepare_controlnet
from cnet_app.diffusion.backbones.tokens import PATCH, network_time, to_latents, to_tokens
from cnet_app.diffusion.backbones.transformer import LONGEST, TransformerBackbone
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.request.checks.refusals import checked_mode
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models.errors import InputError
from models.lora.loras import lora_versions

if TYPE_CHECKING:
    from models.loader import Base

LONGEST_WITHOUT_GUIDANCE = 256
"""Tokens of a prompt that the authors give to schnell, which reads no guidance."""


class FluxLikeBackbone(TransformerBackbone):
    """The parts of a Backbone that FLUX.1 shares with bases made from it, which take the same ControlNets."""

    def __init__(self, base: Base) -> None:
        super().__init__(base)
        read = base.network.config["in_channels"] // PATCH**2
        if read != self._facts.latent_channels:
            raise InputError(
                f"{base.id} reads {read} channels, a further picture among them, which this app does not give; choose a "
                f"{self._facts.title} that reads {self._facts.latent_channels}, and a ControlNet."
            )

    @abstractmethod
    def control_guidance(self, request: GenerationRequest) -> float:
        """Return the guidance scale that a ControlNet reads."""
        ...

    def prepare_control(
        self, unit: ControlUnit, network: Network, request: GenerationRequest, cache: EncodingCache
    ) -> Control:
        row = checked_mode(unit, request.guess_mode, self._facts)
        return prepare_controlnet(unit, network, self._base, row, request, cache, self.control_guidance(request))

    def count_tokens(self, text: str) -> int:
        return len(self._base.tokenizers[-1](text).input_ids)

    def pack(self, latents: Tensor, text: Text) -> Tensor:
        """(1, C, h, w) to (B, C, h, w): tokens are made where the size is known."""
        return latents.to(self._base.network.dtype).expand(len(text.states), -1, -1, -1)


class FluxBackbone(FluxLikeBackbone):
    """A Backbone."""

    @property
    def longest(self) -> int:
        return LONGEST if self._reads_guidance else LONGEST_WITHOUT_GUIDANCE

    @property
    def _reads_guidance(self) -> bool:
        return bool(self._base.network.config["guidance_embeds"])

    def control_guidance(self, request: GenerationRequest) -> float:
        return request.guidance_scale

    def encode_rows(self, texts: Sequence[str], weights: tuple[float, ...], cache: EncodingCache) -> Text:
        encoders = self._base.text_encoders
        versions = tuple(lora_versions(encoder) for encoder in encoders)
        rows = [cache.get(encoders[-1], (text, self.longest, versions), partial(self._encode, text)) for text in texts]
        states, pooled = (torch.cat(parts) for parts in zip(*rows, strict=True))
        return Text(states, {POOLED: pooled}, weights)

    def _encode(self, text: str) -> tuple[Tensor, Tensor]:
        """Return (1, longest, channels), filled up, and (1, channels) of the whole text."""
        from diffusers import FluxPipeline

        base: Any = self._base
        pipeline: Any = FluxPipeline(
            scheduler=base.scheduler,
            vae=None,  # pyright: ignore[reportArgumentType]
            text_encoder=base.text_encoders[0],
            tokenizer=base.tokenizers[0],
            text_encoder_2=base.text_encoders[1],
            tokenizer_2=base.tokenizers[1],
            transformer=None,  # pyright: ignore[reportArgumentType]
        )
        states, pooled, _ = pipeline.encode_prompt(text, device=self.device, max_sequence_length=self.longest)
        return states.to(base.dtype), pooled.to(base.dtype)

    def text_notes(self, request: GenerationRequest, steps: int) -> Sequence[str]:
        notes = list(super().text_notes(request, steps))
        if request.guidance_scale > 1 and not self._reads_guidance:
            notes.append(
                f"guidance_scale is {request.guidance_scale:g}, but this base was distilled without guidance and does not "
                "read it; set it to 1."
            )
        return notes

    def predict(self, batch: Tensor, timestep: Tensor, text: Text, guidance_scale: float, extras: Extras) -> Tensor:
        transformer = self._base.network
        doubles, singles = block_samples(extras.residuals or {}, transformer, 0)
        assert text.added is not None
        tokens = transformer(
            hidden_states=to_tokens(batch),
            timestep=network_time(timestep, batch),
            guidance=torch.full((1,), guidance_scale, device=batch.device) if self._reads_guidance else None,
            pooled_projections=text.added[POOLED],
            encoder_hidden_states=text.states,
            controlnet_block_samples=doubles,
            controlnet_single_block_samples=singles,
            return_dict=False,
            **places_of(batch, text.states[0]),
        )[0]
        return to_latents(tokens.float(), batch.shape[-2], batch.shape[-1])


create: CreateBackbone = FluxBackbone
