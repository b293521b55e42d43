"""The library: one row a finished picture, in the same file as the history and kept longer than the jobs.

Methods that take a `session` keep to the pictures of that session, and report others as unknown; None is the owner of the
machine, to whom all belong.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

from annotators.base import shown
from cnet_app.jobs.library.adopt import find_pictures, request_columns
from cnet_app.jobs.library.archive import write_zip
from cnet_app.jobs.library.database import Database
from cnet_app.jobs.library.picture_files import PictureFiles
from cnet_app.jobs.library.picture_rows import after_newest, insert_picture, parsed
from cnet_app.jobs.library.search import ORDERS, Board, Page, Picture, Query, check_page, of_session, where
from cnet_app.jobs.library.tables import remove_without_pictures, take_over
from cnet_app.request.generation import GenerationRequest
from models.downloads.whole import sweep_unfinished
from models.errors import InputError, SaveError

COLUMNS = (
    "id, job, image_index, path, created, day, session, kind, prompt, negative_prompt, base, conditions, width, height, "
    "seed, score, scores, favourite, board, deleted, missing"
)
TAKEN_AT_ONCE = 50
"""Jobs of version 1, or files without a row, that one transaction takes over."""
THUMBNAIL_BYTES = 500_000_000
"""Of all thumbnails, where nothing else is given."""
MAX_BOARD = 60
"""Characters of a board's name."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A picture that a job just made; its file is on the disk."""

    job: str
    session: str
    kind: str
    """Of the task."""
    request: GenerationRequest
    """The one that ran."""
    paths: tuple[str, ...]
    """Of all pictures that the job made so far; the last is this one's."""

    @property
    def columns(self) -> dict[str, object]:
        """What `pictures` has of it."""
        index = len(self.paths) - 1
        columns = request_columns(self.request.only_picture(index))
        if self.kind != GenerationRequest.kind:  # its units are not the user's
            columns |= {"kind": self.kind, "conditions": ""}
        return columns | {"job": self.job, "session": self.session, "image_index": index}


class Library:
    """Finished pictures: search, favourites, boards, trash, scores. Thread-safe."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        changed: Callable[[], None] = lambda: None,
        thumbnail_bytes: int = THUMBNAIL_BYTES,
    ) -> None:
        """`folder` is that of the pictures, where what killed processes left is removed.

        `changed` is called after every change.
        """
        sweep_unfinished(folder)
        self._database, self._changed = database, changed
        self._files = PictureFiles(folder, thumbnail_bytes)
        self._completing = threading.Lock()
        self._is_complete = False
        self._beginnings = 0

    def add(self, made: Made) -> str:
        """Add a picture and return its id; the job's own row lists it in the same moment.

        Raises SaveError; it is added with the next write that succeeds, then.
        """
        path = Path(made.paths[-1]).relative_to(self._files.folder).as_posix()
        id, now = secrets.token_hex(8), time.time()
        columns = made.columns | {"path": path, "id": id}

        def write(connection: sqlite3.Connection) -> None:
            insert_picture(connection, columns | after_newest(connection, now))
            connection.execute("UPDATE jobs SET paths = ? WHERE id = ?", (json.dumps(made.paths), made.job))

        self._database.write_surely(write)
        self._changed()
        return id

    def search(self, query: Query | None = None, offset: int = 0, limit: int = 100) -> Page:
        """Return one page of the pictures that a search finds; those whose files are gone are left out."""
        check_page(offset, limit)
        self._complete()
        query = query or Query()
        found = where(query)
        listed = f"SELECT {COLUMNS} FROM pictures WHERE {found.sql} ORDER BY {ORDERS[query.sort]} LIMIT ? OFFSET ?"
        counted = f"SELECT day, count(*) FROM pictures WHERE {found.sql} GROUP BY day ORDER BY day DESC"
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(listed, (*found.values, limit, offset)).fetchall()
                days = tuple(connection.execute(counted, found.values).fetchall())
            pictures = tuple(map(self._picture, rows))
            gone = [picture.id for picture in pictures if not picture.path.is_file()]
            if not gone:
                return Page(pictures=pictures, total=sum(count for _, count in days), days=days)
            try:  # those that were deleted or restored in the meantime only moved
                self._set(gone, {"missing": 1}, f"AND deleted IS {'NOT ' if query.deleted else ''}NULL")
            except SaveError:  # a disk without room still shows what is there
                there = tuple(picture for picture in pictures if picture.id not in gone)
                return Page(pictures=there, total=sum(count for _, count in days), days=days)

    def get(self, id: str, session: str | None = None) -> Picture:
        """Return a picture, a deleted one too; InputError where there is none of this id."""
        return self._all([id], session)[0]

    def set_favourite(self, ids: Sequence[str], favourite: bool, session: str | None = None) -> None:
        """Mark pictures as favourites, or no longer; InputError where one is unknown."""
        self._change(ids, {"favourite": int(favourite)}, session)

    def set_board(self, ids: Sequence[str], board: str, session: str | None = None) -> None:
        """Put pictures on a board, which exists while one is on it; an empty name takes them off. Raises InputError."""
        if len(board) > MAX_BOARD or not board.isprintable() or board != board.strip():
            raise InputError(
                f"The board is named {shown(board)}, but a name has at most {MAX_BOARD} characters, all of them visible, "
                "and no space at its ends; choose another name."
            )
        self._change(ids, {"board": board}, session)

    def set_scores(self, picture_id: str, scores: Mapping[str, float], session: str | None = None) -> None:
        """Keep how well a picture followed its control images: 0 to 1 each, by condition; none clears them.

        Raises InputError.
        """
        for name, value in scores.items():
            if not 0 <= value <= 1:  # not for NaN either
                raise InputError(f"The score of {name} is {shown(value)}, but it must be a number from 0 to 1.")
        mean = sum(scores.values()) / len(scores) if scores else None
        self._change([picture_id], {"score": mean, "scores": json.dumps(dict(scores))}, session)

    def boards(self, session: str | None = None) -> tuple[Board, ...]:
        """Return the boards by name."""
        return tuple(Board(name=name, count=count) for name, count in self._count("board", session))

    def bases(self, session: str | None = None) -> tuple[str, ...]:
        """Return the base models of the pictures, the most used first."""
        counted = sorted(self._count("base", session), key=lambda pair: -pair[1])
        return tuple(name for name, _ in counted)

    def delete(self, ids: Sequence[str], session: str | None = None) -> None:
        """Move pictures to the trash, from which `restore` brings them back. Raises InputError and SaveError."""
        chosen = [picture for picture in self._all(ids, session) if picture.deleted is None]
        # Marked first: a picture that is cut off here is in the trash by its row and still in its place.
        names = self._names([picture.id for picture in chosen])
        self._set(list(names), {"deleted": time.time()})
        for place, (id, name) in enumerate(names.items()):
            try:
                self._files.throw_away(id, name)
            except SaveError:
                self._set(list(names)[place:], {"deleted": None})
                raise

    def restore(self, ids: Sequence[str], session: str | None = None) -> None:
        """Bring pictures back from the trash. Raises InputError and SaveError."""
        deleted = [picture.id for picture in self._all(ids, session) if picture.deleted is not None]
        for id, name in self._names(deleted).items():
            path = self._files.bring_back(id, name)
            self._set([id], {"deleted": None, "missing": 0, "path": path})

    def empty_trash(self, older_than: float = 0.0, session: str | None = None) -> int:
        """Remove for good what was deleted more than `older_than` seconds ago; return how many. Raises SaveError."""
        term, values = of_session(session)
        query = f"SELECT id, path, job FROM pictures WHERE deleted <= ? {f'AND {term}' if term else ''}"
        with self._database.reading() as connection:
            rows = connection.execute(query, (time.time() - older_than, *values)).fetchall()
        for id, name, job in rows:
            self._files.remove(id, name)
            self._forget({id: job})
        self._changed()
        return len(rows)

    def trim(self, session: str | None, max_bytes: int) -> int:
        """Remove for good the oldest pictures of a session, favourites last, until the others have `max_bytes` at most.

        None is all sessions together. Return how many were removed. Raises SaveError.
        """
        term, values = ("1", ()) if session is None else ("session = ?", (session,))
        query = f"SELECT id, path, job, deleted FROM pictures WHERE {term} ORDER BY favourite DESC, created DESC"
        with self._database.reading() as connection:
            rows = connection.execute(query, values).fetchall()
        held, excess = 0, dict[str, str]()
        for id, name, job, deleted in rows:
            with suppress(OSError):
                held += self._files.path(id, name, deleted is not None).stat().st_size
            if held > max_bytes:
                self._files.remove(id, name)
                excess[id] = job
        if excess:
            self._forget(excess)
            self._changed()
        return len(excess)

    def _forget(self, jobs: Mapping[str, str]) -> None:
        """Remove the rows of pictures, which are given with their jobs, and those of jobs that have none left."""
        with self._database.writing() as connection:
            connection.execute(
                "DELETE FROM pictures WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(jobs)),)
            )
            remove_without_pictures(connection, set(jobs.values()))

    def zip_to(self, ids: Sequence[str], path: Path, session: str | None = None) -> None:
        """Write pictures and a JSON file with the recipe of each to a new ZIP file, whole or not at all.

        Raises InputError where one is unknown or its file is gone, and SaveError.
        """
        write_zip(self._all(ids, session), path)

    def thumbnail(self, id: str, session: str | None = None) -> Path:
        """Return a WebP of at most 256 px, which is made once. Raises InputError, also for a broken file, and SaveError."""
        picture = self.get(id, session)
        return self._files.thumbnail(picture.id, picture.path)

    def _complete(self) -> None:
        """Once for a file: take over what version 1 has left, find pictures that came back, and those without a row."""
        with self._completing:
            if self._is_complete and self._beginnings == self._database.beginnings:
                return
            self._beginnings = self._database.beginnings
            self._take_over()
            self._find_again()
            self._adopt()
            self._is_complete = True

    def _take_over(self) -> None:
        listed = -1
        while True:  # a transaction each, so that no running job waits for long
            with self._database.writing() as connection:
                (now,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
                if now == listed:
                    break
                listed = now
                take_over(connection, now + TAKEN_AT_ONCE)

    def _find_again(self) -> None:
        with self._database.reading() as connection:
            rows = connection.execute(f"SELECT {COLUMNS} FROM pictures WHERE missing = 1").fetchall()
        back = [picture.id for picture in map(self._picture, rows) if picture.path.is_file()]
        if back:
            self._set(back, {"missing": 0})

    def _adopt(self) -> None:
        """Give pictures that are in the folder alone their rows."""
        with self._database.reading() as connection:
            known = {name for (name,) in connection.execute("SELECT path FROM pictures")}
        found = find_pictures(self._files.folder, known)
        while some := list(islice(found, TAKEN_AT_ONCE)):
            with self._database.writing() as connection:
                for columns in some:
                    insert_picture(connection, columns)

    def _count(self, column: str, session: str | None) -> list[tuple[str, int]]:
        """Return the values of a column, except the empty one, with the number of pictures."""
        self._complete()
        found = where(Query(session=session))
        query = f"SELECT {column}, count(*) FROM pictures WHERE {found.sql} AND {column} != '' GROUP BY {column}"
        with self._database.reading() as connection:
            return connection.execute(query, found.values).fetchall()

    def _all(self, ids: Sequence[str], session: str | None) -> list[Picture]:
        """Return the pictures in the order of their ids, each once; InputError where one is unknown to the session."""
        term, values = of_session(session)
        query = f"SELECT {COLUMNS} FROM pictures WHERE id IN (SELECT value FROM json_each(?)) {f'AND {term}' if term else ''}"
        with self._database.reading() as connection:
            rows = connection.execute(query, (json.dumps(list(ids)), *values)).fetchall()
        found = {picture.id: picture for picture in map(self._picture, rows)}
        for id in ids:
            if id not in found:
                raise InputError(f"There is no picture {shown(id)} in the library; choose another one.")
        return [found[id] for id in dict.fromkeys(ids)]

    def _change(self, ids: Sequence[str], columns: Mapping[str, object], session: str | None) -> None:
        self._all(ids, session)
        self._set(ids, columns)

    def _set(self, ids: Sequence[str], columns: Mapping[str, object], only: str = "") -> None:
        changes = ", ".join(f"{name} = ?" for name in columns)
        statement = f"UPDATE pictures SET {changes} WHERE id IN (SELECT value FROM json_each(?)) {only}"
        with self._database.writing() as connection:
            connection.execute(statement, (*columns.values(), json.dumps(list(ids))))
        self._changed()

    def _names(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the paths in the folder that pictures have, or had before they were deleted."""
        query = "SELECT id, path FROM pictures WHERE id IN (SELECT value FROM json_each(?))"
        with self._database.reading() as connection:
            found = dict(connection.execute(query, (json.dumps(list(ids)),)).fetchall())
        return {id: found[id] for id in ids}

    def _picture(self, row: tuple[Any, ...]) -> Picture:
        values: dict[str, Any] = dict(zip(COLUMNS.split(", "), row, strict=True))
        scores = parsed(values["scores"])
        values["index"] = values.pop("image_index")
        values["conditions"] = tuple(id for id in values["conditions"].split(", ") if id)
        values["scores"] = cast("dict[str, float]", scores) if isinstance(scores, dict) else {}
        values["favourite"], values["missing"] = bool(values["favourite"]), bool(values["missing"])
        values["path"] = self._files.path(values["id"], values["path"], values["deleted"] is not None)
        return Picture(**values)
