"""Tokens of Z-Image's transformer: those of a picture and of its text, each filled up, then both in one sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnet_app.diffusion.backbones.base import Text
from cnet_app.diffusion.backbones.transformer import words_of

PATCH = 2
"""Side of a token in latents."""
LAYOUT = f"{PATCH}-1"
"""Key of the layers for tokens of this side and one frame."""
FILLED_TO = 32
"""Sequences are filled up to a multiple of so many tokens."""
TIMES = 1000
"""Steps of the training."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """A batch of tokens, with what attention needs of them."""

    states: Tensor
    """(B, tokens, C)."""
    places: Tensor
    """(B, tokens, …) rotary embeddings."""
    mask: Tensor | None
    """(B, tokens), where rows differ in length."""
    lengths: list[int]
    """Tokens of each row, padding to a multiple of FILLED_TO included."""


def network_time(timestep: Tensor, rows: int) -> Tensor:
    """Return the time that the network reads, (B,) from 0 in noise to 1 in a picture."""
    return ((TIMES - timestep) / TIMES).expand(rows)


def joint_length(picture: Tokens, text: Text) -> int:
    """Return the length of the base's sequence, which holds the longest text of all rows, also of those left out here."""
    return picture.states.shape[1] + -(-text.states.shape[1] // FILLED_TO) * FILLED_TO


def embed(transformer: Any, batch: Tensor, text: Text) -> tuple[Tokens, Tokens]:
    """(B, C, 1, h, w) latents and their text to tokens of the picture and of the words."""
    images, captions, _, image_places, caption_places, image_filling, caption_filling = transformer.patchify_and_embed(
        list(batch), words_of(text), PATCH, 1
    )
    picture = _filled(
        transformer, images, image_places, image_filling, transformer.all_x_embedder[LAYOUT], transformer.x_pad_token
    )
    words = _filled(
        transformer, captions, caption_places, caption_filling, transformer.cap_embedder, transformer.cap_pad_token
    )
    return picture, words


def _filled(
    transformer: Any,
    parts: Sequence[Tensor],
    places: Sequence[Tensor],
    filling: Sequence[Tensor],
    embedder: nn.Module,
    token: Tensor,
) -> Tokens:
    lengths = [len(part) for part in parts]
    embedded = embedder(torch.cat(list(parts)))
    rows = list(embedded.split(lengths))
    states, rotary, mask, _, _ = transformer._prepare_sequence(  # noqa: SLF001 - the same steps as in its forward
        rows, places, filling, token, None, embedded.device
    )
    return Tokens(states, rotary, mask, lengths)


def join(transformer: Any, picture: Tokens, words: Tokens) -> Tokens:
    """Return one sequence of the picture's tokens, then the text's."""
    states, places, mask, _ = transformer._build_unified_sequence(  # noqa: SLF001 - the same steps as in its forward
        picture.states, picture.places, picture.lengths, None,
        words.states, words.places, words.lengths, None,
        None, None, None, None, False, picture.states.device,
    )  # fmt: skip
    return Tokens(
        states, places, mask, [one + other for one, other in zip(picture.lengths, words.lengths, strict=True)]
    )
