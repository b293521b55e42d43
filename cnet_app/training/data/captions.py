"""Captions that come apart from their pictures: a folder of text files, or a table with a name and a text a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

from annotators.sources.picture_files import readable_name
from cnet_app.training.data.naming import CAPTION_NAME_KEYS, CAPTION_SUFFIXES, TEXT_KEYS
from cnet_app.training.data.pairs import Pair
from cnet_app.training.data.readers import csv_rows
from models.errors import InputError

MAX_BYTES = 200_000_000
SHOWN = 3
"""Names in a message."""


@dataclass(frozen=True)
class Captions:
    """Texts by the name of a picture, with and without its ending and folder; and texts without a name, in their order."""

    named: Mapping[str, str]
    texts: tuple[str, ...]
    source: str = ""
    """File and columns, as a message names them."""

    def of(self, pair: Pair) -> str:
        """Return the text of a pair; empty where there is none."""
        return self.named.get(self._key(pair), "")

    def _key(self, pair: Pair) -> str:
        return pair.name if self.named.get(pair.name) else PurePosixPath(pair.name).name

    @property
    def all(self) -> tuple[str, ...]:
        """Return all texts, each once."""
        return tuple(dict.fromkeys((*self.texts, *self.named.values())))

    def given_to(self, pairs: Sequence[Pair]) -> tuple[list[Pair], tuple[str, ...]]:
        """Return the pairs with these captions, and a sentence about those that no picture has.

        Raises InputError where no caption belongs to any of the pictures.
        """
        if not self.named:
            raise InputError(
                f"{self.source} names no pictures; give a folder of .txt files with the pictures' names, or a .csv or .jsonl file "
                f"with a text and one of the columns {', '.join(CAPTION_NAME_KEYS)}."
            )
        used = {self._key(pair) for pair in pairs}
        unused = [name for name in self.named if name not in used]
        if len(unused) == len(self.named):
            raise InputError(
                f"{self.source} has captions of {some_of(unused)}, but the pictures are {some_of([pair.name for pair in pairs])}; "
                "name the captions as the pictures."
            )
        notes = list[str]()
        if unused:
            notes.append(f"{len(unused)} of {len(self.named)} captions belong to no picture: {some_of(unused)}.")
        if self.texts:
            notes.append(f"{len(self.texts)} captions name no picture and are not used: {some_of(self.texts)}.")
        return [replace(pair, caption=self.of(pair) or pair.caption) for pair in pairs], tuple(notes)


def some_of(names: Sequence[str]) -> str:
    """Return the first names of a list, for a message."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(readable_name(name) for name in names[:SHOWN]) + more


def read_captions(path: Path) -> Captions:
    """Return the captions of a folder or a file (.csv, .jsonl, or .txt with a text a line). Raises InputError."""
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.suffix in CAPTION_SUFFIXES]
        return _some(
            path, {file.relative_to(path).with_suffix("").as_posix(): _text(file).strip() for file in files}, ()
        )
    text = _text(path)
    suffix = path.suffix.lower()
    if suffix == ".txt":
        return _some(path, {}, tuple(line.strip() for line in text.splitlines() if line.strip()))
    named: dict[str, str] = {}
    unnamed: list[str] = []
    columns: tuple[str, ...] = ()
    for number, row in _table(path, text) if suffix == ".csv" else _objects(path, text):
        columns = columns or tuple(row)
        words = _value(row, TEXT_KEYS)
        if words is None:
            raise InputError(
                f"{path.name}, line {number} has no text: its columns are {some_of(tuple(row))}, and that of the text must be one of "
                f"{', '.join(TEXT_KEYS)}; rename it."
            )
        name = PurePosixPath((_value(row, CAPTION_NAME_KEYS) or "").replace("\\", "/"))
        if name.name:
            named[name.with_suffix("").as_posix()] = words
        elif words:
            unnamed.append(words)
    return _some(path, named, tuple(unnamed), columns)


def _value(row: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    """Return the text of the first of the columns that a row has; None where it has none of them."""
    present = [row[key] for key in keys if key in row]
    return next((value.strip() for value in present if isinstance(value, str)), "") if present else None


def _table(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, row in csv_rows(text):
        if isinstance(row, str):
            raise InputError(f"{path.name}, line {number} {row}; mend the line.")
        rest = cast("Mapping[str | None, Any]", row)
        if rest.get(None):
            raise InputError(
                f"{path.name}, line {number} has more columns than the first line; put texts that have commas in quotes."
            )
        yield number, {(name or "").strip().lower(): value for name, value in rest.items()}


def _objects(path: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path.name}, line {number} is no JSON ({error}); mend the line.") from error
        if not isinstance(row, dict):
            raise InputError(f"{path.name}, line {number} is no JSON object; mend the line.")
        yield number, cast("dict[str, Any]", row)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} has more than {MAX_BYTES // 1_000_000} MB; give smaller captions.")
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(
            f"--captions is {path}, which cannot be read ({error.strerror}); give a folder or a file."
        ) from error


def _some(path: Path, named: Mapping[str, str], texts: tuple[str, ...], columns: tuple[str, ...] = ()) -> Captions:
    if not any(named.values()) and not texts:
        raise InputError(
            f"{path} holds no captions; give .txt files, or a .csv or .jsonl file with columns image and text."
        )
    return Captions(named, texts, f"{path} (columns {some_of(columns)})" if columns else str(path))
