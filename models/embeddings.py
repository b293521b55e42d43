"""Textual inversion: words with vectors of their own, read from files that are named like the words."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.catalogue.local import SUFFIXES, local_files
from models.errors import InputError
from models.families import FAMILIES, TITLES
from models.files import quoted, stamp
from models.layouts.checkpoints import open_tensors
from models.layouts.pickles import read_pickle
from models.lora.files import read_lora
from models.lora.loras import acting_files
from models.names import did_you_mean

if TYPE_CHECKING:
    from models.loader import Base

OF_TWO = ("clip_l", "clip_g")
"""Names of the vectors in a file for two text encoders."""
PREFIX = "embedding:"
"""Marks an embedding; without it, a word that is no file is an ordinary word."""
ENDINGS = "|".join(map(re.escape, SUFFIXES))


@dataclass(frozen=True)
class Embedding:
    """A word with vectors of its own: a file named like the word, or a part of a LoRA's file."""

    word: str
    path: Path
    in_lora: bool = False

    @property
    def title(self) -> str:
        """As it stands in a sentence."""
        return f"{self.word!r} in LoRA {self.path.name}" if self.in_lora else self.path.name


def embedding_files() -> dict[str, Embedding]:
    """Return the files in models/embeddings and `$CNET_MODELS_DIR/embeddings`, by their words in lower case."""
    return {file.path.stem.lower(): Embedding(file.path.stem, file.path) for file in local_files("embedding")}


def known_words(base: Base) -> dict[str, Embedding]:
    """Return every embedding that a prompt may name, by its word in lower case: files, and what the base's LoRAs brought."""
    bundled = {word.word.lower(): word for word in _bundled(base) if not _misfit(word, base)}
    return bundled | embedding_files()


def bundled_notes(base: Base, prompts: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each word that a LoRA brought and that these prompts do not use, or cannot."""
    files = embedding_files()
    for word in _bundled(base):
        if _misfit(word, base):
            yield f"The embedding {word.title} was left out: it is made for another base than {TITLES[base.family]}."
        elif own := files.get(word.word.lower()):
            yield f"The embedding {word.title} was left out: {own.path.name} in models/embeddings has the same word."
        elif not any(word.word.lower() in prompt.lower() for prompt in prompts):
            yield f"LoRA {word.path.name} brings the word {word.word!r}, which is in no prompt; write it there to use it."


def _bundled(base: Base) -> list[Embedding]:
    return [Embedding(word, file.path, in_lora=True) for file in acting_files(base) for word in file.words if word]


def _misfit(word: Embedding, base: Base) -> bool:
    try:
        read_embedding(word, base)
    except InputError:
        return True
    return False


def split_words(text: str, files: Mapping[str, Embedding]) -> Iterator[str | Embedding]:
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


def _checked(words: str, files: Mapping[str, Embedding]) -> str:
    unknown = re.search(rf"(?<![\w-]){PREFIX}([^\s,]+)", words, re.IGNORECASE)
    if unknown:
        known = ", ".join(sorted(files)) or "none so far"
        raise InputError(
            f"There is no embedding {quoted(unknown[1])}{did_you_mean(unknown[1], files)}; put its file into models/embeddings, where there are: {known}."
        )
    return words


def read_embedding(word: Embedding, base: Base) -> tuple[Tensor, ...]:
    """Return (vectors, channels) for each text encoder of the base; InputError where it was made for another base."""
    found = _of_lora(word) if word.in_lora else _read(word.path, stamp(word.path))
    if [vectors.shape[1] for vectors in found] != [encoder.config.hidden_size for encoder in base.text_encoders]:
        widths = tuple(vectors.shape[1] for vectors in found)
        made = next(
            (row.title for row in FAMILIES.values() if row.text_widths == widths),
            f"a base with {' and '.join(map(str, widths))} numbers a word",
        )
        raise InputError(
            f"Embedding {word.title} is made for {made}, but the base is {TITLES[base.family]}; "
            f"leave {word.word!r} out of the prompt."
        )
    return found


@lru_cache(maxsize=64)
def _read(path: Path, stamped: Hashable) -> tuple[Tensor, ...]:
    """From a cache until the file changes."""
    return _checked_vectors(path.name, _content(path))


def _of_lora(word: Embedding) -> tuple[Tensor, ...]:
    return _checked_vectors(word.title, dict(read_lora(word.path).words[word.word]))


def _checked_vectors(title: str, content: dict[str, Any]) -> tuple[Tensor, ...]:
    found = tuple(vectors.detach().float().clone() for vectors in _vectors(content))
    found = tuple(vectors[None] if vectors.ndim == 1 else vectors for vectors in found)
    if not found or any(vectors.ndim != 2 or not vectors.numel() for vectors in found):
        raise InputError(f"{title} is no embedding: it holds something else than the vectors of one word.")
    if not all(torch.isfinite(vectors).all() for vectors in found):
        raise InputError(f"{title} has numbers that are none (NaN or infinite); get another version.")
    return found


def _vectors(content: Any) -> list[Tensor]:
    """Return one tensor for each text encoder, or none where this is no embedding.

    Layouts: the original's and AUTOMATIC1111's (`string_to_param`), diffusers' (the word is the only name), and that of
    two text encoders, next to which some trainers keep vectors for the encoders' outputs.
    """
    content = content.get("string_to_param", content)
    if isinstance(
        content, torch.nn.Module
    ):  # a ParameterDict; those of older versions know their names in this way alone
        content = dict(content.named_parameters())
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if tensors.keys() >= set(OF_TWO):
        return [tensors[name] for name in OF_TWO]
    return list(tensors.values()) if len(tensors) == 1 else []


def _content(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        with ExitStack() as stack:
            return {name: read().clone() for name, read in open_tensors(path, stack).items()}
    content = read_pickle(path)
    return content if isinstance(content, dict) else {}
