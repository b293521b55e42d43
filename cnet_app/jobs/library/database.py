"""The SQLite file of the history and the library: one connection, and the lock around it."""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from cnet_app.jobs.library.tables import ForeignFileError, NewerVersionError, open_tables
from cnet_app.jobs.presence import Presence
from models.errors import SaveError

LOG = logging.getLogger(__name__)
MAX_POSTPONED = 10_000
"""Writes that wait for a disk; beyond them the oldest is lost."""
BUSY_SECONDS = 2.0
"""How long another program's lock on the file is waited for."""
PAUSE = 5.0
"""Seconds between two tries to write what was postponed."""
DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
ADVICE = {
    sqlite3.SQLITE_FULL: "make room there",
    sqlite3.SQLITE_IOERR: "make room there, or check its disk",
    sqlite3.SQLITE_BUSY: "another program holds it: close that one, then try again",
    sqlite3.SQLITE_LOCKED: "another program holds it: close that one, then try again",
    sqlite3.SQLITE_READONLY: "allow writing there, or choose another folder",
    sqlite3.SQLITE_CANTOPEN: "allow writing there, or choose another folder",
}
"""What to do, by the primary code of SQLite's error."""
REASONS = {"newer": "of a newer version", "foreign": "another program's file", "broken": "damaged"}
Write = Callable[[sqlite3.Connection], object]


class Database:
    """A file that `Store` and `Library` share. Thread-safe, and safe between processes.

    A file that is removed or damaged while it is open is begun again, so that the app goes on.
    """

    def __init__(self, path: Path) -> None:
        """Open the file. One that is damaged, of a newer version or another program's is moved aside. Raises SaveError."""
        self._path = path
        self._lock = threading.Lock()
        self._postponed = deque[Write](maxlen=MAX_POSTPONED)
        self.beginnings = 0
        """How often an empty file was begun while this was open; what is remembered of the earlier one is void then."""
        self._tried = 0.0
        self._enter()

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """Lend the connection; raises SaveError where the file cannot be read."""
        self._catch_up(PAUSE)
        with self._lock, self._explained("read"):
            self._follow_file()
            yield self.connection

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """Lend the connection for one transaction, all or nothing of which is written; raises SaveError."""
        self._catch_up(PAUSE)
        with self._lock, self._explained("written"):
            self._follow_file()
            with self.connection:
                yield self.connection

    def write_surely(self, write: Write) -> None:
        """Write in one transaction; where that fails, as soon as it can be done, in order. Raises SaveError then too."""
        self._postponed.append(write)
        self._write_postponed()

    def close(self) -> None:
        """No call may follow."""
        self._catch_up(0.0)
        with self._lock:
            self._leave()

    def _catch_up(self, pause: float) -> None:
        """Write what was postponed, where that can be done now and was not tried within `pause` seconds."""
        if self._postponed and time.monotonic() >= self._tried + pause:
            with suppress(SaveError):
                self._write_postponed()

    def _write_postponed(self) -> None:
        with self._lock, self._explained("written"):
            self._tried = time.monotonic()
            self._follow_file()
            writes = tuple(self._postponed)
            with self.connection:
                for write in writes:
                    write(self.connection)
            for _ in writes:
                self._postponed.popleft()

    @contextmanager
    def _explained(self, what: str) -> Generator[None]:
        """Raise SaveError for an error of SQLite, with what to do; a damaged file is moved aside."""
        try:
            yield
        except sqlite3.Error as error:
            if _code(error) in DAMAGE:
                self._begin_empty()
                raise SaveError(
                    f"The history {self._path} was damaged ({error}); it is kept aside and an empty one begins, try again."
                ) from error
            raise SaveError(
                f"The history {self._path} could not be {what} ({error}); {ADVICE.get(_code(error), 'check its disk')}."
            ) from error

    def _follow_file(self) -> None:
        """Where the file was removed or replaced, go on with the one that is there, or an empty one."""
        if _identity(self._path) == self._file:
            return
        LOG.warning("The history %s was removed or replaced while the app runs; it is opened again.", self._path)
        self._leave()
        self._enter()
        self.beginnings += 1

    def _begin_empty(self) -> None:
        """Keep the damaged file aside and begin an empty one."""
        self._leave()
        _set_aside(self._path, "broken")
        self._enter()
        self.beginnings += 1

    def _enter(self) -> None:
        """Open the file, which is made where it is missing. Raises SaveError."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SaveError(
                f"The folder {self._path.parent} cannot be made ({error.strerror}); choose another one."
            ) from error
        self._presence = Presence(self._path.parent)
        try:
            self.connection = _open_or_begin(self._path, self._presence.is_alone)
        except SaveError:
            self._presence.leave()
            raise
        self._presence.settle()
        self._file = _identity(self._path)

    def _leave(self) -> None:
        with suppress(sqlite3.Error):
            self.connection.close()
        self._presence.leave()


def _open_or_begin(path: Path, is_alone: bool) -> sqlite3.Connection:
    try:
        return _open(path, is_alone)
    except NewerVersionError:
        _set_aside(path, "newer")
    except ForeignFileError:
        _set_aside(path, "foreign")
    except sqlite3.OperationalError as error:
        advice = ADVICE.get(_code(error), "choose another folder")
        raise SaveError(f"The history {path} cannot be opened ({error}); {advice}.") from error
    except sqlite3.DatabaseError:
        _set_aside(path, "broken")
    try:
        return _open(path, is_alone)
    except sqlite3.Error as error:
        raise SaveError(f"The history {path} cannot be begun ({error}); choose another folder.") from error


def _open(path: Path, is_alone: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, BUSY_SECONDS, check_same_thread=False)
    try:
        open_tables(connection, is_alone)
    except (sqlite3.Error, NewerVersionError, ForeignFileError):
        with closing(connection):
            raise
    return connection


def _set_aside(path: Path, what: str) -> None:
    """Give the file, with what SQLite keeps beside it, a name that says what it is. Raises SaveError."""
    aside = path.with_name(f"{path.name}.{what}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}")
    try:
        for ending in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                path.with_name(path.name + ending).replace(aside.with_name(aside.name + ending))
    except OSError as error:
        raise SaveError(
            f"The history {path} is {REASONS[what]} and cannot be moved aside ({error.strerror}); choose another folder."
        ) from error
    LOG.warning("The history is %s; it was moved to %s, and an empty one begins.", REASONS[what], aside)


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary code of an error; 0 where it has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
