"""The manifest of a sweep: a JSON file that names every picture to be made and where those that are made lie.

A sweep is a grid or a batch. Its folder holds `manifest.json`, the pictures and maps of its requests under `inputs/`, each
once by its sha256, and its results. A manifest is written as a whole before a next picture begins, so that a sweep that
was stopped or killed goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from annotators.base import shown
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.plain import Json
from cnet_app.request.tasks import task_from_json, task_to_json
from models.downloads import whole
from models.downloads.whole import sweep_unfinished
from models.errors import InputError, SaveError

SweepKind = Literal["grid", "batch"]
FOLDERS: Mapping[SweepKind, str] = {"grid": "grids", "batch": "batches"}
"""Below the folder of pictures."""
FILE = "manifest.json"
INPUTS = "inputs"
FORMAT = "controlnet_studio_sweep"
VERSION = 1
MAX_NAME = 60
ID = re.compile(r"[\w-]+")
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One picture of a sweep."""

    what: Mapping[str, Any]
    """JSON values: of a grid indices, labels and request; of a batch file, name, values and the like."""
    picture: str = ""
    """Path of the picture, relative to the sweep's folder; empty until it is made."""
    error: str = ""
    """Why it could not be made."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A sweep at one moment."""

    folder: Path
    kind: SweepKind
    name: str
    created: float
    """Seconds since 1970."""
    plan: Mapping[str, Any]
    """JSON values that all parts share."""
    parts: tuple[Part, ...]
    """In the order to make them."""
    notes: tuple[str, ...] = ()
    owner: str = ""
    """`owner_of` the session that began it; empty where that is not known."""

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def path(self) -> Path:
        """The manifest's own file."""
        return self.folder / FILE

    def picture(self, index: int) -> Path | None:
        """Return the picture of a part, where it is on the disk."""
        part = self.parts[index]
        path = self.folder / part.picture
        return path.resolve() if part.picture and path.is_file() else None

    def missing(self) -> list[int]:
        """Return the indices of the parts whose picture is not on the disk."""
        return [index for index in range(len(self.parts)) if self.picture(index) is None]

    def without_errors(self) -> Manifest:
        """Return the manifest as before a new try: parts without a picture have no error and no path."""
        missing = set(self.missing())
        parts = [
            replace(part, picture="", error="") if index in missing else part for index, part in enumerate(self.parts)
        ]
        return replace(self, parts=tuple(parts))

    def with_part(self, index: int, picture: Path | None = None, error: str = "") -> Manifest:
        """Return the manifest with what became of a part."""
        place = Path(os.path.relpath(picture, self.folder)).as_posix() if picture else ""
        part = replace(self.parts[index], picture=place, error=error)
        return replace(self, parts=(*self.parts[:index], part, *self.parts[index + 1 :]))


def owner_of(session: str) -> str:
    """Return what a manifest keeps of a session: enough to know it again, and nothing to act in its name with."""
    return hashlib.sha256(f"{FORMAT} {session}".encode(errors="replace")).hexdigest() if session else ""


def new_folder(pictures: Path, kind: SweepKind, name: str) -> Path:
    """Make the folder of a new sweep, `grids/<time>-<name>-<letters>` below the folder of pictures; SaveError."""
    plain = re.sub(r"[^\w]+", "-", name).strip("-")[:MAX_NAME] or kind
    folder = pictures / FOLDERS[kind] / f"{time.strftime('%Y-%m-%d_%H%M%S')}-{plain}-{secrets.token_hex(6)}"
    try:
        (folder / INPUTS).mkdir(parents=True)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise SaveError(f"{folder} cannot be made a folder ({error.strerror}); choose another one.") from error
    return folder


@contextmanager
def begun_sweep(pictures: Path, kind: SweepKind, name: str) -> Generator[Path]:
    """Yield `new_folder`, which is removed again where the sweep cannot be written into it; SaveError."""
    folder = new_folder(pictures, kind, name)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def find_sweep(pictures: Path, id: str) -> Path:
    """Return the manifest of a sweep by its id; InputError where there is none."""
    paths = [pictures / folder / id / FILE for folder in FOLDERS.values()] if ID.fullmatch(id) else []
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise InputError(f"There is no grid or batch {shown(id)}; choose another one.")
    return found


def put_request(folder: Path, request: GenerationRequest) -> dict[str, Json]:
    """Return a request as JSON whose pictures are files of the sweep's folder; SaveError."""

    def write(data: bytes) -> Json:
        digest = hashlib.sha256(data).hexdigest()
        path = folder / INPUTS / f"{digest}.png"
        if not path.is_file():
            write_whole(path, data)
        return {"sha256": digest}

    return task_to_json(request, write)


def take_request(folder: Path, values: object) -> GenerationRequest:
    """Return a request that `put_request` wrote; InputError."""

    def read(name: str, value: object) -> bytes:
        digest = cast("Mapping[str, object]", value).get("sha256") if isinstance(value, Mapping) else None
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise InputError(f"{name} is {shown(value)}, but it must be the sha256 of a file of the sweep.")
        try:
            data = (folder / INPUTS / f"{digest}.png").read_bytes()
        except OSError:
            data = b""
        if hashlib.sha256(data).hexdigest() != digest:
            raise InputError(f"{name} is missing from {folder / INPUTS} or was changed; begin the sweep again.")
        return data

    request = task_from_json(values, read)
    if not isinstance(request, GenerationRequest):
        raise InputError(f"The sweep holds a request of kind {request.kind}, but it must be one for a picture.")
    return request


def write_manifest(manifest: Manifest) -> None:
    """Write the manifest into its folder, as a whole or not at all; SaveError."""
    values = {
        "format": FORMAT,
        "version": VERSION,
        "kind": manifest.kind,
        "name": manifest.name,
        "created": manifest.created,
        "plan": manifest.plan,
        "parts": [{"what": part.what, "picture": part.picture, "error": part.error} for part in manifest.parts],
        "notes": list(manifest.notes),
        "owner": manifest.owner,
    }
    write_whole(manifest.path, json.dumps(values, ensure_ascii=False).encode())


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of a file, or of a sweep's folder; InputError."""
    path = path / FILE if path.is_dir() else path
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give the manifest.json of a sweep.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON; give the manifest.json of a sweep.") from error
    given = cast("dict[str, Any]", values) if isinstance(values, dict) else {}
    if given.get("format") != FORMAT or given.get("kind") not in FOLDERS:
        raise InputError(f"{path} is no manifest of a sweep; give the manifest.json of one.")
    if given.get("version") != VERSION:
        raise InputError(f"{path} was written by another version; begin the sweep again, or update ControlNet Studio.")
    try:
        return Manifest(
            folder=path.resolve().parent,
            kind=given["kind"],
            name=str(given["name"]),
            created=float(given["created"]),
            plan=_object(given["plan"]),
            parts=tuple(map(_part, cast("Sequence[Any]", given["parts"]))),
            notes=tuple(map(str, given["notes"])),
            owner=str(given.get("owner", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}); begin the sweep again.") from error


def _part(values: Any) -> Part:
    return Part(what=_object(values["what"]), picture=str(values["picture"]), error=str(values["error"]))


def _object(values: Any) -> Mapping[str, Any]:
    if not isinstance(values, dict):
        raise TypeError("an object is missing")
    return cast("dict[str, Any]", values)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it appears under its name only when all of it is on the disk; SaveError."""
    try:
        sweep_unfinished(path.parent)
        whole.write_whole(path, data)
    except OSError as error:
        raise SaveError(
            f"{path} cannot be written ({error.strerror or error}); make room there or choose another folder."
        ) from error
