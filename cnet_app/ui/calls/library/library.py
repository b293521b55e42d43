"""The library of finished pictures: searched, shown small, marked, put on boards, deleted and brought back, packed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from annotators.base import shown
from cnet_app.jobs.library.search import Picture, Query
from cnet_app.request.recipe import read_recipe
from cnet_app.ui.calls.access import chosen_ids, reach, seen_picture
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.library.recipe_words import recipe_words
from models.errors import InputError, SaveError

LOG = logging.getLogger(__name__)
PAGE = 100
"""Pictures of one answer, where the call names no other number."""
MAX_THUMBNAILS = 200
"""Thumbnails of one call."""
MAX_ZIP_BYTES = 500_000_000
"""Of the pictures that one ZIP file packs."""


def library(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Search: {query, offset, limit, mine} → {pictures, total, days: [[day, count]]}.

    `query` has the fields of cnet_app.jobs.library.search.Query but the session; `mine` leaves out what other browsers of this
    machine made.
    """
    session = visitor.session if values.get("mine") else reach(context, visitor)
    query = read_query(values.get("query") or {}, session)
    offset, limit = (_whole(name, values.get(name, default)) for name, default in (("offset", 0), ("limit", PAGE)))
    page = context.runner.library.search(query, offset, limit)
    pictures = [describe_picture(context, picture) for picture in page.pictures]
    return {"pictures": pictures, "total": page.total, "days": [list(day) for day in page.days]}


def read_query(values: Mapping[str, Any], session: str | None) -> Query:
    """Return the search that the page describes. Raises InputError for a value that cannot be."""
    score = values.get("min_score")
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float)):
        raise InputError(f"min_score is {shown(score)}, but it must be a number from 0 to 1.")
    return Query(
        text=str(values.get("text") or ""),
        conditions=tuple(str(id) for id in values.get("conditions") or ()),
        base=str(values.get("base") or ""),
        board=str(values.get("board") or ""),
        favourites=bool(values.get("favourites")),
        min_score=score,
        deleted=bool(values.get("deleted")),
        sort=values.get("sort") or "newest",
        session=session,
    )


def shelves(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """List what the library can be filtered by: {boards: [{name, count}], bases}."""
    session, shelf = reach(context, visitor), context.runner.library
    boards = [{"name": board.name, "count": board.count} for board in shelf.boards(session)]
    return {"boards": boards, "bases": list(shelf.bases(session))}


def thumbnails(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Return the files of small pictures: {ids} → {paths: {id: path}}; without those whose files are gone or broken.

    Where a small one cannot be written, the picture itself takes its place.
    """
    ids, session = chosen_ids(values), reach(context, visitor)
    if len(ids) > MAX_THUMBNAILS:
        raise InputError(f"{len(ids)} thumbnails are wanted at once; the limit is {MAX_THUMBNAILS}, ask for fewer.")
    paths: dict[str, str] = {}
    for id in ids:
        with suppress(InputError):
            paths[id] = context.refer(str(_small(context, id, session)))
    return {"paths": paths}


def _small(context: Context, id: str, session: str | None) -> Path:
    shelf = context.runner.library
    try:
        return shelf.thumbnail(id, session)
    except SaveError as error:
        LOG.warning("%s", error)
        return shelf.get(id, session).path


def details(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Describe one picture, {id}: what `describe_picture` has, its scores a unit, and its recipe in words."""
    picture = seen_picture(context, visitor, values)
    described = describe_picture(context, picture)
    try:
        recipe = read_recipe(picture.path)
    except InputError as error:
        return described | {"scores": [], "recipe": [], "reason": str(error)}
    scores = [one.to_json() for one in recipe.scores]
    return described | {"scores": scores, "recipe": recipe_words(recipe), "reason": ""}


def favour(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Mark pictures as favourites, or no longer: {ids, favourite}."""
    context.runner.library.set_favourite(chosen_ids(values), bool(values.get("favourite")), reach(context, visitor))
    return {}


def board(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Put pictures on a board: {ids, board}; an empty name takes them off."""
    name = str(values.get("board") or "").strip()
    context.runner.library.set_board(chosen_ids(values), name, reach(context, visitor))
    return {"board": name}


def delete(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Move pictures to the trash: {ids}."""
    context.runner.library.delete(chosen_ids(values), reach(context, visitor))
    return {}


def restore(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Bring pictures back from the trash: {ids} → {pictures}, whose files may have other names now."""
    ids, session, shelf = chosen_ids(values), reach(context, visitor), context.runner.library
    shelf.restore(ids, session)
    return {"pictures": [describe_picture(context, shelf.get(id, session)) for id in ids]}


def empty_trash(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Remove for good what is in the trash → {removed}, their number."""
    return {"removed": context.runner.library.empty_trash(session=reach(context, visitor))}


def pack(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Write pictures and their recipes to a ZIP file: {ids} → {path, name}."""
    ids, session, shelf = chosen_ids(values), reach(context, visitor), context.runner.library
    size = sum(_bytes(shelf.get(id, session).path) for id in dict.fromkeys(ids))
    if size > MAX_ZIP_BYTES:
        raise InputError(
            f"The chosen pictures have {size / 1e6:.0f} MB; the limit of a ZIP file is {MAX_ZIP_BYTES / 1e6:.0f} MB, "
            "choose fewer."
        )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.zip"
        shelf.zip_to(ids, path, session)
        return {"path": context.serve_file(path.read_bytes(), path.name), "name": path.name}


def describe_picture(context: Context, picture: Picture) -> Object:
    """Return a picture as the page lists it; `agreements` are the scores by condition, 0 to 1."""
    return {
        "id": picture.id,
        "job": picture.job,
        "path": context.refer(str(picture.path)),
        "created": picture.created,
        "day": picture.day,
        "kind": picture.kind,
        "prompt": picture.prompt,
        "base": picture.base,
        "conditions": list(picture.conditions),
        "width": picture.width,
        "height": picture.height,
        "seed": picture.seed,
        "score": picture.score,
        "agreements": dict(picture.scores),
        "favourite": picture.favourite,
        "board": picture.board,
        "deleted": picture.deleted is not None,
    }


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # packing names the file that is gone
        return 0


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} is {shown(value)}, but it must be a whole number.")
    return value
