"""Checksums of files: compared with the catalogue's, else with the one noted when the file first came. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.catalogue.places import fullest_folder, own_folder, present
from models.catalogue.row import File, Weights
from models.downloads.ledger import read_ledger, write_ledger
from models.errors import DamagedError
from models.files import check_file, damaged, sha256_of, short

LEDGER = "checksums.json"
State = Literal["right", "recorded now", "damaged", "missing"]


@dataclass(frozen=True)
class Checked:
    """Result for one file."""

    row: Weights
    name: str
    state: State
    path: Path | None = None
    sha256: str | None = None
    """Checksum it has now; None where it was not read to the end."""
    fault: str = ""
    """One sentence where it is damaged."""


def recorded_sha256(row: Weights, file: File) -> str | None:
    """Return the checksum noted of the file, under the first of its names that has one; else None."""
    noted = read_ledger(LEDGER)
    return next((noted[key] for name in file.names if (key := _key(row, name)) in noted), None)


def record(row: Weights, sums: Mapping[str, str]) -> None:
    """Note checksums of the row's files by name, except those that the catalogue has."""
    known = {name for file in row.files if file.sha256 for name in file.names}
    new = {_key(row, name): sha256 for name, sha256 in sums.items() if name not in known}
    noted = read_ledger(LEDGER)
    if any(noted.get(key) != sha256 for key, sha256 in new.items()):
        write_ledger(LEDGER, noted | new)


def check_sha256(found: str, path: Path, row: Weights, file: File, name: str) -> None:
    """Raise DamagedError where the file at `path` has this checksum, and another was expected."""
    if is_expected(found, row, file, name):
        return
    if file.sha256:
        raise damaged(path, "its checksum is wrong")
    raise DamagedError(
        f"{path.name} in {short(path.parent)} is damaged or was replaced: its checksum has changed; "
        f"delete it and download it again, or {forget_hint()}."
    )


def is_expected(found: str, row: Weights, file: File, name: str) -> bool:
    """Return whether a file may have this checksum: it is the catalogue's, else the one noted, or none is known."""
    return (file.sha256 or read_ledger(LEDGER).get(_key(row, name))) in (None, found)


def forget_hint() -> str:
    """Return how another file is accepted in place of the one that was noted, as a clause."""
    return f"remove its line from {short(own_folder() / LEDGER)} if it is right"


def verify(row: Weights, on_file: Callable[[Path], None] = lambda path: None) -> list[Checked]:
    """Read every file of a row to its end and compare. Checksums that were not known are noted for the next time."""
    folder = fullest_folder(row)
    found: dict[str, Checked] = {}  # one file may serve for several of a row's
    for file in row.files:
        path = present(folder, file) if folder else None
        if folder is None or path is None:
            found[file.name] = Checked(row, file.name, "missing")
        elif (name := path.relative_to(folder).as_posix()) not in found:
            on_file(path)
            found[name] = _check(row, file, name, path)
    record(row, {name: one.sha256 for name, one in found.items() if one.sha256 and one.state == "recorded now"})
    return list(found.values())


def distinct(rows: Iterable[Weights]) -> list[Weights]:
    """Return the rows without those that have the same files as one before them."""
    first: dict[object, Weights] = {}
    for row in rows:
        first.setdefault((row.repo, row.folder, row.revision, row.files), row)
    return list(first.values())


def _check(row: Weights, file: File, name: str, path: Path) -> Checked:
    try:
        check_file(path)
        sha256 = sha256_of(path)
        check_sha256(sha256, path, row, file, name)
    except DamagedError as fault:
        return Checked(row, name, "damaged", path, fault=str(fault))
    known = file.sha256 or _key(row, name) in read_ledger(LEDGER)
    state: State = "right" if known else "recorded now"
    return Checked(row, name, state, path, sha256)


def _key(row: Weights, name: str) -> str:
    return f"{row.repo}@{row.revision}/{name}" if row.repo else f"{row.folder}/{name}"
