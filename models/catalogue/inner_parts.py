"""Parts besides the network of every step that a base in one file brings, by the names of its tensors. Loads no torch."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from models.families import FAMILIES
from models.family_facts import Family, InnerEncoder

VAE_PREFIXES = ("vae.", "first_stage_model.")
_VAE_ENDS = ("encoder.conv_in.weight", "decoder.conv_in.weight", "decoder.conv_out.weight")
_PACKED = ".bitsandbytes__"
"""In names of a file in 4 bits, which is read as a whole by the package alone."""


def inner_parts(family: Family, names: Collection[str]) -> dict[str, str]:
    """Return the folders of a base whose weights the file has and this app can read exactly, with the prefix of their tensors.

    `names` are those of a .safetensors file; others are read as a whole, so that none are given for them.
    """
    facts = FAMILIES[family]
    found: dict[str, str] = {}
    if any(_PACKED in name for name in names):
        return found
    if "AutoencoderKL" in facts.vae_classes:
        _take(found, "vae", (prefix for prefix in VAE_PREFIXES if _has(names, prefix, _VAE_ENDS)))
    for encoder in facts.inner_encoders:
        pattern = re.compile(encoder.prefix)
        prefixes = {match[0] for name in names if (match := pattern.match(name))}
        _take(found, encoder.folder, (prefix for prefix in sorted(prefixes) if _has(names, prefix, encoder.ends)))
    return found


def inner_encoder(family: Family, folder: str) -> InnerEncoder:
    """Return the facts of a text encoder that a file brings, by its folder in a base."""
    return next(encoder for encoder in FAMILIES[family].inner_encoders if encoder.folder == folder)


def _take(found: dict[str, str], folder: str, prefixes: Iterable[str]) -> None:
    """Note the first prefix, if there is one."""
    for prefix in prefixes:
        found.setdefault(folder, prefix)


def _has(names: Collection[str], prefix: str, ends: tuple[str, ...]) -> bool:
    return all(prefix + end in names for end in ends)
