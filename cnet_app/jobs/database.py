"""The SQLite file of the history and the library: one connection, and the lock around it."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from cnet_app.jobs.tables import NewerVersionError, open_tables
from models.errors import SaveError

LOG = logging.getLogger(__name__)


class Database:
    """A file that `Store` and `Library` share. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Open the file. One that is damaged or of a newer version is moved aside. Raises SaveError."""
        self._path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SaveError(
                f"The folder {path.parent} cannot be made ({error.strerror}); choose another one."
            ) from error
        self.connection = _open_or_begin(path)

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Lend the connection; raises SaveError where the file cannot be read."""
        try:
            with self._lock:
                yield self.connection
        except sqlite3.Error as error:
            raise SaveError(f"The history {self._path} could not be read ({error}); check its disk.") from error

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """Lend the connection for one transaction, all or nothing of which is written; raises SaveError."""
        try:
            with self._lock, self.connection:
                yield self.connection
        except sqlite3.Error as error:
            raise SaveError(f"The history {self._path} could not be written ({error}); make room there.") from error

    def close(self) -> None:
        """No call may follow."""
        with self._lock:
            self.connection.close()


def _open_or_begin(path: Path) -> sqlite3.Connection:
    try:
        return _open(path)
    except sqlite3.OperationalError as error:
        raise SaveError(f"The history {path} cannot be opened ({error}); choose another folder.") from error
    except (sqlite3.DatabaseError, NewerVersionError) as error:
        what = "newer" if isinstance(error, NewerVersionError) else "broken"
        aside = path.with_name(f"{path.name}.{what}-{time.strftime('%Y%m%d-%H%M%S')}")
        path.replace(aside)
        reason = "of a newer version" if what == "newer" else "damaged"
        LOG.warning("The history is %s; it was moved to %s, and an empty one begins.", reason, aside)
        return _open(path)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        open_tables(connection)
    except (sqlite3.Error, NewerVersionError):
        with closing(connection):
            raise
    return connection
