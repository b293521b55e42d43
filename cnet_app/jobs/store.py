"""The history of jobs in one SQLite file, which survives a killed process.

A job is a row of columns that are listed and searched. Its request is JSON in the same row, in which each picture is its
sha256; the pictures are in a table of their own, each content once. Listing reads neither.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from annotators.base import shown
from cnet_app.jobs.library.database import Database
from cnet_app.jobs.library.picture_rows import parsed
from cnet_app.jobs.library.tables import count_jobs, insert_job, remove_oldest, request_text, take_over
from cnet_app.jobs.state import Status
from cnet_app.request.maps import MapRequest
from cnet_app.request.plain import from_base64
from cnet_app.request.tasks import Task, task_from_text, task_to_json
from cnet_app.request.upscale import UpscaleRequest
from models.errors import InputError

KEPT, KEPT_BYTES = 1000, 1_000_000_000
"""Jobs that the history holds, and bytes of their photos and maps; the pictures they made stay on the disk."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One job as the history lists it. Its request is loaded by `Store.request`."""

    id: str
    kind: str
    """Of the task, one that this version does not know included."""
    schema: int
    """That the request was written with."""
    created: float
    """Seconds since 1970."""
    status: Status
    session: str
    """Of the user who asked for it; empty where it is not known."""
    prompt: str
    base: str
    conditions: str
    """Ids, joined by a comma and a space."""
    width: int | None
    height: int | None
    """In pixels, of what was to be made; None where the kind has none."""
    num_images: int | None
    seed: int | None
    seconds: float | None
    """How long it ran; None where it did not end."""
    error: str
    paths: tuple[str, ...]
    """Pictures it made; a user may have deleted some since."""
    scores: Mapping[str, float]
    """Mean agreement of its pictures, 0 to 1, by condition."""


_COLUMNS = ", ".join(Record.__dataclass_fields__)


class Store:
    """Opens or creates the file; jobs that a killed process left behind become `interrupted`. Safe between threads."""

    def __init__(self, path: Path, kept: int = KEPT, kept_bytes: int = KEPT_BYTES) -> None:
        """Open the file. One that is damaged or of a newer version is moved aside. Raises SaveError."""
        self._kept, self._kept_bytes = kept, kept_bytes
        self.database = Database(path)

    def add(self, id: str, task: Task, session: str = "") -> None:
        """Add a new job, queued, and remove the oldest where there are too many; raises SaveError."""
        columns: dict[str, object] = {"id": id, "created": time.time(), "status": "queued", "session": session}
        if isinstance(task, MapRequest | UpscaleRequest):
            columns["width"], columns["height"] = task.size
        with self.database.writing() as connection:
            insert_job(connection, columns, lambda put: task_to_json(task, put))
            remove_oldest(connection, self._kept, self._kept_bytes)

    def update(
        self,
        id: str,
        status: Status,
        paths: Sequence[str] | None = None,
        error: str | None = None,
        seconds: float | None = None,
        scores: Mapping[str, float] | None = None,
    ) -> None:
        """Write down how a job stands; None leaves a column as it is.

        Raises SaveError; it is written with the next write that succeeds, then.
        """
        values = {
            "status": status,
            "paths": None if paths is None else json.dumps(list(paths)),
            "error": error,
            "seconds": seconds,
            "scores": None if scores is None else json.dumps(dict(scores)),
        }
        given = {name: value for name, value in values.items() if value is not None}
        changes = ", ".join(f"{name} = ?" for name in given)
        statement = f"UPDATE jobs SET {changes} WHERE id = ?"
        self.database.write_surely(lambda connection: connection.execute(statement, (*given.values(), id)))

    def set_scores(self, id: str, scores: Mapping[str, float]) -> None:
        """Write down the scores of a job, in whatever state it is. Raises SaveError."""
        with self.database.writing() as connection:
            connection.execute("UPDATE jobs SET scores = ? WHERE id = ?", (json.dumps(dict(scores)), id))

    def recent(self, limit: int = 50, session: str = "") -> list[Record]:
        """The newest jobs, newest first: of a session, or where it is empty of all."""
        return self.page(0, limit, session)

    def page(self, offset: int, limit: int, session: str = "") -> list[Record]:
        """At most `limit` jobs, newest first, without the newest `offset` ones; raises SaveError."""
        where, values = ("WHERE session = ? ", (session,)) if session else ("", ())
        with self.database.writing() as connection:  # jobs of version 1 get their row when they are first listed
            if not session:  # they have none
                take_over(connection, offset + limit)
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM jobs {where}ORDER BY number DESC LIMIT ? OFFSET ?", (*values, limit, offset)
            ).fetchall()
        return [_record(row) for row in rows]

    def get(self, id: str) -> Record:
        """The job of an id; raises InputError where there is none, and SaveError."""
        with self.database.writing() as connection:
            query = f"SELECT {_COLUMNS} FROM jobs WHERE id = ?"
            row = connection.execute(query, (id,)).fetchone()
            if row is None:
                take_over(connection, count_jobs(connection))
                row = connection.execute(query, (id,)).fetchone()
        if row is None:
            raise InputError(unknown_job(id))
        return _record(row)

    def count(self) -> int:
        """All jobs of the history."""
        with self.database.reading() as connection:
            return count_jobs(connection)

    def request(self, id: str) -> Task:
        """The request of a job; InputError where there is no such job, or its request cannot be read here."""
        with self.database.reading() as connection:
            text = request_text(connection, id)
        if text is None:
            raise InputError(unknown_job(id))
        try:
            return task_from_text(text, self._read_picture)
        except InputError as error:
            raise InputError(f"This job of the history cannot be opened: {error}") from error

    def close(self) -> None:
        """No call may follow."""
        self.database.close()

    def _read_picture(self, name: str, value: object) -> bytes:
        """The picture that a row refers to, or one in base64."""
        digest = cast("dict[str, object]", value).get("sha256") if isinstance(value, dict) else None
        if not isinstance(digest, str):
            return from_base64(name, value)
        with self.database.reading() as connection:
            row = connection.execute("SELECT data FROM blobs WHERE sha256 = ?", (digest,)).fetchone()
        if row is None:
            raise InputError(f"{name} is missing from the history; choose another job.")
        return row[0]


def unknown_job(id: str) -> str:
    """Return the sentence for an id that the history does not have."""
    return f"There is no job {shown(id)} in the history; choose another one."


def _record(row: tuple[object, ...]) -> Record:
    values = dict(zip(Record.__dataclass_fields__, row, strict=True))
    paths, scores = parsed(values["paths"]), parsed(values["scores"])
    values["paths"] = tuple(map(str, cast("list[object]", paths))) if isinstance(paths, list) else ()
    values["scores"] = cast("dict[str, float]", scores) if isinstance(scores, dict) else {}
    return Record(**values)  # pyright: ignore[reportArgumentType]
