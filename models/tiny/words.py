"""Text encoders of the miniatures, each with its tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.models.qwen2 import Qwen2Tokenizer
from transformers.models.qwen2_5_vl import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen3 import Qwen3Config, Qwen3ForCausalLM, Qwen3Model
from transformers.models.t5 import T5Config, T5EncoderModel
from transformers.models.t5.tokenization_t5 import T5Tokenizer

from models.family_facts import TINY_WORDS

TOKENS = 16
"""Longest prompt of CLIP in tokens, marks included."""
WORDS = ("a", "and", "ball", "blue", "box", "cone", "green", "night", "person", "poster", "red", "sky", "under", "yellow")  # fmt: skip

TextEncoder = tuple[Any, Any]
"""A model of transformers, and its tokenizer."""


def create_text_encoder(kind: str, config: Mapping[str, Any]) -> TextEncoder:
    """Return an encoder of TINY_WORDS numbers per word by its class, with what `config` sets besides its smallest."""
    encoder, tokenizer = _KINDS[kind](config)
    return encoder.eval().requires_grad_(False), tokenizer


def _clip(kind: type[CLIPTextModel] | type[CLIPTextModelWithProjection], config: Mapping[str, Any]) -> TextEncoder:
    settings = CLIPTextConfig(
        vocab_size=len(_vocabulary()),
        hidden_size=TINY_WORDS,
        intermediate_size=2 * TINY_WORDS,
        projection_dim=TINY_WORDS,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        bos_token_id=_vocabulary()["<|startoftext|>"],
        eos_token_id=_vocabulary()["<|endoftext|>"],
        pad_token_id=_vocabulary()["<|endoftext|>"],
        **config,
    )
    merges: Any = _merges()
    return kind(settings), CLIPTokenizer(vocab=_vocabulary(), merges=merges, model_max_length=TOKENS)


def _vocabulary() -> dict[str, int]:
    """Letters and the words, each with its end-of-word form, then the two marks."""
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *_merged()]
    return {token: number for number, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}


def _merges() -> list[tuple[str, str]]:
    """Pairs that build every word from its letters, left to right."""
    pairs: dict[tuple[str, str], None] = {}
    for word in WORDS:
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        while len(pieces) > 1:
            pairs[pieces[0], pieces[1]] = None
            pieces[:2] = [pieces[0] + pieces[1]]
    return list(pairs)


def _merged() -> list[str]:
    return list(dict.fromkeys(left + right for left, right in _merges()))


def _byte_tokenizer() -> Qwen2Tokenizer:
    """A token a byte, and the marks of a conversation."""
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {token: number for number, token in enumerate([*sorted(ByteLevel.alphabet()), *marks])}
    merges: Any = []
    tokenizer: Any = Qwen2Tokenizer(vocab=vocabulary, merges=merges)
    tokenizer.add_special_tokens({"additional_special_tokens": marks[1:], "pad_token": marks[0]})
    tokenizer.chat_template = (
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    return tokenizer


def _t5(config: Mapping[str, Any]) -> TextEncoder:
    """A tokenizer with a token a letter."""
    letters = [chr(code) for code in range(33, 127)]
    marks = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    tokenizer: Any = T5Tokenizer(vocab=[*marks, *((letter, -3.0) for letter in letters)], extra_ids=0)
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer), "d_model": TINY_WORDS, "d_kv": 8, "d_ff": 2 * TINY_WORDS, "num_layers": 2, "num_heads": 2,
        "feed_forward_proj": "gated-gelu",
    }  # fmt: skip
    return T5EncoderModel(T5Config(**settings | dict(config))), tokenizer


def _qwen3(kind: type[Qwen3Model] | type[Qwen3ForCausalLM], config: Mapping[str, Any]) -> TextEncoder:
    tokenizer = _byte_tokenizer()
    settings: dict[str, Any] = {
        "hidden_size": TINY_WORDS, "intermediate_size": 2 * TINY_WORDS, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2, "head_dim": 8, "vocab_size": len(tokenizer), "max_position_embeddings": 512,
    }  # fmt: skip
    return kind(Qwen3Config(**settings | dict(config))), tokenizer


def _qwen2_5_vl(config: Mapping[str, Any]) -> TextEncoder:
    tokenizer = _byte_tokenizer()
    text: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": TINY_WORDS, "intermediate_size": 2 * TINY_WORDS, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 2048, "bos_token_id": None,
        "eos_token_id": None, "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0, "mrope_section": [1, 1, 2]},
    }  # fmt: skip
    vision: dict[str, Any] = {
        "depth": 1, "hidden_size": TINY_WORDS, "intermediate_size": 2 * TINY_WORDS, "num_heads": 2,
        "out_hidden_size": TINY_WORDS, "fullatt_block_indexes": [0],
    }  # fmt: skip
    settings = Qwen2_5_VLConfig(text_config=text | dict(config), vision_config=vision)
    return Qwen2_5_VLForConditionalGeneration(settings), tokenizer


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], TextEncoder]] = MappingProxyType(
    {
        "CLIPTextModel": partial(_clip, CLIPTextModel),
        "CLIPTextModelWithProjection": partial(_clip, CLIPTextModelWithProjection),
        "T5EncoderModel": _t5,
        "Qwen3Model": partial(_qwen3, Qwen3Model),
        "Qwen3ForCausalLM": partial(_qwen3, Qwen3ForCausalLM),
        "Qwen2_5_VLForConditionalGeneration": _qwen2_5_vl,
    }
)
"""By the class in transformers."""
