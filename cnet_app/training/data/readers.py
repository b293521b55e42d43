"""Forms of data sets: one reader each, the first whose files are there reads the folder. Loads no torch.

Paths in a data set's own files are relative to its folder, and none may lead out of it.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

from cnet_app.request.plain import Scalar
from cnet_app.training.data.pairs import DataSet, Pair, Problem, Source
from models.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic")
"""Of pictures."""
IMAGE_FOLDERS = ("images", "image", "img", "target", "targets")
CONTROL_FOLDERS = ("conditioning_images", "conditioning_image", "conditioning", "conditionings", "control", "controls", "cond", "source", "maps", "hints")  # fmt: skip
CAPTION_FOLDERS = ("captions", "caption", "prompts", "texts")
CAPTION_SUFFIXES = (".txt", ".caption")
METADATA = ("metadata.jsonl", "metadata.csv", "metadata.json")
IMAGE_KEYS, CONTROL_KEYS, TEXT_KEYS = (
    ("image", "file_name", "file_path", "target"),
    ("conditioning_image", "conditioning_image_file_name", "control_file_path", "control_image", "source"),
    ("text", "caption", "prompt"),
)
"""Names that columns have in diffusers' examples, in imagefolders, in VideoX-Fun's and in the original's data."""
PROMPT_JSON = "prompt.json"
FACTS = "data.json"
"""Written by `data build`: which annotator made the maps, and how."""
MAX_LINE = 1_000_000
CONTROL_MEMBERS = ("control", "conditioning", "conditioning_image", "cond", "source", "map", "hint")
"""Second ending of a map in a tar shard: 0001.jpg, 0001.control.png, 0001.txt."""


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
    reader = next((reader for reader in READERS if reader.fits(folder)), None)
    if reader is None:
        forms = "; ".join(reader.title for reader in READERS)
        raise InputError(f"{folder} is none of the forms of a data set; it must be one of: {forms}.")
    pairs, problems = reader.read(folder)
    data = DataSet(folder, reader.id, _named_apart(pairs), tuple(problems))
    return _with_facts(data)


def read_facts(folder: Path) -> Mapping[str, Any]:
    """Return what `data build` noted of a folder: condition, annotator, annotator_parameters, size; empty for any other."""
    try:
        values: object = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("Mapping[str, Any]", values) if isinstance(values, dict) else {}


def _with_facts(data: DataSet) -> DataSet:
    """With the annotator that `data build` noted."""
    facts = read_facts(data.folder)
    try:
        parameters = cast("dict[str, Scalar]", dict(facts["annotator_parameters"]))
        return replace(data, annotator=facts["annotator"], annotator_parameters=parameters)
    except (ValueError, LookupError, TypeError):
        return data


def _named_apart(pairs: list[Pair]) -> tuple[Pair, ...]:
    """Give a second pair of one name another one."""
    seen: dict[str, int] = {}
    found: list[Pair] = []
    for pair in pairs:
        number = seen[pair.name] = seen.get(pair.name, 0) + 1
        found.append(pair if number == 1 else replace(pair, name=f"{pair.name}-{number}"))
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
    maps = {_stem(path, controls): path for path in pictures_of(controls)}
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for path in pictures_of(images):
        stem = _stem(path, images)
        control = maps.pop(stem, None)
        where = path.relative_to(folder).as_posix()
        if control is None:
            problems.append(missing(where, stem, f"{controls.name}/{stem}.png"))
        data = control.with_suffix(".json") if control else None
        pairs.append(
            Pair(
                stem,
                Source(path),
                Source(control) if control else None,
                _caption(folder, path, stem),
                where,
                Source(data) if data and data.is_file() else None,
            )
        )
    for stem, path in maps.items():
        problems.append(missing(path.relative_to(folder).as_posix(), stem, f"{images.name}/{stem}.png", "picture"))
    return pairs, problems


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def missing(where: str, pair: str, wanted: str, what: str = "map") -> Problem:
    """Return the problem of a pair of which a half is not there."""
    return Problem("missing", where, f"{where} has no {what}; add {wanted}, or remove it.", pair)


def _caption(folder: Path, image: Path, stem: str) -> str:
    """Return the text beside a picture, or in the folder of captions; empty where there is none."""
    beside = [image.with_suffix(suffix) for suffix in CAPTION_SUFFIXES]
    apart = [folder / name / f"{stem}{suffix}" for name in CAPTION_FOLDERS for suffix in CAPTION_SUFFIXES]
    for path in (*beside, *apart):
        if path.is_file():
            return path.read_text(encoding="utf-8", errors="replace").strip()
    return ""


# Tables


def _tables(folder: Path) -> list[Path]:
    return [path for name in METADATA for path in (folder / name, folder / "train" / name) if path.is_file()]


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
        for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
            yield number, row
        return
    if table.suffix == ".json" and text.lstrip().startswith("["):
        values: Any = _json(text)
        if not isinstance(values, list):
            yield 1, "is no list of objects"
            return
        for number, row in enumerate(cast("list[Any]", values), 1):
            yield number, row if isinstance(row, dict) else "holds no object"
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            row = _json(line) if len(line) <= MAX_LINE else None
            yield number, row if isinstance(row, dict) else "is no JSON object"


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _add_row(root: Path, row: Mapping[str, Any], where: str, pairs: list[Pair], problems: list[Problem]) -> None:
    """Add the pair of a line, or what is wrong with it."""
    image, control = (_value(row, keys) for keys in (IMAGE_KEYS, CONTROL_KEYS))
    if not image:
        problems.append(
            Problem("unreadable", where, f"{where} names no picture; its column is one of: {', '.join(IMAGE_KEYS)}.")
        )
        return
    sources: list[Source | None] = []
    for name in (image, control):
        path = _inside(root, name) if name else None
        if name and path is None:
            problems.append(
                Problem(
                    "unreadable", where, f"{where} names {name}, which is not in the folder; put the file there.", image
                )
            )
        sources.append(Source(path) if path else None)
    picture, control_map = sources
    if picture is None:
        return
    if control_map is None and not control:
        problems.append(
            Problem("missing", where, f"{where} names no map; its column is one of: {', '.join(CONTROL_KEYS)}.", image)
        )
    pairs.append(
        Pair(PurePosixPath(image).with_suffix("").as_posix(), picture, control_map, _value(row, TEXT_KEYS), where)
    )


def _value(row: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """Return the text of the first key that a row has; an object as the hub's viewer writes it counts by its path."""
    for key in keys:
        value = row.get(key)
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get("path")
        if isinstance(value, str):
            return value.strip()
    return ""


def _inside(root: Path, name: str) -> Path | None:
    """Return the file of a name below a folder; None for a missing one, and for one outside."""
    path = root / name.replace("\\", "/")
    try:
        within = path.resolve().is_relative_to(root.resolve())
        return path if within and path.is_file() else None
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


# Shards


def _read_shards(folder: Path) -> tuple[list[Pair], list[Problem]]:
    """WebDataset: members of a tar with one name and several endings are one pair; nothing is unpacked."""
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for shard in sorted(folder.glob("*.tar")):
        try:
            with tarfile.open(shard) as tar:
                groups = _groups(tar, shard)
        except (tarfile.TarError, OSError, EOFError) as error:
            problems.append(
                Problem("unreadable", shard.name, f"{shard.name} cannot be read ({error}); get the shard again.")
            )
            continue
        for name, parts in groups.items():
            image = parts.get("image")
            where = f"{shard.name}, {name}"
            if image is None:
                problems.append(missing(where, name, f"{name}.jpg to the shard", "picture"))
                continue
            if "control" not in parts:
                problems.append(missing(where, name, f"{name}.control.png to the shard"))
            pairs.append(
                Pair(f"{shard.stem}/{name}", image, parts.get("control"), _words(parts), where, parts.get("data"))
            )
    return pairs, problems


def _groups(tar: tarfile.TarFile, shard: Path) -> dict[str, dict[str, Source]]:
    """Return the members by name and part: image, control, text, json, data."""
    groups: dict[str, dict[str, Source]] = {}
    for member in tar:
        if not member.isfile():
            continue
        path = PurePosixPath(member.name)
        stem, _, ending = path.name.partition(".")
        part = _part(ending.lower())
        if part:
            source = Source(shard, member.offset_data, member.size, member.name)
            groups.setdefault((path.parent / stem).as_posix(), {}).setdefault(part, source)
    return groups


def _part(ending: str) -> str | None:
    """Return which part of a pair a member of a shard is, by its ending: 'control.png', 'jpg', 'txt'."""
    kind, _, suffix = ending.rpartition(".")
    if f".{suffix}" in SUFFIXES:
        return "control" if kind in CONTROL_MEMBERS else "image" if kind in ("", *IMAGE_FOLDERS) else None
    if suffix == "json":
        return "data" if kind in CONTROL_MEMBERS else "json"
    return "text" if f".{suffix}" in CAPTION_SUFFIXES else None


def _words(parts: Mapping[str, Source]) -> str:
    if text := parts.get("text"):
        return text.read().decode("utf-8", "replace").strip()
    values = _json(parts["json"].read().decode("utf-8", "replace")) if "json" in parts else None
    return _value(cast("dict[str, Any]", values), TEXT_KEYS) if isinstance(values, dict) else ""


# Pictures alone


def _read_pictures(folder: Path) -> tuple[list[Pair], list[Problem]]:
    return [
        Pair(_stem(path, folder), Source(path), None, _caption(folder, path, _stem(path, folder)), path.relative_to(folder).as_posix())
        for path in pictures_of(folder)
    ], []  # fmt: skip


READERS = (
    Reader("metadata", "metadata.jsonl or .csv with columns image, conditioning_image and text", lambda folder: bool(_tables(folder)), _read_tables),
    Reader("prompt_json", "prompt.json with source, target and prompt a line", lambda folder: (folder / PROMPT_JSON).is_file(), _read_prompts),
    Reader("folders", "folders images and conditioning_images with equal names, captions in .txt files", lambda folder: _two_folders(folder) is not None, _read_folders),
    Reader("webdataset", "WebDataset shards (.tar) with members NAME.jpg, NAME.control.png, NAME.txt", lambda folder: any(folder.glob("*.tar")), _read_shards),
    Reader("pictures", "a folder of pictures, to build maps for", lambda folder: bool(pictures_of(folder)), _read_pictures),
)  # fmt: skip
