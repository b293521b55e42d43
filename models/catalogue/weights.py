"""The folder of a catalogue row on this disk: found, required, or downloaded with progress. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.catalogue.catalog import CATALOG, Weights, entry
from models.catalogue.places import (
    download_hint,
    folders,
    local_folders,
    missing_files,
    needs,
    place_for,
    present,
    remedy,
)
from models.downloads.download import Progress, download
from models.environment import is_offline
from models.errors import DamagedError, MissingError
from models.files import HERE, check_file, read_shapes, sha256_of, short


def find(id: str) -> Path | None:
    """Return the folder that holds all files of a row whole, or None. Never uses the network."""
    return find_row(entry(id))


def fetch(id: str, progress: Progress | None = None) -> Path:
    """`find`, else download file by file; raises WeightsError. Called only for a download that the user asked for."""
    return fetch_row(entry(id), progress)


def require(id: str) -> Path:
    """Return the folder that holds all files of a row whole. Never uses the network.

    Raises MissingError, which names the files, their sizes and how to download them, or DamagedError.
    """
    return require_row(entry(id))


def find_row(row: Weights) -> Path | None:
    """`find` for a row that need not be in the catalogue."""
    return next((folder for folder, fault in _whole_folders(row) if fault is None), None)


def require_row(row: Weights) -> Path:
    """`require` for a row that need not be in the catalogue."""
    for folder, fault in _whole_folders(row):
        if fault is not None:
            raise fault
        return folder
    raise missing_error(row)


def fetch_row(row: Weights, progress: Progress | None = None) -> Path:
    """`fetch` for a row that need not be in the catalogue."""
    for folder, fault in _whole_folders(row):
        if fault is None:
            return folder
        # A damaged file in the cache is downloaded again; one that a user has put there is the user's.
        if row.folder or folder in local_folders(row) or is_offline():
            raise fault
    if row.folder or is_offline():
        raise missing_error(row)
    return download(row, progress)


def missing_error(row: Weights) -> MissingError:
    """Return the error of a row whose files are not on this disk: one sentence with names, sizes and what to do."""
    if row.folder:
        return MissingError(
            f"{row.title} ships with the project, but {missing_files(row)[0].name} is not in {short(place_for(row))}; restore it."
        )
    if is_offline():
        return MissingError(f"{needs(row)}, which is not here, and the app is offline; {remedy(row)}.")
    return MissingError(f"{needs(row)}, which is not here; {download_hint(row)}.")


@dataclass(frozen=True)
class Available:
    """One row in a list of models."""

    weights: Weights
    state: Literal["here", "missing", "damaged"]
    folder: Path
    """Where it is, or where to put it."""
    size: int | None
    """Bytes on this disk, else the catalogue's rounded number; None is unknown."""
    needs: str
    """One sentence on what to do where it is missing or damaged; else empty."""


def available_models() -> list[Available]:
    """Return every catalogue row with its place and state; reads headers only, never the network."""
    return [_available(row) for row in CATALOG]


def _available(row: Weights) -> Available:
    for folder, fault in _whole_folders(row):
        if fault is not None:
            return Available(row, "damaged", folder, row.size, str(fault))
        paths = {path for file in row.files if (path := present(folder, file))}
        return Available(row, "here", folder, sum(path.stat().st_size for path in paths), "")
    remedies = (
        f"{needs(row)}; {remedy(row)}."
        if row.repo
        else f"{row.title} ships with the project: restore {short(place_for(row))}."
    )
    return Available(row, "missing", place_for(row), row.size, remedies)


def _whole_folders(row: Weights) -> Iterator[tuple[Path, DamagedError | None]]:
    """Yield the folders that have every file of the row, each with the first fault found in it."""
    for folder in folders(row):
        paths = [present(folder, file) for file in row.files]
        if all(paths):
            try:
                for path in paths:
                    check_file(path) if path else None
            except DamagedError as fault:
                yield folder, fault
            else:
                yield folder, None


__all__ = [
    "HERE",
    "Available",
    "Progress",
    "available_models",
    "check_file",
    "fetch",
    "fetch_row",
    "find",
    "find_row",
    "local_folders",
    "missing_error",
    "present",
    "read_shapes",
    "require",
    "require_row",
    "sha256_of",
    "short",
]
