"""The catalogue: one frozen row per base model, ControlNet, adapter, autoencoder and annotator network. Loads no torch.

The type of a row is in row.py. Rows of a family are in its file in models/families/, all others in rows.py; licences.py states the
permitted use under each licence.
"""

from __future__ import annotations

from collections.abc import Iterable

from models.catalogue.row import (
    COMPONENTS,
    COMPONENTS_XL,
    File,
    Kind,
    Weights,
    folder_files,
    network_files,
    size_text,
)
from models.catalogue.rows import ROWS
from models.families import TITLES
from models.family_facts import Defaults, Family
from models.names import did_you_mean

CATALOG: tuple[Weights, ...] = ROWS


def entry(id: str) -> Weights:
    """Return the row of an id; raises LookupError with a sentence that names the nearest ids."""
    for row in CATALOG:
        if row.id == id:
            return row
    raise no_weights(id, CATALOG)


def no_weights(id: str, rows: Iterable[Weights]) -> LookupError:
    """Return the error of an id that is none of these rows'."""
    hint = did_you_mean(id, (row.id for row in rows))
    return LookupError(f"There are no weights {id!r}{hint}; `python -m cnet_app models list` shows all.")


def hub_entry(repo: str, kind: Kind, components: Iterable[str] = ()) -> Weights:
    """A row for a repository the catalogue does not know; a base starts with its model index alone."""
    files = folder_files(components) if kind == "base" else network_files()
    return Weights(id=repo, kind=kind, title=repo, repo=repo, licence="unknown", files=files)


__all__ = [
    "CATALOG",
    "COMPONENTS",
    "COMPONENTS_XL",
    "TITLES",
    "Defaults",
    "Family",
    "File",
    "Kind",
    "Weights",
    "entry",
    "hub_entry",
    "no_weights",
    "size_text",
]
