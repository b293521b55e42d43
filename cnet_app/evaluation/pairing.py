"""Pictures of several methods beside the control images that they were made from, by file name. Loads no torch."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from annotators.sources.picture_files import SUFFIXES
from models.errors import InputError

NAME_KEYS = ("name", "file_name", "file", "image", "conditioning_image")
PROMPT_KEYS = ("prompt", "text", "caption")
MAX_PROMPTS_BYTES = 200_000_000


@dataclass(frozen=True)
class Method:
    """A folder of pictures under the name that tables give it."""

    name: str
    folder: Path


@dataclass(frozen=True)
class Item:
    """A control image with the pictures that were made from it."""

    name: str
    """File name without its ending."""
    control: Path
    data: Path | None
    """JSON of people or classes beside the control image, where it is there."""
    prompt: str
    pictures: Mapping[str, tuple[Path, ...]]
    """By method; a method may have several, each in a folder of its own."""


@dataclass(frozen=True)
class Pairing:
    """Control images that have a picture of at least one method, by name, and what has no partner."""

    items: tuple[Item, ...]
    unpaired: tuple[str, ...]
    """Paths of control images without a picture, and of pictures without a control image."""


def parse_methods(texts: Sequence[str]) -> tuple[Method, ...]:
    """Return the methods of `DIR` or `NAME=DIR`. Raises InputError for a missing folder and for a name given twice."""
    methods = [_parse_method(text) for text in texts]
    if not methods:
        raise InputError("--images is missing; give the folder of the pictures.")
    names = [method.name for method in methods]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"Two --images are named {name!r}; name each of them, as in {name}_2=DIR.")
    return tuple(methods)


def _parse_method(text: str) -> Method:
    name, equals, folder = text.partition("=")
    path = Path(folder if equals else text)
    if not path.is_dir():
        raise InputError(f"--images is {text!r}, but there is no folder {path}; give one, or NAME=DIR.")
    title = name if equals else path.resolve().name
    if not title:
        raise InputError(f"--images is {text!r}, which has no name; write NAME=DIR.")
    return Method(title, path)


def pictures_below(folder: Path) -> list[Path]:
    """Return the pictures of a folder and of those in it, by path; hidden ones do not count."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def pair(controls: Path, methods: Sequence[Method], prompts: Mapping[str, str]) -> Pairing:
    """Return the control images of a folder with the pictures of every method that have their names.

    Raises InputError where two control images have one name, and where nothing pairs.
    """
    if not controls.is_dir():
        raise InputError(
            f"--control-images is {str(controls)!r}, but there is no such folder; give the folder of the maps."
        )
    by_name = _by_name(controls)
    found: dict[str, dict[str, list[Path]]] = {name: {} for name in by_name}
    unpaired: list[str] = []
    for method in methods:
        for path in pictures_below(method.folder):
            if path.stem in found:
                found[path.stem].setdefault(method.name, []).append(path)
            else:
                unpaired.append(str(path))
    unpaired += [str(path) for name, path in by_name.items() if not found[name]]
    items = tuple(
        _item(name, by_name[name], prompts.get(name, ""), pictures) for name, pictures in found.items() if pictures
    )
    if not items:
        folders = ", ".join(str(method.folder) for method in methods)
        raise InputError(
            f"No picture of {folders} has the name of a control image in {controls}; the names must be equal but for "
            "their endings, as in 0001.png and 0001.jpg."
        )
    return Pairing(items, tuple(unpaired))


def _by_name(controls: Path) -> dict[str, Path]:
    by_name: dict[str, Path] = {}
    for path in pictures_below(controls):
        if path.stem in by_name:
            raise InputError(f"{by_name[path.stem]} and {path} have one name; rename one of them.")
        by_name[path.stem] = path
    return by_name


def _item(name: str, control: Path, prompt: str, pictures: Mapping[str, Sequence[Path]]) -> Item:
    data = control.with_suffix(".json")
    listed = {method: tuple(paths) for method, paths in pictures.items()}
    return Item(name, control, data if data.is_file() else None, prompt, listed)


def read_prompts(path: Path) -> dict[str, str]:
    """Return prompts by name from a JSON object, or from JSON Lines, CSV or TSV with a name and a prompt a row.

    Raises InputError, which names the line.
    """
    try:
        if path.stat().st_size > MAX_PROMPTS_BYTES:
            raise InputError(f"--prompts is {path}, which has more than 200 MB; give a file of prompts.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"--prompts is {path}, which cannot be read as text ({error}); give a file of prompts."
        ) from error
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _prompts_of_object(path, text)
    if suffix == ".jsonl":
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        return dict(_prompt(path, number, _json(path, number, line)) for number, line in lines)
    if suffix in (".csv", ".tsv"):
        rows = csv.DictReader(io.StringIO(text), delimiter="\t" if suffix == ".tsv" else ",")
        return dict(_prompt(path, number, row) for number, row in enumerate(rows, 2))
    raise InputError(f"--prompts is {path}, but it must be a .json, .jsonl, .csv or .tsv file.")


def _prompts_of_object(path: Path, text: str) -> dict[str, str]:
    values = _json(path, 1, text)
    if not all(isinstance(value, str) for value in values.values()):
        raise InputError(f'{path} must be an object of names and prompts, as in {{"0001": "a red ball"}}.')
    return {Path(name).stem: cast(str, prompt) for name, prompt in values.items()}


def _json(path: Path, number: int, text: str) -> Mapping[str, Any]:
    try:
        values: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}, line {number} is not JSON ({error}); mend it.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}, line {number} is no JSON object; write a name and a prompt.")
    return cast("Mapping[str, Any]", values)


def _prompt(path: Path, number: int, row: Mapping[str, Any]) -> tuple[str, str]:
    name, prompt = _first(row, NAME_KEYS), _first(row, PROMPT_KEYS)
    if name is None or prompt is None:
        raise InputError(
            f"{path}, line {number} has no {'prompt' if name else 'name'}; it needs one of {', '.join(NAME_KEYS)} and one "
            f"of {', '.join(PROMPT_KEYS)}."
        )
    return Path(name).stem, prompt


def _first(row: Mapping[str, Any], keys: Iterable[str]) -> str | None:
    return next((row[key] for key in keys if isinstance(row.get(key), str) and row[key]), None)
