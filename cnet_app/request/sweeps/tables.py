"""Prompts of a batch: a CSV or TSV file with a line a picture, or a text file beside each picture. Loads no torch."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from annotators.base import shown
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.sweeps.fields import Field, Value, find_field
from models.errors import InputError

MAX_BYTES = 20_000_000
MAX_ROWS = 10_000
FILE = "file"
DELIMITERS = ",\t;|"
CAPTION = ".txt"


@dataclass(frozen=True)
class Row:
    """One line of a table: a file, and fields of its request that are not empty."""

    file: str
    values: Mapping[str, Value]
    line: int


def read_table(path: Path, request: GenerationRequest) -> tuple[Row, ...]:
    """Return the rows of a CSV or TSV file with a column `file` and columns named like fields of the request.

    The first line names the columns: prompt, negative_prompt, seed, guidance_scale, unit1.conditioning_scale …; an empty
    cell leaves the field as it is. The delimiter is the one of comma, tab, semicolon and bar that the first line has.
    Raises InputError, which names the line.
    """
    text = _read_text(path, MAX_BYTES)
    head, _, _ = text.partition("\n")
    delimiter = max(DELIMITERS, key=_outside_quotes(head).count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    rows: list[Row] = []
    fields: list[Field | None] | None = None
    line = 1
    try:
        for cells in reader:
            place = f"Line {line} of {path.name}"
            line = reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if fields is None:
                fields = _columns(cells, place, request)
            else:
                rows.append(_row(cells, fields, place, reader.line_num))
            if len(rows) > MAX_ROWS:
                raise InputError(f"{path.name} has more than {MAX_ROWS:,} rows; make several files of it.")
    except csv.Error as error:
        raise InputError(f"Line {line} of {path.name} cannot be read ({error}); correct its quotes.") from error
    if not rows:
        raise InputError(
            f"{path.name} has no rows; give a line with the names of the columns, then one for each picture."
        )
    return tuple(rows)


def read_caption(picture: Path) -> str | None:
    """Return the text of the file beside a picture, `name.txt` for `name.png`; None where there is none. InputError."""
    path = picture.with_suffix(CAPTION)
    return " ".join(_read_text(path, MAX_BYTES).split()) if path.is_file() else None


def _columns(cells: list[str], place: str, request: GenerationRequest) -> list[Field | None]:
    """The field of each column; None is the file."""
    names = [cell.strip() for cell in cells]
    if names.count(FILE) != 1:
        raise InputError(f"{place} must name the columns, one of them {FILE}, but it is: {shown(', '.join(names))}.")
    double = [name for number, name in enumerate(names) if name in names[:number]]
    if double:
        raise InputError(f"{place} has the column {double[0]!r} twice; leave one out.")
    try:
        fields = [None if name == FILE else find_field(request, name) for name in names]
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    for field in fields:
        if field and (field.owner == "annotator" or field.field in ("width", "height", "annotator")):
            raise InputError(f"{place} has the column {field.name!r}, which cannot differ by picture; leave it out.")
    return fields


def _row(cells: list[str], fields: list[Field | None], place: str, line: int) -> Row:
    if len(cells) != len(fields):
        raise InputError(
            f"{place} has {len(cells)} cells, but the first line has {len(fields)}; quote cells with commas."
        )
    file, values = "", dict[str, Value]()
    for field, cell in zip(fields, cells, strict=True):
        text = cell.strip()
        if field is None:
            file = text
        elif text:
            try:
                values[field.name] = field.parse(text)
            except InputError as error:
                raise InputError(f"{place}: {error}") from error
    if not file:
        raise InputError(f"{place} names no file; give the name of a picture in the column {FILE}.")
    return Row(file, values, line)


def _outside_quotes(text: str) -> str:
    return re.sub(r'"[^"]*"', "", text)


def _read_text(path: Path, most: int) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its name and folder.") from error
    if len(data) > most:
        raise InputError(f"{path.name} is larger than {most / 1e6:g} MB; make several files of it.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is not text in UTF-8; save it as UTF-8.") from error
