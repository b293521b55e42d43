"""Search in the library: what is asked, what comes back, and the SQL in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

from annotators.base import shown
from cnet_app.jobs.library.picture_rows import prompt_words
from models.errors import InputError

Sort: TypeAlias = Literal["newest", "oldest", "score"]
SORTS: tuple[str, ...] = get_args(Sort)
ORDERS: Mapping[str, str] = MappingProxyType(
    {
        "newest": "created DESC, number DESC",
        "oldest": "created, number",
        "score": "score DESC, created DESC, number DESC",  # those without a score come last
    }
)
MAX_LIMIT = 1000
"""Pictures of one page."""
MAX_TEXT = 1000
"""Characters of a search."""
MAX_OFFSET = 2**31


@dataclass(frozen=True, kw_only=True)
class Query:
    """A search. Every field that is not at its default leaves pictures out."""

    text: str = ""
    """Beginnings of words of the prompt: all of them, in any order; upper and lower case are the same."""
    conditions: tuple[str, ...] = ()
    """Ids of cnet_app.registry.conditions, all of which the picture has."""
    base: str = ""
    board: str = ""
    favourites: bool = False
    min_score: float | None = None
    """0 to 1; pictures without a score are left out."""
    deleted: bool = False
    """Search in the trash instead."""
    sort: Sort = "newest"
    session: str | None = None
    """The only session whose pictures are found; None finds those of all, an empty string none."""

    def __post_init__(self) -> None:
        if self.sort not in SORTS:
            raise InputError(f"sort is {shown(self.sort)}, but it must be one of: {', '.join(SORTS)}.")
        if len(self.text) > MAX_TEXT:
            raise InputError(
                f"The search has {len(self.text)} characters, but at most {MAX_TEXT} are read; shorten it."
            )
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise InputError(f"min_score is {shown(self.min_score)}, but it must be a number from 0 to 1.")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A finished picture."""

    id: str
    job: str
    index: int
    """Its place among the pictures of the job, from 0."""
    path: Path
    """Where the file is: of a deleted picture in the trash."""
    created: float
    """Seconds since 1970."""
    day: str
    """YYYY-MM-DD, on this machine's clock."""
    session: str
    kind: str
    """Of the task: generation or upscale."""
    prompt: str
    negative_prompt: str
    base: str
    conditions: tuple[str, ...]
    width: int | None
    height: int | None
    """In pixels; None where an earlier version did not keep them."""
    seed: int | None
    """Its own, not the job's."""
    score: float | None
    """Mean of `scores`, 0 to 1; None where it was not measured."""
    scores: Mapping[str, float]
    """By condition or unit, 0 to 1."""
    favourite: bool
    board: str
    """Empty where it is on none."""
    deleted: float | None
    """When it was deleted, in seconds since 1970."""
    missing: bool
    """The file was not there when it was last looked for."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of what a search found."""

    pictures: tuple[Picture, ...]
    total: int
    """Pictures that the search found, on all pages."""
    days: tuple[tuple[str, int], ...]
    """Every day with the number of its pictures that were found, the newest day first."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board by its name, with the number of its pictures."""

    name: str
    count: int


@dataclass(frozen=True)
class Where:
    """A condition in SQL and the values of its places."""

    sql: str
    values: tuple[object, ...]


def where(query: Query) -> Where:
    """Return the rows of `pictures` that a search finds. The first two terms are those of the indexes."""
    terms: list[tuple[str, Sequence[object]]] = [
        (f"deleted IS {'NOT ' if query.deleted else ''}NULL AND missing = 0", ()),
        of_session(query.session),
    ]
    # The columns hold a space or a comma before each item, so that a search never begins inside of one.
    terms += [("instr(words, ?)", (f" {word}",)) for word in prompt_words(query.text)]
    terms += [("instr(', ' || conditions || ',', ?)", (f", {id},",)) for id in query.conditions]
    terms += [(f"{name} = ?", (value,)) for name, value in (("base", query.base), ("board", query.board)) if value]
    if query.board:
        terms.append(("board != ''", ()))
    if query.favourites:
        terms.append(("favourite = 1", ()))
    if query.min_score is not None:
        terms.append(("score >= ?", (query.min_score,)))
    return Where(" AND ".join(sql for sql, _ in terms if sql), tuple(value for _, values in terms for value in values))


def of_session(session: str | None) -> tuple[str, tuple[object, ...]]:
    """Return the term that keeps a session to its own pictures; nobody's session is empty."""
    if session is None:
        return "", ()
    return ("session = ?", (session,)) if session else ("0", ())


def check_page(offset: int, limit: int) -> None:
    """Raise InputError for a page that cannot be."""
    if not 0 <= offset <= MAX_OFFSET:
        raise InputError(f"offset is {offset}, but it must be a whole number from 0 to {MAX_OFFSET}.")
    if not 1 <= limit <= MAX_LIMIT:
        raise InputError(f"limit is {limit}, but it must be a whole number from 1 to {MAX_LIMIT}.")
