"""The embedded model's words: a small BPE vocabulary in CLIP's format and a two-layer CLIP text encoder."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

WIDTH = 128
MAX_TOKENS = 32
SPECIAL = ("<|startoftext|>", "<|endoftext|>")


def create_tokenizer(captions: Sequence[str]) -> CLIPTokenizer:
    """Byte-pair encoding in which every word of the captions becomes one token; other words fall into letters."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(False)])
    trainer = trainers.BpeTrainer(
        vocab_size=2048,
        min_frequency=1,
        show_progress=False,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix="</w>",
    )
    letters = " ".join(string.ascii_lowercase + string.digits + string.punctuation)
    bpe.train_from_iterator([*sorted(set(captions)), letters], trainer)
    vocabulary = bpe.get_vocab()
    return CLIPTokenizer(vocab=vocabulary, merges=_merges(bpe), model_max_length=MAX_TOKENS)


def _merges(bpe: Tokenizer) -> Any:
    """Pairs, as CLIPTokenizer wants them whatever it declares."""
    return [tuple(pair) for pair in json.loads(bpe.to_str())["model"]["merges"]]


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
