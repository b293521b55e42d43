"""The recipe of any picture: ours first, then those of other programs."""

from __future__ import annotations

from pathlib import Path

from annotators.sources.picture_files import readable_name
from cnet_app.request.foreign.imported import Imported, import_recipe
from cnet_app.request.foreign.readers import READERS
from cnet_app.request.foreign.recipe import ForeignRecipe
from cnet_app.request.foreign.texts import Texts, read_texts
from cnet_app.request.recipe import CHUNK, Recipe, read_recipe
from models.errors import InputError


def read_picture(path: Path) -> Recipe | Imported:
    """Return our own recipe of a picture, else that of another program with its models matched.

    Raises InputError for a file that is no PNG, JPEG or WebP, and for one without a recipe that can be read.
    """
    texts = read_texts(path)
    if CHUNK in texts.values or CHUNK in texts.faults:
        return read_recipe(path)
    return import_recipe(read_foreign(texts, readable_name(path.name)))


def read_foreign(texts: Texts, name: str) -> ForeignRecipe:
    """Return the recipe that another program wrote. Raises InputError where there is none, or a damaged one alone."""
    faults: list[str] = []
    for reader in READERS:
        if reader.recognises(texts.values):
            try:
                return reader.read(texts.values)
            except InputError as fault:
                faults.append(str(fault).rstrip("."))
    faults += [f"its text {key!r} {reason}" for key, reason in texts.faults.items()]
    if faults:
        raise InputError(f"The recipe in {name} cannot be read: {faults[0]}.")
    raise InputError(
        f"{name} holds no recipe; choose a picture that was made here or by one of these, and not saved again since: "
        f"{', '.join(reader.program for reader in READERS)}."
    )
