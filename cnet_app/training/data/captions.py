"""Captions that come apart from their pictures: a folder of text files, or a table with a name and a text a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cnet_app.training.data.naming import CAPTION_SUFFIXES, IMAGE_KEYS, TEXT_KEYS
from cnet_app.training.data.pairs import Pair
from cnet_app.training.data.readers import csv_rows
from models.errors import InputError

MAX_BYTES = 200_000_000


@dataclass(frozen=True)
class Captions:
    """Texts by the name of a picture, with and without its ending and folder; and texts without a name, in their order."""

    named: Mapping[str, str]
    texts: tuple[str, ...]

    def of(self, pair: Pair) -> str:
        """Return the text of a pair; empty where there is none."""
        name = PurePosixPath(pair.name)
        return self.named.get(pair.name) or self.named.get(name.name) or ""

    @property
    def all(self) -> tuple[str, ...]:
        """Return all texts, each once."""
        return tuple(dict.fromkeys((*self.texts, *self.named.values())))


def read_captions(path: Path) -> Captions:
    """Return the captions of a folder or a file (.csv, .jsonl, or .txt with a text a line). Raises InputError."""
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.suffix in CAPTION_SUFFIXES]
        return _some(
            path, {file.relative_to(path).with_suffix("").as_posix(): _text(file).strip() for file in files}, ()
        )
    text = _text(path)
    if path.suffix == ".txt":
        return _some(path, {}, tuple(line.strip() for line in text.splitlines() if line.strip()))
    rows = list(_table(path, text) if path.suffix == ".csv" else _objects(path, text))
    named: dict[str, str] = {}
    unnamed: list[str] = []
    for row in rows:
        words = next((row[key] for key in TEXT_KEYS if isinstance(row.get(key), str)), "").strip()
        name = next((row[key] for key in IMAGE_KEYS if isinstance(row.get(key), str)), "")
        place = PurePosixPath(name.replace("\\", "/"))
        if place.name:
            named[place.with_suffix("").as_posix()] = words
        elif words:
            unnamed.append(words)
    return _some(path, named, tuple(unnamed))


def _table(path: Path, text: str) -> Iterator[Mapping[str, Any]]:
    for number, row in csv_rows(text):
        if isinstance(row, str):
            raise InputError(f"{path.name}, line {number} {row}; mend the line.")
        yield row


def _objects(path: Path, text: str) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path.name}, line {number} is no JSON ({error}); mend the line.") from error
        if not isinstance(row, dict):
            raise InputError(f"{path.name}, line {number} is no JSON object; mend the line.")
        yield row


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} has more than {MAX_BYTES // 1_000_000} MB; give smaller captions.")
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(
            f"--captions is {path}, which cannot be read ({error.strerror}); give a folder or a file."
        ) from error


def _some(path: Path, named: Mapping[str, str], texts: tuple[str, ...]) -> Captions:
    if not named and not texts:
        raise InputError(
            f"{path} holds no captions; give .txt files, or a .csv or .jsonl file with columns image and text."
        )
    return Captions(named, texts)
