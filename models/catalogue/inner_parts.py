"""Parts besides the network of every step that a base in one file brings, by the names of its tensors. Loads no torch."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from models.families import FAMILIES
from models.family_facts import Family

VAE_PREFIXES = ("vae.", "first_stage_model.")
_VAE_ENDS = ("encoder.conv_in.weight", "decoder.conv_in.weight", "decoder.conv_out.weight")
_ENCODER_ENDS = ("embed_tokens.weight", "layers.0.self_attn.q_proj.weight", "norm.weight")


def inner_parts(family: Family, names: Collection[str]) -> dict[str, str]:
    """Return the folders of a base whose weights the file has and this app can read exactly, with the prefix of their tensors."""
    facts = FAMILIES[family]
    found: dict[str, str] = {}
    if "AutoencoderKL" in facts.vae_classes:
        _take(found, "vae", (prefix for prefix in VAE_PREFIXES if _has(names, prefix, _VAE_ENDS)))
    if facts.inner_encoder:
        pattern = re.compile(facts.inner_encoder)
        prefixes = {match[0] for name in names if (match := pattern.match(name))}
        _take(found, "text_encoder", (prefix for prefix in sorted(prefixes) if _has(names, prefix, _ENCODER_ENDS)))
    return found


def _take(found: dict[str, str], folder: str, prefixes: Iterable[str]) -> None:
    """Note the first prefix, if there is one."""
    for prefix in prefixes:
        found.setdefault(folder, prefix)


def _has(names: Collection[str], prefix: str, ends: tuple[str, ...]) -> bool:
    return all(prefix + end in names for end in ends)
