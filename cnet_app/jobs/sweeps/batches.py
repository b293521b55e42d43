"""Batches: every picture of a folder takes the place of the photo of one recipe. Loads no torch."""

from __future__ import annotations

import math
import os
import re
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from annotators.base import Image, shown
from annotators.sources.images import load_image, resize
from annotators.sources.picture_files import SUFFIXES
from annotators.sources.roles import PHOTO
from cnet_app.jobs.sweeps.manifest import Manifest, Part, begun_sweep, put_request, take_request, write_manifest
from cnet_app.jobs.sweeps.sources import map_of
from cnet_app.maps.annotate import Maps
from cnet_app.maps.own import source_role
from cnet_app.request.generation import MAX_SEED, GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.prompts.wildcards import TEMPLATES, Wildcards, resolve_request
from cnet_app.request.sizes import fit_budget, size_of
from cnet_app.request.sweeps.fields import find_field, with_unit, with_values
from cnet_app.request.sweeps.tables import Row, read_caption
from models.catalogue.resolve import resolve
from models.downloads.whole import unfinished
from models.errors import InputError, SaveError
from models.families import side_multiple
from models.names import did_you_mean

MAX_FILES = 10_000
SOURCES = "sources"
"""Below the folder of a batch: pictures that it keeps."""
START = "start"
"""Among the places that a picture takes: the initial image."""
Size = Literal["follow", "fixed"]


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """What all pictures of a batch share."""

    recipe: GenerationRequest
    """Its `num_images` pictures are made of each file, with seed, seed + 1, …"""
    into: tuple[str, ...] = ()
    """What the pictures replace: `unit1` … and `start`; empty is `default_places`."""
    size: Size = "follow"
    """follow: the picture's own aspect with as many pixels as the recipe has; fixed: the recipe's size."""
    wildcards: bool = False
    """Whether the recipe's prompts hold wildcards; those of captions and tables may always."""
    keep: bool = False
    """Whether the batch's folder keeps the pictures, for those that will not stay where they are, such as uploads."""


def list_pictures(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the pictures of a folder, not of folders in it, in natural order, and the names of its other files."""
    try:
        files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); give a folder of pictures.") from error
    pictures = natural_order(path for path in files if path.suffix.lower() in SUFFIXES)
    return pictures, sorted(path.name for path in files if path.suffix.lower() not in SUFFIXES)


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sort by name with numbers by their value: 2 comes before 10."""

    def key(path: Path) -> tuple[list[tuple[int, str]], str]:
        parts = re.findall(r"\d+|\D+", path.name.lower())
        return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name

    return sorted(paths, key=key)


def first_readable(pictures: Sequence[Path]) -> Path:
    """Return the first picture that can be read: its maps stand for all until their turn. InputError where none can."""
    fault = InputError("There are no pictures in the batch; give some.")
    for path in pictures:
        try:
            load_image(path)
        except InputError as error:
            fault = error
        else:
            return path
    raise fault


def default_places(request: GenerationRequest) -> tuple[str, ...]:
    """Return what the pictures of a batch replace where nobody says: the photos of maps, else the start, else the maps."""
    made = [index for index, unit in enumerate(request.units) if unit.annotator is not None]
    if not made and request.initial_image is not None:
        return (START,)
    return tuple(f"unit{index + 1}" for index in made or range(len(request.units)))


def create_batch(
    pictures: Path,
    name: str,
    plan: BatchPlan,
    files: Sequence[Path],
    rows: Sequence[Row] = (),
    wildcards: Wildcards | None = None,
) -> Manifest:
    """Write the manifest of a new batch below the folder of pictures.

    Without `rows` a file has the caption beside it as its prompt, else the recipe's; with them exactly the files that they
    name are made, in their order. Raises InputError, which names a wrong line, and SaveError.
    """
    plan = replace(plan, into=_checked_places(plan))
    chosen = [(_find(files, row), row) for row in rows] if rows else [(path, Row(path.name, {}, 0)) for path in files]
    count = len(chosen) * plan.recipe.num_images
    if not 1 <= count <= MAX_FILES:
        raise InputError(f"The batch has {count:,} pictures to make, but it must have 1 to {MAX_FILES:,}.")
    if plan.wildcards:
        resolve_request(plan.recipe, wildcards or Wildcards())
    names: dict[str, None] = {}
    parts = [
        Part(what=_part(path, row, variant, plan, bool(rows), names))
        for path, row in chosen
        for variant in range(plan.recipe.num_images)
    ]
    with begun_sweep(pictures, "batch", name) as folder:
        if plan.keep:
            parts = _kept(parts, folder)
        shared: dict[str, Any] = {
            "recipe": put_request(folder, replace(plan.recipe, num_images=1)),
            "into": list(plan.into),
            "size": plan.size,
            "wildcards": plan.wildcards,
        }
        left_out = len(set(files) - {path for path, _ in chosen})
        notes = (f"{left_out} pictures of the folder are not in the table and were left out.",) if left_out else ()
        manifest = Manifest(
            folder=folder,
            kind="batch",
            name=name or "Batch",
            created=time.time(),
            plan=shared,
            parts=tuple(parts),
            notes=notes,
        )
        write_manifest(manifest)
        return manifest


def _kept(parts: Sequence[Part], folder: Path) -> list[Part]:
    """The parts with their files under `sources/` of the sweep's folder; SaveError."""
    place, kept = folder / SOURCES, dict[str, str]()
    try:
        place.mkdir()
        for file in dict.fromkeys(str(part.what["file"]) for part in parts):
            target = place / str(len(kept)) / Path(file).name
            target.parent.mkdir()
            _link(Path(file), target)
            kept[file] = str(target.resolve())
    except OSError as error:
        raise SaveError(
            f"{place} cannot be written ({error.strerror or error}); make room there or choose another folder."
        ) from error
    return [replace(part, what={**part.what, "file": kept[str(part.what["file"])]}) for part in parts]


class BatchWork:
    """The work of a batch: makes the maps of a picture when its turn comes, and names results after their files."""

    def __init__(self, manifest: Manifest, maps: Maps, wildcards: Wildcards | None = None, move: bool = False) -> None:
        """With `move` results leave the folder in which they were made, else they are in both. Raises InputError."""
        _check_manifest(manifest)
        self._maps = maps
        self._wildcards = wildcards or Wildcards()
        self._move = move
        self._recipe = take_request(manifest.folder, manifest.plan.get("recipe"))
        self._plan = manifest.plan

    def request(self, manifest: Manifest, index: int) -> GenerationRequest:
        """Return the request of a picture: size, maps, then the fields of its table or caption, then wildcards."""
        what = manifest.parts[index].what
        file = Path(what["file"])
        source = load_image(file)
        request = replace(self._recipe, seed=int(what["seed"]))
        if self._plan["size"] == "follow":
            side = round(math.sqrt(request.width * request.height))
            width, height = fit_budget(*size_of(source), side, side_multiple(resolve(request.base, "base").family))
            request = replace(request, width=width, height=height)
        request = self._with_source(request, file, source)
        values = dict(what["values"])
        caption = read_caption(file) if what["caption"] and "prompt" not in values else None
        if caption is not None:
            values["prompt"] = caption
        written = {name for name in TEMPLATES if name in values or self._plan["wildcards"]}
        request = with_values(request, [(find_field(request, name), value) for name, value in values.items()])
        (resolved,) = resolve_request(request, self._wildcards, self._recipe.seed + index, written)
        return resolved

    def keep(self, manifest: Manifest, index: int, picture: Path) -> Path:
        """Put the picture into the batch's folder under the name of its file; SaveError."""
        target = manifest.folder / str(manifest.parts[index].what["name"])
        try:
            if self._move:
                os.replace(picture, target)
            else:
                _link(picture, target)
        except OSError as error:
            raise SaveError(
                f"{target} cannot be written ({error.strerror or error}); make room there or choose another folder."
            ) from error
        return target

    def finish(self, manifest: Manifest) -> tuple[str, ...]:
        """Everything is in its place already."""
        return ()

    def _with_source(self, request: GenerationRequest, file: Path, source: Image) -> GenerationRequest:
        for place in self._plan["into"]:
            if place == START:
                started = resize(source, request.width, request.height, mode="crop")
                request = replace(request, initial_image=encode_png(started))
            else:
                index = int(place.removeprefix("unit")) - 1
                unit = request.units[index]
                role = source_role(unit.condition, unit.annotator)
                read = source if role is PHOTO else load_image(file, role=role)
                made = map_of(self._maps, request, index, unit.annotator, unit.annotator_parameters, read)
                request = with_unit(request, index, made)
        return request


def _check_manifest(manifest: Manifest) -> None:
    """A name that leads out of the folder is refused like one that is missing."""
    plain = {"recipe", "into", "size", "wildcards"} <= set(manifest.plan)
    for part in manifest.parts:
        name = part.what.get("name")
        plain = plain and {"file", "seed", "values", "caption"} <= set(part.what)
        plain = plain and isinstance(name, str) and Path(name).name == name and name.endswith(".png")
    if not plain:
        raise InputError(f"{manifest.path} is damaged; begin the batch again.")


def _link(picture: Path, target: Path) -> None:
    """The same file under another name, or a copy where the disk knows no links."""
    with unfinished(target) as part:
        try:
            os.link(picture, part)
        except OSError:
            shutil.copyfile(picture, part)


def _checked_places(plan: BatchPlan) -> tuple[str, ...]:
    allowed = [f"unit{number + 1}" for number in range(len(plan.recipe.units))] + [START]
    wrong = next((place for place in plan.into if place not in allowed), None)
    if wrong is not None:
        hint = did_you_mean(wrong, allowed)
        raise InputError(
            f"into is {shown(wrong)}{hint}, but the pictures of a batch replace one of: {', '.join(allowed)}."
        )
    places = tuple(dict.fromkeys(plan.into)) or default_places(plan.recipe)
    if not places:
        raise InputError(
            "The recipe has no control image and no picture to start from, so the pictures of the batch have no place in it; "
            "give a recipe with one, or start from the pictures (start)."
        )
    return places


def _part(
    path: Path, row: Row, variant: int, plan: BatchPlan, has_table: bool, names: dict[str, None]
) -> Mapping[str, Any]:
    seed = int(str(row.values.get("seed", plan.recipe.seed))) + variant
    if seed > MAX_SEED:
        raise InputError(f"The seed of {row.file} is {seed}, but it must be at most {MAX_SEED}; lower it.")
    name = path.stem + (f"-{variant + 1}" if plan.recipe.num_images > 1 else "")
    return {
        "file": str(path.resolve()),
        "name": _unique(name, names),
        "seed": seed,
        "values": {key: value for key, value in row.values.items() if key != "seed"},
        "caption": not has_table,
    }


def _unique(stem: str, names: dict[str, None]) -> str:
    """A name of a PNG that no other picture of the batch has, on disks that know no capitals either."""
    name, number = f"{stem}.png", 1
    while name.lower() in names:
        number += 1
        name = f"{stem}-{number}.png"
    names[name.lower()] = None
    return name


def _find(files: Sequence[Path], row: Row) -> Path:
    """The file that a row names, with or without its ending."""
    found = [path for path in files if path.name == row.file] or [path for path in files if path.stem == row.file]
    if not found:
        hint = did_you_mean(row.file, (path.name for path in files))
        raise InputError(
            f"Line {row.line} of the table names {shown(row.file)}{hint}, which is not among the pictures."
        )
    return found[0]
