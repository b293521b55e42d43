"""Words to what the U-Net reads: CLIP encoding with one text encoder (SD 1.5, 2.1, embedded) or two (SDXL)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cnet_app.diffusion.kept import Kept
from cnet_app.diffusion.prompt_syntax import Phrase, parse_prompt
from cnet_app.request.generation import GenerationRequest
from models.embeddings import embedding_files, read_embedding, split_words
from models.errors import InputError

if TYPE_CHECKING:
    from cnet_app.diffusion.adapters import Adapter
    from cnet_app.diffusion.control import Control
    from models.loader import Base


@dataclass(frozen=True)
class Text:
    """Encoded prompts: B is 2, the negative one first, where guidance is on, else 1."""

    states: Tensor
    """(B, tokens, channels)."""
    added: dict[str, Tensor] | None = None
    """SDXL's further conditions: `text_embeds` (B, channels) and `time_ids` (B, 6)."""

    def conditional(self) -> Text:
        """The prompt alone, without the negative one."""
        added = {name: tensor[-1:] for name, tensor in self.added.items()} if self.added else None
        return Text(self.states[-1:], added)


def guided(base: Base, request: GenerationRequest, controls: Sequence[Control | Adapter]) -> bool:
    """Whether guidance changes anything: beyond 1, and where its sides differ, by prompts, by control or by a picture.

    SDXL's always do: it takes an absent negative prompt as zeros.
    """
    same_words = len(base.text_encoders) == 1 and request.prompt == request.negative_prompt and not request.ip_adapter
    same_control = all(control.steering.conditional == control.steering.unconditional for control in controls)
    return request.guidance_scale > 1 and not (same_words and same_control)


def encode_prompts(
    base: Base, request: GenerationRequest, controls: Sequence[Control | Adapter] = (), kept: Kept | None = None
) -> Text:
    """The request's prompts as `Text`, of any length: see `read_chunks`."""
    kept = kept or Kept()
    both = guided(base, request, controls)
    texts = [request.negative_prompt, request.prompt] if both else [request.prompt]
    read = [[read_chunks(base, number, text) for number in range(len(base.text_encoders))] for text in texts]
    longest = max(len(chunks) for encoders in read for chunks in encoders)
    encoded: list[tuple[Tensor, Tensor]] = []
    for encoders in read:
        # What the encoders make of these words depends on nothing else.
        key = (longest, request.loras, tuple(chunk.key for chunks in encoders for chunk in chunks))
        encoded.append(kept.get(base.text_encoders[0], key, partial(_encode, base, encoders, longest)))
    if both and len(base.text_encoders) > 1 and not request.negative_prompt:
        # SDXL was trained to take an absent prompt as zeros, not as the encoding of the empty text.
        states, pooled = encoded[1]
        encoded[0] = torch.zeros_like(states), torch.zeros_like(pooled)
    states = torch.cat([one for one, _ in encoded])
    if len(base.text_encoders) == 1:
        return Text(states)
    # Original size, crop corner and target size, as SDXL was told in training.
    sizes = [[request.height, request.width, 0, 0, request.height, request.width]] * len(states)
    time_ids = torch.tensor(sizes, device=base.device, dtype=base.dtype)
    return Text(states, {"text_embeds": torch.cat([one for _, one in encoded]), "time_ids": time_ids})


@dataclass(frozen=True, eq=False)
class Token:
    """What an encoder reads at one place."""

    id: int
    weight: float
    vector: Tensor | None = None
    """An embedding's, instead of the one that the encoder knows for the id."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """As many tokens as an encoder reads at once, begin and end included."""

    tokens: tuple[Token, ...]

    @property
    def ids(self) -> list[int]:
        return [token.id for token in self.tokens]

    @property
    def weights(self) -> list[float]:
        return [token.weight for token in self.tokens]

    @property
    def key(self) -> Hashable:
        """Equal for chunks that read alike."""
        vectors = (None if token.vector is None else token.vector.numpy().tobytes() for token in self.tokens)
        return tuple(self.ids), tuple(self.weights), tuple(vectors)


def read_chunks(base: Base, number: int, text: str) -> list[Chunk]:
    """A prompt for a text encoder in chunks of 75 tokens (CLIP's; 30 the embedded model's), at least one, filled up.

    A chunk ends at its last token, before an embedding that needs more room, or at a BREAK. The syntax is prompt_syntax's.
    """
    tokenizer, encoder = _pairs(base)[number]
    room = _length(tokenizer, encoder) - 2
    sections = _read_pieces(base, number, text)
    return [_chunk(tokenizer, room, tokens) for pieces in sections for tokens in _packed(pieces, room)]


Piece = Sequence[Token]
"""What a chunk's end never parts: a token, or all vectors of an embedding."""


def _read_pieces(base: Base, number: int, text: str) -> list[list[Piece]]:
    """The pieces of each section between BREAKs."""
    files = embedding_files()
    return [
        [piece for phrase in section for piece in _phrase_pieces(base, number, phrase, files)]
        for section in parse_prompt(text)
    ]


def _phrase_pieces(base: Base, number: int, phrase: Phrase, files: Mapping[str, Path]) -> Iterator[Piece]:
    tokenizer, encoder = _pairs(base)[number]
    for part in split_words(phrase.text, files):
        if isinstance(part, str):
            ids = tokenizer(part, add_special_tokens=False, verbose=False).input_ids
            yield from ([Token(id, phrase.weight)] for id in ids)
            continue
        vectors, room = read_embedding(part, base)[number], _length(tokenizer, encoder) - 2
        if len(vectors) > room:
            raise InputError(
                f"Embedding {part.name} has {len(vectors)} vectors, but the base reads at most {room} at once; "
                f"leave {part.stem!r} out of the prompt."
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
    """Of a prompt, as the first encoder counts them; brackets and weights are none, each vector of an embedding is one."""
    return sum(len(piece) for pieces in _read_pieces(base, 0, text) for piece in pieces)


def prompt_notes(base: Base, request: GenerationRequest) -> tuple[str, ...]:
    """A sentence for each prompt that is read in several parts, or not at all."""
    notes = [_length_note(base, "prompt", request.prompt)]
    if request.guidance_scale > 1:
        notes.append(_length_note(base, "negative_prompt", request.negative_prompt))
    elif request.negative_prompt:
        notes.append("negative_prompt has no effect at guidance_scale 1; raise guidance_scale to use it.")
    return tuple(note for note in notes if note)


def _length_note(base: Base, name: str, text: str) -> str:
    chunks = read_chunks(base, 0, text)
    if len(chunks) == 1:
        return ""
    room = len(chunks[0].tokens) - 2
    return f"{name} is {token_count(base, text)} tokens long and is read in {len(chunks)} parts of at most {room}."


def _pairs(base: Base) -> list[tuple[Any, Any]]:
    return list(zip(base.tokenizers, base.text_encoders, strict=True))


def _encode(base: Base, encoders: Sequence[Sequence[Chunk]], length: int) -> tuple[Tensor, Tensor]:
    """(1, length x tokens, channels) states and (1, channels) pooled encoding of the last encoder's first chunk."""
    states: list[Tensor] = []
    pooled = torch.empty(0)
    for (tokenizer, encoder), chunks in zip(_pairs(base), encoders, strict=True):
        padding = [_chunk(tokenizer, _length(tokenizer, encoder) - 2, ())] * (length - len(chunks))
        rows = [*chunks, *padding]
        ids = torch.tensor([chunk.ids for chunk in rows], device=base.device)
        with _vectors_of(rows, encoder):
            output = encoder(ids, output_hidden_states=True)
        # With two encoders, SDXL reads the last layer but one of each.
        hidden = output.hidden_states[-2] if len(base.text_encoders) > 1 else output[0]
        states.append(_weighed(hidden, [chunk.weights for chunk in rows]).flatten(0, 1)[None])
        pooled = output[0][:1]
    return torch.cat(states, dim=-1).to(base.device, base.dtype), pooled.to(base.device, base.dtype)


@contextmanager
def _vectors_of(chunks: Sequence[Chunk], encoder: Any) -> Iterator[None]:
    """Lets the encoder read the embeddings' vectors at their places; its own table stays as it is."""

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
    """Every token's state times its weight; the norm of all is restored, so that weights shift attention, not the level.

    AUTOMATIC1111's web UI restores the mean, which may be close to zero.
    """
    factors = torch.tensor(weights, dtype=states.dtype, device=states.device)
    if bool((factors == 1).all()):
        return states
    louder = states * factors[..., None]
    return louder * (states.norm() / louder.norm())


def _length(tokenizer: Any, encoder: Any) -> int:
    """Tokens an encoder reads, begin and end included: 77 for CLIP."""
    return min(tokenizer.model_max_length, encoder.config.max_position_embeddings)
