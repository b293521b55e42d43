"""The tables of the history, and how a file of an earlier version becomes one of this version.

Version 1 (files without a `user_version`) had one table with the whole request, its maps in base64, in each row. Opening
such a file renames the table, which takes no time. Its requests stay there, until their jobs are the oldest and are
removed; the columns of a job are taken over when it is first listed, the newest first, and its pictures with them.
Version 2 had no rows of pictures: opening such a file makes them from the jobs.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias, cast

from cnet_app.jobs.library import picture_rows
from cnet_app.request.plain import Json

VERSION = 3
"""The file's `user_version`."""
CREATE = (
    """
    CREATE TABLE IF NOT EXISTS jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL, schema INTEGER NOT NULL, created REAL NOT NULL, status TEXT NOT NULL,
        session TEXT NOT NULL DEFAULT '', prompt TEXT NOT NULL DEFAULT '', base TEXT NOT NULL DEFAULT '',
        conditions TEXT NOT NULL DEFAULT '', width INTEGER, height INTEGER, num_images INTEGER, seed INTEGER,
        seconds REAL, error TEXT NOT NULL DEFAULT '', paths TEXT NOT NULL DEFAULT '[]', scores TEXT NOT NULL DEFAULT '{}',
        request TEXT NOT NULL
    )""",  # the request comes last, so that reading the other columns does not pass through it
    "CREATE TABLE IF NOT EXISTS blobs (sha256 TEXT PRIMARY KEY, data BLOB NOT NULL)",
    """
    CREATE TABLE IF NOT EXISTS job_blobs (
        job INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (job, sha256)
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS job_blobs_by_content ON job_blobs (sha256)",
    *picture_rows.CREATE,
)
COLUMNS_EVER = frozenset({"id", "created", "status", "request", "paths", "error"})
"""Of `jobs`, in every version."""
OLD = "jobs_of_version_1"
OLD_COLUMNS = "rowid, id, created, status, paths, error, request"
NOT_TAKEN_OVER = "rowid < (SELECT coalesce(min(number), 9223372036854775807) FROM jobs)"
"""Of rows of version 1: they are taken over from the newest on, and later jobs have higher numbers."""

REMOVED_AT_ONCE = 50
"""Steps in which all jobs would go, where their pictures are too large together."""

PutPicture: TypeAlias = Callable[[bytes], Json]


class NewerVersionError(Exception):
    """The file is of a later version of the tables."""


class ForeignFileError(Exception):
    """The file is a database of another program."""


def open_tables(connection: sqlite3.Connection, is_alone: bool = True) -> None:
    """Create the tables or bring them to this version.

    Where this process `is_alone`, jobs that are not over are of one that was killed, and become interrupted. Raises
    NewerVersionError and ForeignFileError before anything is changed.
    """
    _check_origin(connection)
    connection.execute("PRAGMA journal_mode = WAL")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        version = _check_origin(connection)
        if version < 2 and _exists(connection, "jobs"):
            connection.execute(f"ALTER TABLE jobs RENAME TO {OLD}")
        for statement in CREATE:
            connection.execute(statement)
        if version < 2 and _exists(connection, OLD):
            # Old rows keep their numbers, and new ones come after them.
            connection.execute(
                f"INSERT INTO sqlite_sequence (name, seq) SELECT 'jobs', coalesce(max(rowid), 0) FROM {OLD}"
            )
        if version == 2:
            picture_rows.add_pictures_of_jobs(connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        for table in ("jobs", OLD) if is_alone else ():
            if _exists(connection, table):
                connection.execute(f"UPDATE {table} SET status = 'interrupted' WHERE status IN ('queued', 'running')")


def _check_origin(connection: sqlite3.Connection) -> int:
    """Return the version of the tables. Raises NewerVersionError and ForeignFileError."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(jobs)")}
    (others,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
    if version > VERSION:
        raise NewerVersionError
    if others and COLUMNS_EVER - columns:
        raise ForeignFileError
    return version


def _exists(connection: sqlite3.Connection, table: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (table,)).fetchone() is not None


def insert_job(
    connection: sqlite3.Connection, columns: Mapping[str, object], write: Callable[[PutPicture], dict[str, Json]]
) -> None:
    """Add a row; `write` returns the request as JSON, each picture by what its argument returns for it."""
    hashes: set[str] = set()

    def put(data: bytes) -> Json:
        digest = hashlib.sha256(data).hexdigest()
        connection.execute("INSERT OR IGNORE INTO blobs (sha256, data) VALUES (?, ?)", (digest, data))
        hashes.add(digest)
        return {"sha256": digest}

    values = write(put)
    number = _insert(connection, {**describe(values), **columns, "request": json.dumps(values)})
    pairs = [(number, digest) for digest in hashes]
    connection.executemany("INSERT INTO job_blobs (job, sha256) VALUES (?, ?)", pairs)


def _insert(connection: sqlite3.Connection, row: Mapping[str, object]) -> int:
    names, places = ", ".join(row), ", ".join("?" * len(row))
    cursor = connection.execute(f"INSERT INTO jobs ({names}) VALUES ({places})", tuple(row.values()))
    return cursor.lastrowid or 0


def describe(values: object) -> dict[str, str | int | None]:
    """The columns that a request's JSON gives, checked or not: what is absent or of a wrong type stays empty."""
    known = cast("dict[str, object]", values) if isinstance(values, dict) else {}

    def text(name: str, default: str = "") -> str:
        value = known.get(name)
        # SQLite takes no half of a surrogate pair.
        return value.encode("utf-8", "replace").decode() if isinstance(value, str) else default

    def number(name: str) -> int | None:
        value = known.get(name)
        return value if isinstance(value, int) and abs(value) <= picture_rows.MAX_INTEGER else None

    units = known.get("units")
    parts = [known, *(cast("list[object]", units) if isinstance(units, list) else [])]
    conditions = [cast("dict[str, object]", part).get("condition") for part in parts if isinstance(part, dict)]
    return {
        "kind": text("kind", "generation"),
        "schema": number("schema") or 1,
        "prompt": text("prompt"),
        "base": text("base"),
        "conditions": ", ".join(name for name in conditions if isinstance(name, str)),
        **{name: number(name) for name in ("width", "height", "num_images", "seed")},
    }


def count_jobs(connection: sqlite3.Connection) -> int:
    """All jobs, those of version 1 that have not been taken over yet included."""
    (new,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
    if not _exists(connection, OLD):
        return new
    return new + connection.execute(f"SELECT count(*) FROM {OLD} WHERE {NOT_TAKEN_OVER}").fetchone()[0]


def take_over(connection: sqlite3.Connection, wanted: int) -> None:
    """Take over the columns of jobs of version 1, the newest first, until `wanted` jobs can be listed."""
    (listed,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
    if listed >= wanted or not _exists(connection, OLD):
        return
    query = f"SELECT {OLD_COLUMNS} FROM {OLD} WHERE {NOT_TAKEN_OVER} ORDER BY rowid DESC LIMIT ?"
    # The rows come one by one: each may hold many megabytes.
    for row in connection.execute(query, (wanted - listed,)):
        number, columns, request = _old_row(row)
        _insert(connection, {**columns, "number": number, "request": ""})
        picture_rows.add_pictures_of_job(connection, columns, request)


def _old_row(row: tuple[object, ...]) -> tuple[int, dict[str, object], object]:
    """Return number, columns and JSON of the request of a job of version 1, from its OLD_COLUMNS."""
    number, id, created, status, paths, error, text = row
    request = picture_rows.parsed(text)
    own = {"id": id, "created": created, "status": status, "paths": paths, "error": error}
    return cast("int", number), {**describe(request), **own}, request


def request_text(connection: sqlite3.Connection, id: str) -> str | None:
    """The request of a job as JSON, where a picture is its sha256, or base64 as version 1 has it; None where there is no such job."""
    row = connection.execute("SELECT request FROM jobs WHERE id = ?", (id,)).fetchone()
    if not (row and row[0]) and _exists(connection, OLD):
        row = connection.execute(f"SELECT request FROM {OLD} WHERE id = ?", (id,)).fetchone()
    return row[0] if row else None


def remove_oldest(connection: sqlite3.Connection, kept: int, kept_bytes: int) -> None:
    """Remove the oldest jobs, and the pictures that no other job refers to.

    `kept` jobs stay at most, and as many as have `kept_bytes` of pictures; the newest one always.
    """
    more = count_jobs(connection) - kept
    if more > 0:
        old = _remove_oldest_old(connection, more)
        for number in old:
            _remove_job(connection, number)
        _remove_after(connection, old[-1] if old else 0, more - len(old))
    while connection.execute("SELECT total(length(data)) FROM blobs").fetchone()[0] > kept_bytes:
        (count,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
        if count < 2:
            break
        _remove_after(connection, 0, max(count // REMOVED_AT_ONCE, 1))


def _remove_after(connection: sqlite3.Connection, start: int, most: int) -> None:
    """Remove the oldest jobs after a number, `most` at most."""
    query = "SELECT number FROM jobs WHERE number > ? ORDER BY number LIMIT ?"
    for (number,) in connection.execute(query, (start, most)).fetchall():
        _remove_job(connection, number)


def remove_without_pictures(connection: sqlite3.Connection, jobs: Iterable[str]) -> None:
    """Remove those of some jobs that are done, and of which no picture has a row any more."""
    query = "SELECT number FROM jobs WHERE id = ?1 AND status = 'done' AND NOT EXISTS (SELECT 1 FROM pictures WHERE job = ?1)"
    for id in jobs:
        for (number,) in connection.execute(query, (id,)).fetchall():
            _remove_job(connection, number)


def _remove_job(connection: sqlite3.Connection, number: int) -> None:
    hashes = connection.execute("SELECT sha256 FROM job_blobs WHERE job = ?", (number,)).fetchall()
    connection.execute("DELETE FROM job_blobs WHERE job = ?", (number,))
    connection.executemany(
        "DELETE FROM blobs WHERE sha256 = ?1 AND NOT EXISTS (SELECT 1 FROM job_blobs WHERE sha256 = ?1)", hashes
    )
    connection.execute("DELETE FROM jobs WHERE number = ?", (number,))


def _remove_oldest_old(connection: sqlite3.Connection, most: int) -> list[int]:
    """Remove the requests of the oldest jobs of version 1, all of which are older than other jobs; their numbers."""
    if not _exists(connection, OLD):
        return []
    numbers = [row[0] for row in connection.execute(f"SELECT rowid FROM {OLD} ORDER BY rowid LIMIT ?", (most,))]
    _keep_pictures(connection, numbers)
    connection.executemany(f"DELETE FROM {OLD} WHERE rowid = ?", [(number,) for number in numbers])
    if not connection.execute(f"SELECT 1 FROM {OLD} LIMIT 1").fetchone():
        connection.execute(f"DROP TABLE {OLD}")
    return numbers


def _keep_pictures(connection: sqlite3.Connection, numbers: list[int]) -> None:
    """Give the pictures of jobs of version 1 their rows, where the jobs go before they were taken over."""
    query = f"SELECT {OLD_COLUMNS} FROM {OLD} WHERE rowid = ? AND {NOT_TAKEN_OVER}"
    for number in numbers:
        for row in connection.execute(query, (number,)).fetchall():
            _, columns, request = _old_row(row)
            picture_rows.add_pictures_of_job(connection, columns, request)
