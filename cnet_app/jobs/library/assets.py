"""Pictures and poses that pages refer to by their SHA-256: photos, maps and drawings of drafts, which outlive a reload."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from contextlib import suppress
from pathlib import Path

from annotators.people.poses import parse_pose
from annotators.sources.images import load_image
from annotators.sources.picture_files import MAX_BYTES
from cnet_app.jobs.library.rooms import Room
from models.downloads.whole import sweep_unfinished, write_whole
from models.errors import InputError, SaveError

GONE = "This picture is no longer here; choose it again."
OWNED = "owned"
"""Folder of the assets of owners."""
OWNER_DIGITS = 32
_ID = re.compile(r"[0-9a-f]{64}")


class Assets:
    """A folder of files named by the SHA-256 of their content, `max_bytes` at most; the least recently used go first.

    Thread-safe. A file appears whole, also where the process is killed while it is written.
    """

    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        around: tuple[Room, ...] = (),
        lock: threading.Lock | None = None,
    ) -> None:
        """Touch nothing yet; the folder is made for the first file.

        `around` are the rooms that this folder is within; `lock` is that of the others in them.
        """
        self._folder, self._max_bytes = folder, max_bytes
        self._rooms = (Room(folder, max_bytes), *around)
        self._lock = lock or threading.Lock()

    def of(self, owner: str, max_bytes: int) -> Assets:
        """Return the assets of an owner, which nobody else finds; they count among these, and alone up to `max_bytes`."""
        name = hashlib.sha256(owner.encode(errors="replace")).hexdigest()[:OWNER_DIGITS]
        return Assets(self._folder / OWNED / name, max_bytes, self._rooms, self._lock)

    def put(self, data: bytes) -> str:
        """Keep a picture file, or the JSON of a pose, and return the SHA-256 of its bytes in hex.

        Raises InputError for what cannot be read or is too large, and SaveError.
        """
        limit = min(MAX_BYTES, self._max_bytes)
        if len(data) > limit:
            raise InputError(
                f"The picture has {len(data) / 1e6:.1f} MB; the limit is {limit / 1e6:.1f} MB, save it smaller."
            )
        _check(data)
        id = hashlib.sha256(data).hexdigest()
        try:
            with self._lock:
                self._write(id, data)
        except OSError as error:
            reason = error.strerror or str(error)
            raise SaveError(f"The picture cannot be kept in {self._folder} ({reason}); make room there.") from error
        return id

    def get(self, sha256: str) -> bytes:
        """Return the content of an id. Raises InputError for an unknown or malformed one, and for a damaged file."""
        if not _ID.fullmatch(sha256):
            raise InputError(GONE)
        path = self._folder / sha256
        with self._lock:
            try:
                data = path.read_bytes()
            except OSError as error:
                raise InputError(GONE) from error
            if hashlib.sha256(data).hexdigest() != sha256:
                with suppress(OSError):
                    path.unlink()
                raise InputError(GONE)
            with suppress(OSError):
                os.utime(path)  # used just now
        return data

    def _write(self, id: str, data: bytes) -> None:
        path = self._folder / id
        if _holds(path, data):
            os.utime(path)
            return
        sweep_unfinished(self._folder)
        for room in self._rooms:
            room.make_room(len(data))
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _check(data: bytes) -> None:
    """Raise InputError where the bytes are neither a picture nor a pose."""
    if data.lstrip()[:1] in (b"{", b"["):
        parse_pose(data)
    else:
        load_image(data)
