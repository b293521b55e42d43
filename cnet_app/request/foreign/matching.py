"""Models of other programs' recipes among those of this machine and of the catalogue: by hash, then by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal

from cnet_app.request.foreign.recipe import NamedModel
from cnet_app.request.png.parameters import SHORT_HASH
from models.catalogue.local import SUFFIXES, LocalFile, local_files
from models.catalogue.own import known_rows
from models.catalogue.row import Kind, Weights

Matched = Literal["base", "vae", "lora", "controlnet"]
SHORTEST_HASH = 8
"""Digits below which a hash names no file."""
MAX_HASHED = 12_000_000_000
"""Bytes of files that are read to compare hashes, about half a minute; a file is read once, until it changes."""


def find_model(kind: Matched, model: NamedModel) -> str | None:
    """Return the name of a local file or the id of a row; None where there is neither.

    A file with the hash is the model whatever its name. Without one, a file or row of the name is, whatever its case.
    """
    files = local_files(kind)
    wanted = _plain(model.name)
    named = [file for file in files if wanted and _plain(file.name) == wanted]
    if len(model.hash) >= SHORTEST_HASH:
        found = next((file for file in _affordable(named, files) if _has_hash(file, model.hash)), None)
        if found:
            return found.name
    if named:
        return named[0].name
    return next((row.id for row, names in _rows(kind) if wanted and wanted in names), None)


def differs(kind: Matched, model: NamedModel, name: str) -> bool:
    """Return whether the local file of this name has another hash than the model."""
    file = next((file for file in local_files(kind) if file.name == name), None)
    return bool(file) and len(model.hash) >= SHORTEST_HASH and not _has_hash(file, model.hash)


def _affordable(named: list[LocalFile], files: list[LocalFile]) -> Iterator[LocalFile]:
    """Yield the files of the name, then the others as long as reading them is quick."""
    yield from named
    read = 0
    for file in files:
        with suppress(OSError):
            read += file.size
        if file not in named and read <= MAX_HASHED:
            yield file


def _has_hash(file: LocalFile, beginning: str) -> bool:
    """Whether the file or its tensors alone have the hash; one of ten digits is always the file's."""
    with suppress(OSError):  # removed or locked meanwhile
        if file.sha256.startswith(beginning):
            return True
        return len(beginning) != SHORT_HASH and file.tensors_sha256.startswith(beginning)
    return False


def _rows(kind: Matched) -> Iterator[tuple[Weights, set[str]]]:
    """Yield the rows of a kind with every name that is theirs alone."""
    kinds: tuple[Kind, ...] = ("controlnet", "adapter") if kind == "controlnet" else (kind,)
    rows = [row for row in known_rows() if row.kind in kinds]
    counts = Counter(name for row in rows for name in _row_names(row))
    for row in rows:
        yield row, {name for name in _row_names(row) if counts[name] == 1} | {_plain(row.id)}


def _row_names(row: Weights) -> set[str]:
    files = (file.name for file in row.files if file.name.endswith(SUFFIXES) and "/" not in file.name)
    return {_plain(name) for name in (row.id, row.repo, row.title, *row.aliases, *files) if name}


def _plain(name: str) -> str:
    """A file's name without folder, ending and number format, in small letters with one sign between words."""
    last = re.split(r"[/\\]", name[-500:])[-1].lower()
    ending = next((ending for ending in SUFFIXES if last.endswith(ending)), "")
    words = re.sub(r"[^a-z0-9]+", "_", last.removesuffix(ending)).strip("_")
    return words.removesuffix("_fp16").removesuffix("_fp32")
