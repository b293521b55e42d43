"""Pictures as a ZIP file, each with its recipe beside it."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cnet_app.jobs.library.search import Picture
from cnet_app.request.recipe import read_recipe
from cnet_app.request.tasks import task_to_json
from models.downloads.whole import unfinished
from models.errors import InputError, SaveError


def write_zip(pictures: Sequence[Picture], path: Path) -> None:
    """Write the pictures' files and a JSON file each to a ZIP file, whole or not at all.

    Raises InputError where there is no picture or a file is gone, and SaveError.
    """
    if not pictures:
        raise InputError("No picture is chosen; choose at least one.")
    try:
        with unfinished(path) as part, zipfile.ZipFile(part, "x", strict_timestamps=False) as archive:
            for name, picture in zip(_names(pictures), pictures, strict=True):
                _add(archive, name, picture)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SaveError(f"{path} cannot be written ({reason}); make room there or choose another folder.") from error


def _add(archive: zipfile.ZipFile, name: str, picture: Picture) -> None:
    if not picture.path.is_file():
        raise InputError(f"The file {picture.path.name} is no longer there; leave this picture out.")
    text = json.dumps(describe(picture), ensure_ascii=False, indent=1)
    archive.write(picture.path, name)
    archive.writestr(str(Path(name).with_suffix(".json")), text, zipfile.ZIP_DEFLATED)


def _names(pictures: Sequence[Picture]) -> Iterator[str]:
    """Yield the files' names, each once, on systems too where upper and lower case are the same."""
    taken: set[str] = set()
    for picture in pictures:
        name = picture.path.name
        if Path(name).stem.casefold() in taken:
            name = f"{Path(name).stem}_{picture.id}{picture.path.suffix}"
        taken.add(Path(name).stem.casefold())
        yield name


def describe(picture: Picture) -> dict[str, Any]:
    """Return a picture and its recipe as JSON values; `recipe` is the request with its pictures in base64.

    It is None for a file without a recipe, and `reason` is why.
    """
    values = dataclasses.asdict(picture)
    values |= {"path": picture.path.name, "recipe": None, "made": {}, "reason": ""}
    del values["session"], values["missing"], values["deleted"]
    try:
        recipe = read_recipe(picture.path)
    except InputError as error:
        return values | {"reason": str(error)}
    return values | {"recipe": task_to_json(recipe.request), "made": dict(recipe.made)}
