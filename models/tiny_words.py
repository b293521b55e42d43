"""The tokenizer of the miniatures whose text encoder is a language model."""

from __future__ import annotations

from typing import Any

from tokenizers.pre_tokenizers import ByteLevel
from transformers.models.qwen2 import Qwen2Tokenizer

TEXT_WIDTH = 16
"""Numbers per word."""


def byte_tokenizer() -> Qwen2Tokenizer:
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
