"""Jobs and pictures that a visitor may see: all of this machine where only it can reach the app, else the visitor's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from annotators.base import shown
from cnet_app.jobs.library.search import Picture
from cnet_app.jobs.state import JobState
from cnet_app.ui.calls.context import Context, Visitor
from models.errors import InputError

MAX_IDS = 20_000
"""Pictures that one call names."""


def reach(context: Context, visitor: Visitor) -> str | None:
    """Return the session that a visitor's searches keep to; None finds the pictures of all."""
    return None if context.settings.is_local else visitor.session


def own_jobs(context: Context, visitor: Visitor) -> list[JobState]:
    """Return the visitor's running and waiting jobs; a visitor without a session has none."""
    return context.runner.active(visitor.session) if visitor.session else []


def seen_job(context: Context, visitor: Visitor, id: object) -> JobState:
    """Return a job as it stands. Raises InputError where there is none, and for one of another visitor of a public app."""
    state = context.runner.state(str(id))
    if (not visitor.session or state.session != visitor.session) and not context.settings.is_local:
        raise InputError(f"There is no job {shown(str(id))}; press Generate again.")
    return state


def seen_picture(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Picture:
    """Return the picture of {id}. Raises InputError where the visitor has none of this id."""
    return context.runner.library.get(str(values.get("id")), reach(context, visitor))


def chosen_ids(values: Mapping[str, Any]) -> list[str]:
    """Return {ids}. Raises InputError where none is given, or too many."""
    given = values.get("ids")
    ids = [str(id) for id in cast("list[object]", given)] if isinstance(given, list) else []
    if not ids:
        raise InputError("No picture is chosen; choose at least one.")
    if len(ids) > MAX_IDS:
        raise InputError(f"{len(ids)} pictures are chosen; the limit is {MAX_IDS}, choose fewer.")
    return ids
