"""Numbers in networks by their configs, before any of their weights are here. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.family_facts import FamilyFacts


def network_numbers(facts: FamilyFacts, config: Mapping[str, Any]) -> float | None:
    """Return the millions of numbers in a family's network by its config, within some percent; None where that does not tell.

    Blocks are counted, and a table of places. Layers before and after the blocks have a few percent of the numbers.
    """
    width = config.get("dim") or _of(config, "num_attention_heads") * _of(config, "attention_head_dim")
    if not facts.block_numbers or not width or any(key not in config for key, _ in facts.block_numbers):
        return None
    squares = sum(numbers * _count(config[key]) for key, numbers in facts.block_numbers)
    return (squares * width**2 + _of(config, "pos_embed_max_size") ** 2 * width) / 1e6


def encoder_numbers(config: Mapping[str, Any]) -> float | None:
    """Return the millions of numbers in a text encoder by its config: CLIP's, T5's, Qwen's; None where it is another's.

    Of an encoder that also reads pictures, those of that part are added.
    """
    text: Mapping[str, Any] = config.get("text_config") or config
    width, layers = _of(text, "hidden_size", "d_model"), _of(text, "num_hidden_layers", "num_layers")
    inner, heads = _of(text, "intermediate_size", "d_ff"), _of(text, "num_attention_heads", "num_heads")
    if not all((width, layers, inner, heads)):
        return None
    head = _of(text, "head_dim", "d_kv") or width // heads
    few = _of(text, "num_key_value_heads") or heads
    gates = 3 if "num_key_value_heads" in text or "gated" in str(text.get("feed_forward_proj")) else 2
    tables = 2 if text.get("tie_word_embeddings", config.get("tie_word_embeddings")) is False and gates == 3 else 1
    if "d_model" in text:
        tables = 1  # the words of T5 are not written out
    block = 2 * width * head * (heads + few) + gates * width * inner
    return (layers * block + tables * _of(text, "vocab_size") * width + _picture_numbers(config)) / 1e6


def _picture_numbers(config: Mapping[str, Any]) -> float:
    """Return the numbers of the part that reads pictures; 0 where there is none."""
    part: Mapping[str, Any] = config.get("vision_config") or {}
    width, inner = _of(part, "hidden_size"), _of(part, "intermediate_size")
    return _of(part, "depth") * (4 * width**2 + 3 * width * inner)


def _count(value: Any) -> int:
    return value if isinstance(value, int) else len(value or ())


def _of(config: Mapping[str, Any], *keys: str) -> int:
    """Return the first of these that is a whole number; 0 without one."""
    return next((value for key in keys if isinstance(value := config.get(key), int)), 0)
