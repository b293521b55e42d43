"""Answers of participants, in a SQLite file: each is on the disk before the next question is shown."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from models.errors import InputError, SaveError

WAIT = 10.0
"""Seconds for another process that writes."""
SYNCHRONOUS = "FULL"
"""An answer has reached the disk itself when `add` returns."""
MOST_PARTICIPANTS = 10_000
CREATE = """
    CREATE TABLE IF NOT EXISTS answers (
        participant TEXT NOT NULL, item TEXT NOT NULL, method TEXT NOT NULL, quality INTEGER, fidelity INTEGER, chosen TEXT,
        PRIMARY KEY (participant, item, method)
    ) WITHOUT ROWID"""
COLUMNS = "participant, item, method, quality, fidelity, chosen"


@dataclass(frozen=True, order=True)
class Row:
    """What one participant answered about one picture. Nothing else is kept of anybody."""

    participant: str
    group: str
    method: str
    """The method that made the picture; empty where a labelled group was looked at."""
    quality: int | None = None
    fidelity: int | None = None
    chosen: str | None = None
    """The method that the participant took it to be."""


@dataclass(frozen=True)
class Answers:
    """The file. It is opened for each use, so that several processes may use it."""

    path: Path

    def of(self, participant: str) -> tuple[Row, ...]:
        """Return the rows of a participant. Raises SaveError."""
        return self._rows("WHERE participant = ?", participant)

    def all(self) -> tuple[Row, ...]:
        """Return all rows, by participant, group and method. Raises SaveError."""
        return self._rows("")

    def add(self, rows: Sequence[Row]) -> None:
        """Write the rows of one answer, all or none.

        The same answer once more changes nothing. Raises InputError where its group has another answer already, and
        SaveError.
        """
        first = rows[0]
        with self._opened() as connection, _transaction(connection):
            known = _select(connection, "WHERE participant = ? AND item = ?", first.participant, first.group)
            if known:
                if known != tuple(sorted(rows, key=lambda row: row.method)):
                    raise InputError(
                        "This question has been answered already, and an answer is final; reload the page."
                    )
                return
            _check_room(connection, first.participant)
            connection.executemany(f"INSERT INTO answers ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", map(astuple, rows))

    def _rows(self, where: str, *values: str) -> tuple[Row, ...]:
        if not self.path.exists():
            return ()
        with self._opened() as connection:
            return _select(connection, where, *values)

    @contextmanager
    def _opened(self) -> Generator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)) as connection:
                connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
                connection.execute(CREATE)
                yield connection
        except sqlite3.DatabaseError as error:
            raise SaveError(
                f"The answers {self.path.parent.name}/{self.path.name} cannot be read or written ({error}); make room on the "
                "disk, or restore the file from a copy."
            ) from error


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _select(connection: sqlite3.Connection, where: str, *values: str) -> tuple[Row, ...]:
    found = connection.execute(f"SELECT {COLUMNS} FROM answers {where} ORDER BY participant, item, method", values)
    return tuple(Row(*row) for row in found)


def _check_room(connection: sqlite3.Connection, participant: str) -> None:
    """Raise InputError where a new participant would be one too many."""
    (count,) = connection.execute(
        "SELECT count(DISTINCT participant) FROM answers WHERE participant <> ?", (participant,)
    ).fetchone()
    if count >= MOST_PARTICIPANTS:
        raise InputError(f"This study has {MOST_PARTICIPANTS} participants, and no more can take part.")
