"""The history of jobs in one SQLite file, which survives a killed process."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cnet_app.jobs.state import Status
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.tasks import task_from_text, task_to_json
from models.errors import SaveError

LOG = logging.getLogger(__name__)
KEPT = 1000
"""Jobs the history remembers; their pictures stay on the disk."""
TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, created REAL NOT NULL, status TEXT NOT NULL, request TEXT NOT NULL,
    paths TEXT NOT NULL DEFAULT '[]', error TEXT NOT NULL DEFAULT ''
)"""


@dataclass(frozen=True)
class Record:
    """One job as the history tells it."""

    id: str
    created: float
    """Seconds since 1970."""
    status: Status
    paths: tuple[str, ...]
    """Pictures it made; a user may have deleted some since."""
    error: str
    request_text: str
    """The request as JSON text."""

    @property
    def request(self) -> GenerationRequest:
        """What was asked for."""
        task = task_from_text(self.request_text)
        assert isinstance(task, GenerationRequest)
        return task


class Store:
    """Opens or creates the file; jobs that a killed process left behind become `interrupted`. Safe between threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SaveError(
                f"The folder {path.parent} cannot be made ({error.strerror}); choose another one."
            ) from error
        try:
            self._connection = _open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise SaveError(f"The history {path} cannot be opened ({error}); choose another folder.") from error
            kept = path.with_name(f"{path.name}.broken-{time.strftime('%Y%m%d-%H%M%S')}")
            path.replace(kept)
            LOG.warning("The history was damaged; it is kept as %s, and a new one begins.", kept)
            self._connection = _open(path)

    def add(self, id: str, request: GenerationRequest) -> None:
        """A new job, queued; raises SaveError."""
        with self._writing() as connection:
            row = (id, time.time(), "queued", json.dumps(task_to_json(request)))
            connection.execute("INSERT INTO jobs (id, created, status, request) VALUES (?, ?, ?, ?)", row)
            connection.execute(
                "DELETE FROM jobs WHERE id NOT IN (SELECT id FROM jobs ORDER BY created DESC LIMIT ?)", (KEPT,)
            )

    def update(self, id: str, status: Status, paths: Sequence[str] = (), error: str = "") -> None:
        """What became of it so far; raises SaveError."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE jobs SET status = ?, paths = ?, error = ? WHERE id = ?",
                (status, json.dumps(list(paths)), error, id),
            )

    def recent(self, limit: int = 50) -> list[Record]:
        """The newest jobs, newest first."""
        query = "SELECT id, created, status, paths, error, request FROM jobs ORDER BY created DESC, rowid DESC LIMIT ?"
        with self._lock:
            rows = self._connection.execute(query, (limit,)).fetchall()
        return [Record(id, at, status, tuple(json.loads(paths)), *rest) for id, at, status, paths, *rest in rows]

    def close(self) -> None:
        """No call may follow."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        try:
            with self._lock, self._connection:
                yield self._connection
        except sqlite3.Error as error:
            raise SaveError(f"The history {self._path} could not be written ({error}); make room there.") from error


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        with connection:
            connection.execute(TABLE)
            connection.execute("UPDATE jobs SET status = 'interrupted' WHERE status IN ('queued', 'running')")
    except sqlite3.Error:
        with closing(connection):
            raise
    return connection
