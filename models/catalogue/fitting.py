"""Which rows and files fit a family of base models: what is offered with a base, and what is refused before a download."""

from __future__ import annotations

from models.catalogue.local import LocalFile, LocalKind, local_files
from models.catalogue.own import known_rows
from models.catalogue.row import Kind, Weights
from models.errors import InputError
from models.families import TITLES, takers
from models.family_facts import Family


def made_for(thing: Weights | LocalFile) -> tuple[Family, ...]:
    """Return the families that it fits; empty where neither row nor file tells."""
    several = thing.families if isinstance(thing, Weights) else ()
    own = (thing.family,) if thing.family else several
    shared = thing.kind in ("controlnet", "lora")
    return tuple(taker for family in own for taker in takers(family)) if shared else own


def fits(thing: Weights | LocalFile, family: Family) -> bool:
    """Return whether it was made for this family, or for one that neither row nor file tells: then loading decides."""
    fitting = made_for(thing)
    return not fitting or family in fitting


def fitting_rows(kind: Kind, family: Family) -> list[Weights]:
    """Return the rows of a kind, the catalogue's and the user's own, that fit a family."""
    return [row for row in known_rows() if row.kind == kind and fits(row, family)]


def fitting_files(kind: LocalKind, family: Family) -> list[LocalFile]:
    """Return the files in the kind's folders that fit a family."""
    return [file for file in local_files(kind) if fits(file, family)]


def check_fit(row: Weights, family: Family) -> None:
    """Raise InputError for a row of another family, before anything of it is downloaded."""
    if fits(row, family):
        return
    others = ", ".join(other.id for other in fitting_rows(row.kind, family)) or "none"
    made = " and ".join(TITLES[one] for one in made_for(row))
    raise InputError(
        f"{row.title} ({row.id}) is made for {made}, but the base is {TITLES[family]}; for that there are: {others}."
    )
