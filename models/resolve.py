"""What an id means: a row, a file or a folder, its family, and which files are missing. Loads no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from models.catalog import CATALOG, Kind, entry, hub_entry
from models.families import FAMILIES, Defaults, Family, family_of
from models.local import LocalFile, find_local
from models.own import HUB_ID
from models.row import Weights
from models.weights import find_row


@dataclass(frozen=True)
class Resolved:
    """A model that a user has named."""

    id: str
    kind: Kind
    row: Weights | None
    path: Path | None
    family: Family | None
    defaults: Defaults


def resolve(id: str, kind: Kind, family: Family | None = None) -> Resolved:
    """Stopgap."""
    row = next(
        (
            row
            for row in CATALOG
            if id in (row.id, row.repo) and (row.kind == kind or (kind == "controlnet" and row.kind == "adapter"))
        ),
        None,
    )
    local = None
    if row is None and kind in ("base", "controlnet", "lora", "vae", "embedding"):
        local = find_local(kind, id)
    path = find_row(row) if row else local or (Path(id) if Path(id).exists() else None)
    if row is None and path is None and HUB_ID.fullmatch(id):
        row = hub_entry(id, kind)
        path = find_row(row)
    found = row.family if row else None
    if kind == "base":
        if row and row.id in FAMILIES:
            found = row.id
        elif path and path.is_file():
            found = LocalFile(path, "base").family
        elif path:
            found = family_of(json.loads((path / "unet" / "config.json").read_text()))
    defaults = (row and row.defaults) or (FAMILIES[found].defaults if found else Defaults(512, 7.5, 30))
    return Resolved(id, kind, row, path, found, defaults)


def missing(resolved: Resolved) -> tuple[Weights, ...]:
    """Stopgap."""
    return (resolved.row,) if resolved.row and resolved.path is None else ()


def expected_bytes(id: str) -> int:
    """The catalogue's size of a row; 0 where it has none."""
    return next((row.size or 0 for row in CATALOG if row.id == id), 0)


def row_to_download(id: str) -> Weights:
    """Stopgap."""
    return entry(id) if "/" not in id else hub_entry(id, "base")
