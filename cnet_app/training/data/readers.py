"""Forms of data sets: one reader each, the first whose files are there reads the folder. Loads no torch.

Paths in a data set's own files are relative to the file's folder, and none may lead out of it, but by the user's own links.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Any, cast

from annotators.sources.picture_files import FORMATS, SUFFIXES
from cnet_app.request.plain import Scalar
from cnet_app.training.data.hub_tables import is_table, read_table
from cnet_app.training.data.naming import (
    CAPTION_FOLDERS,
    CAPTION_SUFFIXES,
    CONTROL_FOLDERS,
    CONTROL_KEYS,
    IMAGE_FOLDERS,
    IMAGE_KEYS,
    METADATA,
    PROMPT_JSON,
    TEXT_KEYS,
    missing,
    parse_json,
    value_of,
)
from cnet_app.training.data.pairs import DataSet, Pair, Problem, Source
from cnet_app.training.data.shards import read_shards
from models.errors import InputError

FACTS = "data.json"
"""Written by `data build`: which annotator made the maps, and how."""
MAX_LINE = 1_000_000


@dataclass(frozen=True)
class Reader:
    """One form."""

    id: str
    title: str
    """As a message names it."""
    fits: Callable[[Path], bool]
    """Whether a folder has the form."""
    read: Callable[[Path], tuple[list[Pair], list[Problem]]]


def read_data(folder: Path) -> DataSet:
    """Return a data set in whatever form it is. Raises InputError where the folder is missing, or has none of the forms.

    What can be read is taken; the rest is in `problems`.
    """
    if not folder.is_dir():
        raise InputError(f"There is no data folder {folder}; give the folder of the pairs.")
    reader = _reader_of(folder)
    if reader is None:
        forms = "; ".join(reader.title for reader in READERS)
        others = f" {text}" if (text := not_read(_others_below(folder))) else ""
        raise InputError(f"{folder} is none of the forms of a data set; it must be one of: {forms}.{others}")
    try:
        pairs, problems = reader.read(folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror or error}); put it back, and try again.") from error
    if not pairs and not problems:
        raise InputError(
            f"{folder} holds no pairs, though it has the form: {reader.title}; put pictures and maps there."
        )
    skipped = _others_below(folder) if reader.id in (FOLDERS, PICTURES) else {}
    data = DataSet(folder, reader.id, _named_apart(pairs), tuple(problems), skipped)
    return _with_facts(data)


def _others_below(folder: Path) -> Mapping[str, int]:
    """Return the number of files of each ending that no reader takes; hidden ones do not count."""
    known = (*SUFFIXES, *CAPTION_SUFFIXES, ".json")
    files = (path for path in folder.rglob("*") if path.suffix.lower() not in known and path.is_file())
    seen = (path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    try:
        return dict(Counter(path.suffix.lower() or "without an ending" for path in seen).most_common())
    except OSError:  # of a folder that may not be looked into: the reader names it where it matters
        return {}


def not_read(skipped: Mapping[str, int]) -> str:
    """Return the sentence about files that are not pictures that can be read; empty where there are none."""
    if not skipped:
        return ""
    listed = ", ".join(f"{number} {ending}" for ending, number in skipped.items())
    return f"{sum(skipped.values())} files are not read ({listed}); pictures are read as {', '.join(FORMATS)} and HEIC."


def _reader_of(folder: Path) -> Reader | None:
    try:
        return next((reader for reader in READERS if reader.fits(folder)), None)
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); give a folder that may be read.") from error


def read_facts(folder: Path) -> Mapping[str, Any]:
    """Return what `data build` noted of a folder: condition, annotator, annotator_parameters, size; empty for any other."""
    try:
        values: object = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("Mapping[str, Any]", values) if isinstance(values, dict) else {}


def _with_facts(data: DataSet) -> DataSet:
    """With the condition and the annotator that `data build` noted."""
    facts = read_facts(data.folder)
    if isinstance(facts.get("condition"), str):
        data = replace(data, condition=facts["condition"])
    try:
        parameters = cast("dict[str, Scalar]", dict(facts["annotator_parameters"]))
        return replace(data, annotator=facts["annotator"], annotator_parameters=parameters)
    except (ValueError, LookupError, TypeError):
        return data


def without_maps(data: DataSet, condition_id: str) -> str:
    """Return the sentence about a folder of pictures alone."""
    return (
        f"{data.folder} holds {len(data.pairs)} pictures alone, without maps; build pairs from them: "
        f"data build --images {quote(str(data.folder))} --condition {condition_id} --output DIR."
    )


def _named_apart(pairs: list[Pair]) -> tuple[Pair, ...]:
    """Give a second pair of one name another one."""
    taken = {pair.name for pair in pairs}
    seen: set[str] = set()
    found: list[Pair] = []
    for pair in pairs:
        name = pair.name
        if name in seen:
            numbered = (f"{pair.name}-{number}" for number in count(2))
            name = next(one for one in numbered if one not in taken)
            taken.add(name)
        seen.add(name)
        found.append(replace(pair, name=name))
    return tuple(found)


# Two folders


def _two_folders(folder: Path) -> tuple[Path, Path] | None:
    """Return the folders of pictures and of maps."""
    names = {path.name.lower(): path for path in folder.iterdir() if path.is_dir()}
    control = next((names[name] for name in CONTROL_FOLDERS if name in names), None)
    image = next((names[name] for name in IMAGE_FOLDERS if name in names), None)
    if control is not None and image is None:
        rest = [
            path
            for name, path in names.items()
            if path != control and name not in CAPTION_FOLDERS and pictures_of(path)
        ]
        image = rest[0] if len(rest) == 1 else None
    return (image, control) if image is not None and control is not None else None


def pictures_of(folder: Path) -> list[Path]:
    """Return the pictures below a folder, by name; hidden ones do not count."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _read_folders(folder: Path) -> tuple[list[Pair], list[Problem]]:
    found = _two_folders(folder)
    assert found is not None
    images, controls = found
    maps: dict[str, Path] = {}
    pairs: list[Pair] = []
    problems = [
        _second_map(path.relative_to(folder).as_posix(), maps[_stem(path, controls)].name)
        for path in pictures_of(controls)
        if maps.setdefault(_stem(path, controls), path) != path
    ]
    for path in pictures_of(images):
        stem = _stem(path, images)
        control = maps.pop(stem, None)
        where = path.relative_to(folder).as_posix()
        if control is None:
            problems.append(missing(where, stem, f"{controls.name}/{stem}.png"))
        text = _caption(folder, path, stem)
        pairs.append(Pair(stem, Source(path), Source(control) if control else None, text, where, _data_of(control)))
    for stem, path in maps.items():
        problems.append(missing(path.relative_to(folder).as_posix(), stem, f"{images.name}/{stem}.png", "picture"))
    return pairs, problems


def _second_map(where: str, other: str) -> Problem:
    return Problem(
        "missing", where, f"{where} has no picture of its own, as {other} has its name; remove one of the two."
    )


def _data_of(control: Path | None) -> Source | None:
    """Return the JSON beside a map that it was drawn from."""
    beside = control.with_suffix(".json") if control else None
    return Source(beside) if beside and beside.is_file() else None


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _caption(folder: Path, image: Path, stem: str) -> str:
    """Return the text beside a picture, or in the folder of captions; empty where there is none."""
    beside = [image.with_suffix(suffix) for suffix in CAPTION_SUFFIXES]
    apart = [folder / name / f"{stem}{suffix}" for name in CAPTION_FOLDERS for suffix in CAPTION_SUFFIXES]
    for path in (*beside, *apart):
        if path.is_file():
            return path.read_text(encoding="utf-8-sig", errors="replace").strip()
    return ""


# Tables


def _tables(folder: Path) -> list[Path]:
    paths = [path for name in METADATA for path in (folder / name, folder / "train" / name)]
    return [path for path in paths if path.is_file() and (path.suffix != ".json" or _is_table(path))]


def _is_table(path: Path) -> bool:
    """Return whether a .json file is a list, or an object a line: many tools write a metadata.json of their own."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline(MAX_LINE).strip()
    return first.startswith("[") or isinstance(parse_json(first), dict)


def _read_tables(folder: Path) -> tuple[list[Pair], list[Problem]]:
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for table in _tables(folder):
        for number, row in _rows(table):
            where = f"{table.relative_to(folder).as_posix()}, line {number}"
            if isinstance(row, str):
                problems.append(Problem("unreadable", where, f"{where} {row}; mend the line, or remove it."))
                continue
            _add_row(table.parent, row, where, pairs, problems)
    return pairs, problems


def _rows(table: Path) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """Yield number and values of each line; a text where it cannot be read."""
    text = table.read_text(encoding="utf-8-sig", errors="replace")
    if table.suffix == ".csv":
        yield from csv_rows(text)
        return
    if table.suffix == ".json" and text.lstrip().startswith("["):
        values: Any = parse_json(text)
        if not isinstance(values, list):
            yield 1, "is no list of objects"
            return
        for number, row in enumerate(cast("list[Any]", values), 1):
            yield number, row if isinstance(row, dict) else "holds no object"
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            row = parse_json(line) if len(line) <= MAX_LINE else None
            yield number, row if isinstance(row, dict) else "is no JSON object"


def csv_rows(text: str) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """Yield the number of the last line and the values of each row; a text where the table cannot be read on."""
    reader = csv.DictReader(io.StringIO(text))
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        yield reader.line_num + 1, f"is no line of a table ({error})"


def _add_row(root: Path, row: Mapping[str, Any], where: str, pairs: list[Pair], problems: list[Problem]) -> None:
    """Add the pair of a line, or what is wrong with it."""
    image, control = (value_of(row, keys) for keys in (IMAGE_KEYS, CONTROL_KEYS))
    if not image:
        problems.append(
            Problem("unreadable", where, f"{where} names no picture; its column is one of: {', '.join(IMAGE_KEYS)}.")
        )
        return
    paths = {name: _inside(root, name) for name in (image, control) if name}
    for name, path in paths.items():
        if path is None:
            text = f"{where} names {name}, which is not in the folder; put the file there."
            problems.append(Problem("unreadable", where, text, image))
    picture, map_path = paths[image], paths.get(control)
    if picture is None:
        return
    if not control:
        text = f"{where} names no map; its column is one of: {', '.join(CONTROL_KEYS)}."
        problems.append(Problem("missing", where, text, image))
    name = PurePosixPath(image.replace("\\", "/")).with_suffix("").as_posix()
    map_source = Source(map_path) if map_path else None
    pairs.append(Pair(name, Source(picture), map_source, value_of(row, TEXT_KEYS), where, _data_of(map_path)))


def _inside(root: Path, name: str) -> Path | None:
    """Return the file of a name below a folder; None for a missing one, and for one outside."""
    path = Path(os.path.normpath(root / name.replace("\\", "/")))
    try:
        return path if path.is_relative_to(os.path.normpath(root)) and path.is_file() else None
    except (OSError, ValueError):  # a name that no file can have
        return None


def _read_prompts(folder: Path) -> tuple[list[Pair], list[Problem]]:
    """The original's form: each line has `source` (the map), `target` (the picture) and `prompt`."""
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for number, row in _rows(folder / PROMPT_JSON):
        where = f"{PROMPT_JSON}, line {number}"
        if isinstance(row, str):
            problems.append(Problem("unreadable", where, f"{where} {row}; mend the line, or remove it."))
        else:
            _add_row(
                folder,
                {"image": row.get("target"), "conditioning_image": row.get("source"), "text": row.get("prompt")},
                where,
                pairs,
                problems,
            )
    return pairs, problems


# Pictures alone


def _read_pictures(folder: Path) -> tuple[list[Pair], list[Problem]]:
    return [
        Pair(_stem(path, folder), Source(path), None, _caption(folder, path, _stem(path, folder)), path.relative_to(folder).as_posix())
        for path in pictures_of(folder)
    ], []  # fmt: skip


PICTURES, FOLDERS = "pictures", "folders"
"""Ids of the form that has no maps, and of that of two folders."""
READERS = (
    Reader("metadata", "metadata.jsonl or .csv with columns image, conditioning_image and text", lambda folder: bool(_tables(folder)), _read_tables),
    Reader("prompt_json", "prompt.json with source, target and prompt a line", lambda folder: (folder / PROMPT_JSON).is_file(), _read_prompts),
    Reader(FOLDERS, "folders images and conditioning_images with equal names, captions in .txt files", lambda folder: _two_folders(folder) is not None, _read_folders),
    Reader("webdataset", "WebDataset shards (.tar) with members NAME.jpg, NAME.control.png, NAME.txt", lambda folder: any(folder.glob("*.tar")), read_shards),
    Reader("hub", "a folder of datasets.save_to_disk, or .parquet files with the same columns", is_table, lambda folder: read_table(folder, IMAGE_KEYS, CONTROL_KEYS, TEXT_KEYS)),
    Reader(PICTURES, "a folder of pictures, to build maps for", lambda folder: bool(pictures_of(folder)), _read_pictures),
)  # fmt: skip
