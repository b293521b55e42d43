"""Prompts encoded by CLIP: one text encoder or two, prompts of any length, weights of words, and embeddings."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cnet_app.diffusion.backbones.base import PreparedControl, Text
from cnet_app.diffusion.backbones.guidance import is_guided
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.prompt_schedule import prompts_by_step, split_parts, syntax_notes, without_and
from cnet_app.diffusion.prompt_syntax import Phrase, parse_prompt
from cnet_app.request.generation import GenerationRequest
from models.embeddings import Embedding, bundled_notes, known_words, read_embedding, split_words
from models.errors import InputError
from models.families import FAMILIES
from models.lora.loras import lora_versions

if TYPE_CHECKING:
    from models.loader import Base


def encode_prompts(
    base: Base,
    request: GenerationRequest,
    controls: Sequence[PreparedControl] = (),
    cache: EncodingCache | None = None,
    prompt: str | None = None,
) -> Text:
    """Encode the request's prompts for a run of one step; see `encode_steps`."""
    return encode_steps(base, request, controls, cache or EncodingCache(), 1, prompt)[0]


def encode_steps(
    base: Base,
    request: GenerationRequest,
    controls: Sequence[PreparedControl],
    cache: EncodingCache,
    steps: int,
    prompt: str | None = None,
) -> tuple[Text, ...]:
    """Encode the request's prompts, of any length, for each step: see `read_chunks` and cnet_app.diffusion.prompt_schedule.

    `Text.added` is there in families with size conditions: `text_embeds` (B, channels) and `time_ids` (B, 6). `prompt`
    stands in the place of the request's, in as many rows. Steps with equal prompts share a Text.
    """
    both = is_guided(FAMILIES[base.family], request, controls)
    own = None if prompt is None else prompts_by_step(prompt, steps)
    texts: dict[Hashable, Text] = {}
    found: list[Text] = []
    negatives, positives = (prompts_by_step(text, steps) for text in (request.negative_prompt, request.prompt))
    for step, pair in enumerate(zip(negatives, positives, strict=True)):
        key = (*pair, own[step] if own else None)
        if key not in texts:
            texts[key] = _encode_step(base, request, both, cache, *key)
        found.append(texts[key])
    return tuple(found)


def _encode_step(
    base: Base,
    request: GenerationRequest,
    both: bool,
    cache: EncodingCache,
    negative: str,
    positive: str,
    own: str | None,
) -> Text:
    """Return the text of a step; several parts are always guided, since each pulls away from the negative prompt."""
    facts = FAMILIES[base.family]
    parts = split_parts(positive)
    words = [part if own is None else without_and(own) for part, _ in parts]
    both = both or len(parts) > 1
    known = known_words(base)
    read = [[read_chunks(base, number, text, known) for number in range(len(base.text_encoders))]
            for text in ([without_and(negative)] if both else []) + words]  # fmt: skip
    longest = max(len(chunks) for encoders in read for chunks in encoders)
    versions = tuple(map(lora_versions, base.text_encoders))
    encoded: list[tuple[Tensor, Tensor]] = []
    for encoders in read:
        # The encoding depends on nothing else.
        key = (longest, versions, tuple(chunk.key for chunks in encoders for chunk in chunks))
        encoded.append(cache.get(base.text_encoders[0], key, partial(_encode, base, encoders, longest)))
    if both and facts.zero_negative and not negative:
        states, pooled = encoded[1]
        encoded[0] = torch.zeros_like(states), torch.zeros_like(pooled)
    states = torch.cat([one for one, _ in encoded])
    weights = tuple(weight for _, weight in parts)
    if not facts.size_conditions:
        return Text(states, weights=weights)
    # Original size, crop corner and target size, as in training.
    sizes = [[request.height, request.width, 0, 0, request.height, request.width]] * len(states)
    time_ids = torch.tensor(sizes, device=base.device, dtype=base.dtype)
    added = {"text_embeds": torch.cat([one for _, one in encoded]), "time_ids": time_ids}
    return Text(states, added, weights)


@dataclass(frozen=True, eq=False)
class Token:
    """One token of a prompt."""

    id: int
    weight: float
    vector: Tensor | None = None
    """An embedding's vector, which replaces the encoder's own for the id."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Tokens that an encoder reads at once, begin and end included."""

    tokens: tuple[Token, ...]

    @property
    def ids(self) -> list[int]:
        return [token.id for token in self.tokens]

    @property
    def weights(self) -> list[float]:
        return [token.weight for token in self.tokens]

    @property
    def key(self) -> Hashable:
        """A key, equal for chunks with the same encoding."""
        vectors = (None if token.vector is None else token.vector.numpy().tobytes() for token in self.tokens)
        return tuple(self.ids), tuple(self.weights), tuple(vectors)


def read_chunks(base: Base, number: int, text: str, words: Mapping[str, Embedding] | None = None) -> list[Chunk]:
    """Return a prompt for a text encoder in chunks of 75 tokens (CLIP; 30 in the embedded model), at least one, filled up.

    A chunk ends at its last token, before an embedding that needs more room, or at a BREAK. The syntax is prompt_syntax's.
    `words` are the embeddings, those of `known_words` where they are not given.
    """
    tokenizer, encoder = _pairs(base)[number]
    room = _length(tokenizer, encoder) - 2
    sections = _read_pieces(base, number, text, words)
    return [_chunk(tokenizer, room, tokens) for pieces in sections for tokens in _packed(pieces, room)]


Piece = Sequence[Token]
"""A token, or all vectors of an embedding, which the end of a chunk never splits."""


def _read_pieces(base: Base, number: int, text: str, words: Mapping[str, Embedding] | None = None) -> list[list[Piece]]:
    """Return the pieces of each section between BREAKs."""
    known = known_words(base) if words is None else words
    return [
        [piece for phrase in section for piece in _phrase_pieces(base, number, phrase, known)]
        for section in parse_prompt(text)
    ]


def _phrase_pieces(base: Base, number: int, phrase: Phrase, words: Mapping[str, Embedding]) -> Iterator[Piece]:
    tokenizer, encoder = _pairs(base)[number]
    for part in split_words(phrase.text, words):
        if isinstance(part, str):
            ids = tokenizer(part, add_special_tokens=False, verbose=False).input_ids
            yield from ([Token(id, phrase.weight)] for id in ids)
            continue
        vectors, room = read_embedding(part, base)[number], _length(tokenizer, encoder) - 2
        if len(vectors) > room:
            raise InputError(
                f"Embedding {part.title} has {len(vectors)} vectors, but the base reads at most {room} at once; "
                f"leave {part.word!r} out of the prompt."
            )
        # The encoder finds a text's end by its id, so the vectors stand where an ordinary one is.
        ordinary = next(id for id in count() if id not in tokenizer.all_special_ids)
        yield [Token(ordinary, phrase.weight, vector) for vector in vectors]


def _packed(pieces: Sequence[Piece], room: int) -> list[list[Token]]:
    packed: list[list[Token]] = [[]]
    for piece in pieces:
        if len(packed[-1]) + len(piece) > room:
            packed.append([])
        packed[-1] += piece
    return packed


def _chunk(tokenizer: Any, room: int, tokens: Sequence[Token]) -> Chunk:
    begin, end, padding = (
        Token(id, 1.0) for id in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    )
    return Chunk((begin, *tokens, end, *[padding] * (room - len(tokens))))


def token_count(base: Base, text: str) -> int:
    """Return the number of tokens of a prompt for the first encoder, without brackets and weights; an embedding has one a vector."""
    return sum(len(piece) for pieces in _read_pieces(base, 0, text) for piece in pieces)


def prompt_notes(base: Base, request: GenerationRequest, steps: int = 1) -> tuple[str, ...]:
    """Return a sentence for each prompt that is read in several parts, not as it may seem, or not at all."""
    prompts = {"prompt": request.prompt}
    for number, unit in enumerate(request.units, 1):
        if unit.prompt is not None:
            prompts[f"prompt of unit {number}"] = unit.prompt
    several = any(len(split_parts(text)) > 1 for text in prompts_by_step(request.prompt, steps))
    is_read = request.guidance_scale > 1 or several
    if is_read:
        prompts["negative_prompt"] = request.negative_prompt
    notes: list[str] = []
    for name, text in prompts.items():
        notes += syntax_notes(name, text, steps, parts=name == "prompt")
        notes.append(_length_note(base, name, _longest(base, text, steps, parts=name == "prompt")))
    if request.negative_prompt and not is_read:
        notes.append("negative_prompt has no effect at guidance_scale 1; raise guidance_scale to use it.")
    own = (unit.prompt for unit in request.units if unit.prompt is not None)
    notes += bundled_notes(base, [request.prompt, request.negative_prompt, *own])
    return tuple(note for note in notes if note)


def _longest(base: Base, prompt: str, steps: int, parts: bool) -> str:
    """Return the longest text that is read at once."""
    texts = dict.fromkeys(prompts_by_step(prompt, steps))
    read = [part for text in texts for part, _ in split_parts(text)] if parts else map(without_and, texts)
    return max(read, key=lambda text: len(read_chunks(base, 0, text)))


def _length_note(base: Base, name: str, text: str) -> str:
    chunks = read_chunks(base, 0, text)
    if len(chunks) == 1:
        return ""
    room = len(chunks[0].tokens) - 2
    return f"{name} is {token_count(base, text)} tokens long and is read in {len(chunks)} parts of at most {room}."


def _pairs(base: Base) -> list[tuple[Any, Any]]:
    return list(zip(base.tokenizers, base.text_encoders, strict=True))


def _encode(base: Base, encoders: Sequence[Sequence[Chunk]], length: int) -> tuple[Tensor, Tensor]:
    """Return (1, length x tokens, channels) states, and (1, channels) of the last encoder's first chunk, pooled."""
    states: list[Tensor] = []
    pooled = torch.empty(0)
    for (tokenizer, encoder), chunks in zip(_pairs(base), encoders, strict=True):
        padding = [_chunk(tokenizer, _length(tokenizer, encoder) - 2, ())] * (length - len(chunks))
        rows = [*chunks, *padding]
        ids = torch.tensor([chunk.ids for chunk in rows], device=base.device)
        with _vectors_of(rows, encoder):
            output = encoder(ids, output_hidden_states=True)
        hidden = output.hidden_states[-2] if FAMILIES[base.family].penultimate_words else output[0]
        states.append(_weighed(hidden, [chunk.weights for chunk in rows]).flatten(0, 1)[None])
        pooled = output[0][:1]
    return torch.cat(states, dim=-1).to(base.device, base.dtype), pooled.to(base.device, base.dtype)


@contextmanager
def _vectors_of(chunks: Sequence[Chunk], encoder: Any) -> Iterator[None]:
    """Put the embeddings' vectors into the encoder's input while the block runs; its own table stays as it is."""

    def write(module: Any, inputs: Any, output: Tensor) -> Tensor:
        output = output.clone()
        for row, chunk in enumerate(chunks):
            for place, token in enumerate(chunk.tokens):
                if token.vector is not None:
                    output[row, place] = token.vector.to(output)
        return output

    hook = encoder.get_input_embeddings().register_forward_hook(write)
    try:
        yield
    finally:
        hook.remove()


def _weighed(states: Tensor, weights: Sequence[Sequence[float]]) -> Tensor:
    """Return every token's state times its weight, at the norm of before, so that weights shift attention, not the level.

    AUTOMATIC1111's web UI restores the mean, which may be close to zero.
    """
    factors = torch.tensor(weights, dtype=states.dtype, device=states.device)
    if bool((factors == 1).all()):
        return states
    louder = states * factors[..., None]
    return louder * (states.norm() / louder.norm())


def _length(tokenizer: Any, encoder: Any) -> int:
    """Return how many tokens an encoder reads, begin and end included: 77 for CLIP."""
    return min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
