"""Z-Image: one transformer over image and text tokens together, trained by flow matching.

The text encoder is a language model: it supports neither weights of words nor embeddings. Guidance runs both sides in one
batch. The network returns the direction from noise to the picture, at a time that runs from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from annotators.base import Image
from cnet_app.diffusion.backbones import latents as latents_of
from cnet_app.diffusion.backbones.base import Control, Extras, Network, StaticControl, Text
from cnet_app.diffusion.backbones.guidance import apply_guidance, is_guided
from cnet_app.diffusion.backbones.z_image_control import adding_hints, prepare_controlnet
from cnet_app.diffusion.backbones.z_image_tokens import LENGTHS, network_time, words_of
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.known import known_image, new_latents
from cnet_app.diffusion.prompt_schedule import prompts_by_step, split_parts, syntax_notes, without_and
from cnet_app.diffusion.prompt_syntax import has_weights, plain_words
from cnet_app.diffusion.steering import control_tensor
from cnet_app.registry.conditions import condition
from cnet_app.registry.modes import mode
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import ControlUnit
from models.embeddings import Embedding, embedding_files, split_words
from models.errors import InputError
from models.families import FAMILIES, FamilyFacts
from models.ip_adapter import IpAdapter, image_embeds

if TYPE_CHECKING:
    from models.loader import Base

LONGEST = 512
"""Tokens of a prompt that are read, those of the conversation around it included; as in diffusers and in training."""


class ZImageBackbone:
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
        return False

    def prepare_control(
        self, unit: ControlUnit, network: Network, request: GenerationRequest, cache: EncodingCache
    ) -> Control:
        if condition(unit.condition).masked:
            raise InputError(
                f"{unit.condition} has no ControlNet for {self._facts.title}, whose ControlNets of other conditions read the "
                "inpaint mask; leave the unit out, and give initial_image and inpaint_mask."
            )
        if unit.prompt is not None:
            self._facts.require("control_prompts", "The prompt of a control unit")
        row = mode("control" if request.guess_mode else unit.control_mode)
        row.check(self._facts)
        image = control_tensor(unit, request.width, request.height, self._facts.side_multiple)
        return prepare_controlnet(
            unit,
            network,
            self._base.unet,
            latents_of.encode(self._base, 2 * image - 1, cache),
            self._known_part(request, cache),
            row,
            (request.width, request.height),
            self._facts,
        )

    def _known_part(self, request: GenerationRequest, cache: EncodingCache) -> Tensor | None:
        """Return what a ControlNet reads of the known part of a picture, (1, 1 + C, h, w): 1 where it stays, and latents."""
        if request.inpaint_mask is None or request.initial_image is None:
            return None
        known = latents_of.encode(self._base, known_image(request, self._facts), cache)
        return torch.cat([1 - new_latents(request, self._facts).to(known.device), known], dim=1)

    def encode_texts(
        self,
        request: GenerationRequest,
        controls: Sequence[Control | StaticControl],
        cache: EncodingCache,
        steps: int,
        prompt: str | None = None,
    ) -> tuple[Text, ...]:
        both = is_guided(self._facts, request, controls)
        negatives, positives = (prompts_by_step(text, steps) for text in (request.negative_prompt, request.prompt))
        pairs = list(zip(negatives, positives, strict=True))
        texts = {pair: self._encode_step(*pair, both, cache) for pair in dict.fromkeys(pairs)}
        return tuple(texts[pair] for pair in pairs)

    def _encode_step(self, negative: str, positive: str, both: bool, cache: EncodingCache) -> Text:
        """Return the text of a step; several parts are always guided, since each pulls away from the negative prompt."""
        parts = split_parts(positive)
        read = [without_and(negative)] if both or len(parts) > 1 else []
        words = [plain_words(text) for text in (*read, *(part for part, _ in parts))]
        encoder = self._base.text_encoders[0]
        rows = [cache.get(encoder, text, partial(self._encode, text)) for text in words]
        lengths = torch.tensor([len(row) for row in rows])
        return Text(pad_sequence(rows, batch_first=True), {LENGTHS: lengths}, tuple(weight for _, weight in parts))

    def _encode(self, text: str) -> Tensor:
        """Return (tokens, channels): the words, and the conversation around them that the model was trained with."""
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

    def text_notes(self, request: GenerationRequest, steps: int) -> Sequence[str]:
        prompts = {"prompt": request.prompt}
        several = any(len(split_parts(text)) > 1 for text in prompts_by_step(request.prompt, steps))
        is_read = request.guidance_scale > 1 or several
        if is_read:
            prompts["negative_prompt"] = request.negative_prompt
        notes = [note for name, text in prompts.items() for note in self._prompt_notes(name, text, steps)]
        if request.negative_prompt and not is_read:
            notes.append("negative_prompt has no effect at guidance_scale 1; raise guidance_scale to use it.")
        return notes

    def _prompt_notes(self, name: str, prompt: str, steps: int) -> Iterator[str]:
        yield from syntax_notes(name, prompt, steps, parts=name == "prompt", weights=False)
        texts = dict.fromkeys(prompts_by_step(prompt, steps))
        if any(has_weights(text) for text in texts):
            yield f"{name} gives words weights, which {self._facts.title} does not have: they are read as plain words."
        known = embedding_files()
        named = {part.title for text in texts for part in split_words(text, known) if isinstance(part, Embedding)}
        if named:
            yield f"{name} names {', '.join(sorted(named))}, but {self._facts.title} reads no embeddings: it is a plain word."
        longest = max(self._token_count(plain_words(text)) for text in texts)
        if longest > LONGEST:
            yield f"{name} is {longest} tokens long, of which {LONGEST} are read; what comes later has no effect."

    def _token_count(self, text: str) -> int:
        tokenizer = self._base.tokenizers[0]
        said = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True, enable_thinking=True
        )
        return len(tokenizer(said).input_ids)

    def encode_image_prompt(self, adapter: IpAdapter, image: Image) -> Tensor:
        self._facts.require("ip_adapters", "An image prompt")
        return image_embeds(adapter, image)

    def use_image_prompt(self, adapter: IpAdapter | None, scale: float) -> AbstractContextManager[None]:
        if adapter is not None:
            self._facts.require("ip_adapters", "An image prompt")
        return nullcontext()

    def create_noise(self, width: int, height: int, generator: torch.Generator) -> Tensor:
        return latents_of.create_noise(self._base, width, height, generator)

    def encode(self, image: Tensor, generator: torch.Generator, cache: EncodingCache) -> Tensor:
        return latents_of.encode(self._base, image, cache, generator)

    def decode(self, latents: Tensor) -> Tensor:
        return latents_of.decode(self._base, latents)

    def pack(self, latents: Tensor, text: Text) -> Tensor:
        """(1, C, h, w) to (B, C, 1, h, w): the network also makes films."""
        return latents.to(self._base.unet.dtype).expand(len(text.states), -1, -1, -1)[:, :, None]

    def predict(self, batch: Tensor, timestep: Tensor, text: Text, guidance_scale: float, extras: Extras) -> Tensor:
        transformer = self._base.unet
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

    def predict_original(self, scheduler: Any, model_input: Tensor, prediction: Tensor, timestep: Tensor) -> Tensor:
        return model_input - timestep / scheduler.config.num_train_timesteps * prediction
