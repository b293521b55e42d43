"""Textual inversion: words with vectors of their own, read from files that are named like the words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.checkpoints import open_tensors, read_pickle
from models.errors import InputError
from models.families import FAMILIES, TITLES
from models.local import SUFFIXES, local_files
from models.names import did_you_mean

if TYPE_CHECKING:
    from models.loader import Base

OF_TWO = ("clip_l", "clip_g")
"""Names of the vectors in a file for two text encoders."""
PREFIX = "embedding:"
"""Marks an embedding; without it, a word that is no file is an ordinary word."""
ENDINGS = "|".join(map(re.escape, SUFFIXES))


def embedding_files() -> dict[str, Path]:
    """Return the files in models/embeddings and `$CNET_MODELS_DIR/embeddings`, by their words in lower case."""
    return {file.path.stem.lower(): file.path for file in local_files("embedding")}


def split_words(text: str, files: Mapping[str, Path]) -> Iterator[str | Path]:
    """Split a text into stretches of plain words and the embeddings between them; only whole words are embeddings.

    Raises InputError where `embedding:` names none.
    """
    names = "|".join(re.escape(name) for name in sorted(files, key=len, reverse=True))
    word = rf"(?<![\w-])(?:{PREFIX})?({names})(?:{ENDINGS})?(?![\w-])"
    known = re.compile(word if names else "(?!)", re.IGNORECASE)
    place = 0
    for match in known.finditer(text):
        yield _checked(text[place : match.start()], files)
        yield files[match[1].lower()]
        place = match.end()
    yield _checked(text[place:], files)


def _checked(words: str, files: Mapping[str, Path]) -> str:
    unknown = re.search(rf"(?<![\w-]){PREFIX}([^\s,]+)", words, re.IGNORECASE)
    if unknown:
        known = ", ".join(sorted(files)) or "none so far"
        raise InputError(
            f"There is no embedding {unknown[1]!r}{did_you_mean(unknown[1], files)}; put its file into models/embeddings, where there are: {known}."
        )
    return words


def read_embedding(path: Path, base: Base) -> tuple[Tensor, ...]:
    """Return (vectors, channels) for each text encoder of the base; InputError where it was made for another base."""
    state = path.stat()
    found = _read(path, state.st_mtime_ns, state.st_size)
    if [vectors.shape[1] for vectors in found] != [encoder.config.hidden_size for encoder in base.text_encoders]:
        widths = tuple(vectors.shape[1] for vectors in found)
        made = next(
            (row.title for row in FAMILIES.values() if row.text_widths == widths),
            f"a base with {' and '.join(map(str, widths))} numbers a word",
        )
        raise InputError(
            f"Embedding {path.name} is made for {made}, but the base is {TITLES[base.family]}; "
            f"leave {path.stem!r} out of the prompt."
        )
    return found


@lru_cache(maxsize=64)
def _read(path: Path, time: int, size: int) -> tuple[Tensor, ...]:
    """From a cache until the file changes."""
    found = tuple(vectors.detach().float().clone() for vectors in _vectors(path))
    found = tuple(vectors[None] if vectors.ndim == 1 else vectors for vectors in found)
    if not found or any(vectors.ndim != 2 or not vectors.numel() for vectors in found):
        raise InputError(f"{path.name} is no embedding: it holds something else than the vectors of one word.")
    if not all(torch.isfinite(vectors).all() for vectors in found):
        raise InputError(f"{path.name} has numbers that are none (NaN or infinite); get another version.")
    return found


def _vectors(path: Path) -> list[Tensor]:
    """Return one tensor for each text encoder, or none where this is no embedding.

    Layouts: the original's and AUTOMATIC1111's (`string_to_param`), diffusers' (the word is the only name), and that of
    two text encoders.
    """
    content = _content(path)
    content = content.get("string_to_param", content)
    if isinstance(
        content, torch.nn.Module
    ):  # a ParameterDict; those of older versions know their names in this way alone
        content = dict(content.named_parameters())
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if tensors.keys() == set(OF_TWO):
        return [tensors[name] for name in OF_TWO]
    return list(tensors.values()) if len(tensors) == 1 else []


def _content(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        with ExitStack() as stack:
            return {name: read().clone() for name, read in open_tensors(path, stack).items()}
    content = read_pickle(path)
    return content if isinstance(content, dict) else {}
