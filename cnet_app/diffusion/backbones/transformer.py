"""Common parts of the backbones of transformers: flow matching, and text encoders that read no more than plain words.

They support neither weights of words nor embeddings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from annotators.base import Image
from cnet_app.diffusion.backbones import latents as latents_of
from cnet_app.diffusion.backbones.base import PreparedControl, Text
from cnet_app.diffusion.backbones.guidance import is_guided
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.known import known_image, new_latents
from cnet_app.diffusion.prompt_schedule import prompts_by_step, split_parts, syntax_notes, without_and
from cnet_app.diffusion.prompt_syntax import has_weights, plain_words
from cnet_app.request.checks.refusals import unread_negative
from cnet_app.request.generation import GenerationRequest
from models.embeddings import Embedding, embedding_files, split_words
from models.errors import InputError
from models.families import FAMILIES, require
from models.family_facts import FamilyFacts
from models.ip_adapter import IpAdapter, image_embeds
from models.lora.loras import lora_versions

if TYPE_CHECKING:
    from models.loader import Base

LENGTHS = "lengths"
"""Key of `Text.added`: tokens of each row, on the CPU; the rest of its states is padding."""
LONGEST = 512
"""Tokens of a prompt that are read at most; as in diffusers and in training."""


def words_of(text: Text) -> list[Tensor]:
    """Return the states of each row without its padding."""
    assert text.added is not None
    lengths: list[int] = text.added[LENGTHS].tolist()
    return [states[:length] for states, length in zip(text.states, lengths, strict=True)]


class TransformerBackbone(ABC):
    """The parts of a Backbone that do not depend on the network."""

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
        return False

    @property
    def longest(self) -> int:
        """Tokens of a prompt that are read."""
        return LONGEST

    @property
    def two_sides(self) -> bool:
        """Whether guidance also runs the network on the negative prompt."""
        return self._facts.has("guidance_sides")

    @abstractmethod
    def encode_rows(self, texts: Sequence[str], weights: tuple[float, ...], cache: EncodingCache) -> Text:
        """Return texts as the network reads them in one step, a row each, in its number format; `weights` as in Text."""
        ...

    @abstractmethod
    def count_tokens(self, text: str) -> int:
        """Return how many tokens of `longest` a text takes."""
        ...

    def known_part(self, request: GenerationRequest, cache: EncodingCache) -> Tensor | None:
        """Return what a ControlNet reads of the known part of a picture, (1, 1 + C, h, w): 1 where it stays, and latents."""
        if request.inpaint_mask is None or request.initial_image is None:
            return None
        known = latents_of.encode(self._base, known_image(request, self._facts), cache)
        return torch.cat([1 - new_latents(request, self._facts).to(known.device), known], dim=1)

    def encode_texts(
        self,
        request: GenerationRequest,
        controls: Sequence[PreparedControl],
        cache: EncodingCache,
        steps: int,
        prompt: str | None = None,
    ) -> tuple[Text, ...]:
        both = self.two_sides and is_guided(self._facts, request, controls)
        negatives, positives = (prompts_by_step(text, steps) for text in (request.negative_prompt, request.prompt))
        own = (None,) * steps if prompt is None else prompts_by_step(prompt, steps)
        keys = list(zip(negatives, positives, own, strict=True))
        texts = {key: self._encode_step(*key, both, cache) for key in dict.fromkeys(keys)}
        return tuple(texts[key] for key in keys)

    def _encode_step(self, negative: str, positive: str, own: str | None, both: bool, cache: EncodingCache) -> Text:
        """Return the text of a step; several parts are always guided, since each pulls away from the negative prompt.

        `own` stands in the place of every part.
        """
        parts = split_parts(positive)
        if len(parts) > 1:
            require(self._facts, "prompt_parts", "A prompt of several parts (AND)")
            if not self.two_sides:
                raise InputError(
                    f"A prompt of several parts (AND) needs guidance, which {self._base.id} does not have: it was distilled to "
                    "few steps; choose a base that is not distilled."
                )
        read = [without_and(negative)] if both or len(parts) > 1 else []
        read += [part if own is None else without_and(own) for part, _ in parts]
        return self.encode_rows([plain_words(text) for text in read], tuple(weight for _, weight in parts), cache)

    def text_notes(self, request: GenerationRequest, steps: int) -> Sequence[str]:
        prompts = {"prompt": request.prompt}
        several = any(len(split_parts(text)) > 1 for text in prompts_by_step(request.prompt, steps))
        reader = "this base" if self._facts.has("guidance_sides") else self._facts.title
        is_read = self.two_sides and (request.guidance_scale > 1 or several)
        if is_read:
            prompts["negative_prompt"] = request.negative_prompt
        notes = [note for name, text in prompts.items() for note in self._prompt_notes(name, text, steps)]
        if request.negative_prompt and not is_read:
            notes.append(
                "negative_prompt has no effect at guidance_scale 1; raise guidance_scale to use it."
                if self.two_sides
                else unread_negative(reader)
            )
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
        longest = max(self.count_tokens(plain_words(text)) for text in texts)
        if longest > self.longest:
            yield f"{name} is {longest} tokens long, of which {self.longest} are read; what comes later has no effect."

    def encode_image_prompt(self, adapter: IpAdapter, image: Image) -> Tensor:
        require(self._facts, "ip_adapters", "An image prompt")
        return image_embeds(adapter, image)

    def use_image_prompt(self, adapter: IpAdapter | None, scale: float) -> AbstractContextManager[None]:
        if adapter is not None:
            require(self._facts, "ip_adapters", "An image prompt")
        return nullcontext()

    def create_noise(self, width: int, height: int, generator: torch.Generator) -> Tensor:
        return latents_of.create_noise(self._base, width, height, generator)

    def encode(self, image: Tensor, generator: torch.Generator, cache: EncodingCache) -> Tensor:
        return latents_of.encode(self._base, image, cache, generator)

    def decode(self, latents: Tensor) -> Tensor:
        return latents_of.decode(self._base, latents)

    def predict_original(self, scheduler: Any, model_input: Tensor, prediction: Tensor, timestep: Tensor) -> Tensor:
        return model_input - timestep / scheduler.config.num_train_timesteps * prediction


class LanguageModelBackbone(TransformerBackbone):
    """The parts of a Backbone whose one text encoder is a language model, which returns as many tokens as there are."""

    @abstractmethod
    def encode_words(self, text: str) -> Tensor:
        """Return (tokens, channels) of a text in the network's number format."""
        ...

    def encode_rows(self, texts: Sequence[str], weights: tuple[float, ...], cache: EncodingCache) -> Text:
        encoder = self._base.text_encoders[0]
        versions = lora_versions(encoder)
        rows = [cache.get(encoder, (text, versions), partial(self.encode_words, text)) for text in texts]
        lengths = torch.tensor([len(row) for row in rows])
        return Text(pad_sequence(rows, batch_first=True), {LENGTHS: lengths}, weights)
