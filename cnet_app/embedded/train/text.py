"""The embedded model's text: a small BPE vocabulary in CLIP's format, and a two-layer CLIP text encoder."""

from __future__ import annotations

import copy
import string
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from tokenizers import pre_tokenizers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from cnet_app.embedded.world.words import COLOURS, SHAPES

WIDTH = 128
MAX_TOKENS = 32
END = "</w>"
SPECIAL = ("<|startoftext|>", "<|endoftext|>")


def create_tokenizer(captions: Sequence[str]) -> CLIPTokenizer:
    """Return a byte-pair encoding in which every word of the captions is one token; other words are split into letters."""
    merges = learn_merges({word.strip(string.punctuation) for caption in captions for word in caption.lower().split()})
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*SPECIAL, *letters, *(letter + END for letter in letters), *("".join(pair) for pair in merges)]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    declared: Any = merges  # CLIPTokenizer takes pairs, but declares strings
    return CLIPTokenizer(vocab=vocabulary, merges=declared, model_max_length=MAX_TOKENS)


def learn_merges(words: Collection[str]) -> list[tuple[str, str]]:
    """Merge the commonest neighbours until every word is whole; ties are broken by the alphabet.

    The trainer of the tokenizers library numbers tokens differently in every run, so that a training could not resume.
    """
    split = [[*word[:-1], word[-1] + END] for word in sorted(words) if word]
    merges: list[tuple[str, str]] = []
    while pairs := Counter(pair for parts in split for pair in pairwise(parts)):
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        split = [_merged(parts, best) for parts in split]
    return merges


def _merged(parts: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def create_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Return fresh weights for a vocabulary."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        **_special_ids(tokenizer),
    )
    return CLIPTextModel(config)


def _special_ids(tokenizer: CLIPTokenizer) -> dict[str, Any]:
    return {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}


def token_ids(tokenizer: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """Return token ids (B, MAX_TOKENS) int64, padded and cut as the pipeline does."""
    encoded = tokenizer(list(texts), padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt")
    return torch.as_tensor(encoded["input_ids"])


@dataclass(frozen=True)
class ThingTokens:
    """Positions of things in captions: `nouns` (B, L) is True at "ball" in "a red ball"; ids of all `colours` and `shapes`."""

    nouns: Tensor
    colours: Tensor
    shapes: Tensor


def thing_tokens(tokenizer: CLIPTokenizer, ids: Tensor) -> ThingTokens:
    """Return the things of captions as (B, L) token ids: a shape counts where a colour precedes it."""
    colours, shapes = (token_ids(tokenizer, list(words))[:, 1] for words in (COLOURS, SHAPES))
    return ThingTokens(torch.isin(ids, shapes) & torch.isin(ids.roll(1, dims=1), colours), colours, shapes)


def bind_colours(
    encoder: CLIPTextModel, tokenizer: CLIPTokenizer, captions: Sequence[str], steps: int = 400, batch_size: int = 128
) -> float:
    """Train an encoder, in place on its device, to represent a thing's colour in the token of the thing.

    In "a red ball and a blue box" only "ball" and "box" can know their colour, for words are read from left to right;
    the loss of pictures teaches it too weakly. All other output stays close to what it was. Returns the share of
    colours that a linear probe reads in the last batch.
    """
    device = encoder.device
    ids = token_ids(tokenizer, captions)
    things = thing_tokens(tokenizer, ids)
    before = copy.deepcopy(encoder).eval()
    probe = nn.Linear(WIDTH, len(COLOURS)).to(device)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *probe.parameters()], lr=1e-3)
    right = torch.zeros(())
    for _ in range(steps):
        chosen = torch.randint(len(ids), (batch_size,))
        batch, is_thing = ids[chosen], things.nouns[chosen]
        target = (batch.roll(1, dims=1)[is_thing][:, None] == things.colours).int().argmax(dim=1).to(device)
        batch, is_thing = batch.to(device), is_thing.to(device)
        words = encoder(batch).last_hidden_state
        with torch.no_grad():
            original = before(batch).last_hidden_state
        guess = probe(words[is_thing])
        loss = F.cross_entropy(guess, target) + F.mse_loss(words, original)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right = (guess.argmax(dim=1) == target).float().mean()
    return float(right)
