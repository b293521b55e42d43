"""The embedded model's words: a small BPE vocabulary in CLIP's format and a two-layer CLIP text encoder."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

import torch
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

WIDTH = 128
MAX_TOKENS = 32
END = "</w>"
SPECIAL = ("<|startoftext|>", "<|endoftext|>")


def create_tokenizer(captions: Sequence[str]) -> CLIPTokenizer:
    """Byte-pair encoding in which every word of the captions becomes one token; other words fall into letters."""
    merges = learn_merges({word.strip(string.punctuation) for caption in captions for word in caption.lower().split()})
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*SPECIAL, *letters, *(letter + END for letter in letters), *("".join(pair) for pair in merges)]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    declared: Any = merges  # CLIPTokenizer takes pairs whatever it declares
    return CLIPTokenizer(vocab=vocabulary, merges=declared, model_max_length=MAX_TOKENS)


def learn_merges(words: Collection[str]) -> list[tuple[str, str]]:
    """The commonest neighbours become one, until every word is whole; ties go by the alphabet.

    The trainer of the tokenizers library numbers tokens anew in every run, which a training that resumes cannot bear.
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
    """Fresh weights for a vocabulary."""
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
    """(B, MAX_TOKENS) int64, padded and cut as the pipeline does."""
    encoded = tokenizer(list(texts), padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt")
    return torch.as_tensor(encoded["input_ids"])
