"""Folders of bounded size: the files that were not used for the longest time go first."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR

from models.downloads.whole import UNFINISHED

FREED = 0.02
"""Share of the limit that is freed at least where something must go, so that the next files need no search."""
LOOK_AFTER = 0.05
"""Share of the limit that is written before a folder is looked through again: other processes write there too."""
EMPTY_AGE = 60.0
"""Seconds after which an empty folder is nobody's any more."""


class Room:
    """A folder whose files, at any depth, have about `max_bytes` at most. Thread-safe.

    A file is as old as its time of change: whoever uses one sets it. Folders below that lose their last file go too.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Touch nothing yet."""
        self.folder, self.max_bytes = folder, max_bytes
        self._held: int | None = None
        self._unseen = 0
        self._lock = threading.Lock()

    def make_room(self, size: int = 0) -> None:
        """Remove old files until another one of `size` bytes fits, which the caller is about to write. Raises OSError."""
        with self._lock:
            self._unseen += size
            is_full = self._held is None or self._held + size > self.max_bytes
            if is_full or self._unseen > LOOK_AFTER * self.max_bytes:
                self._held, self._unseen = self._trimmed(self.max_bytes - size), size
            self._held = (self._held or 0) + size

    def _trimmed(self, max_bytes: int) -> int:
        """Return the bytes of all files, of which so many went that the others have `max_bytes` at most."""
        found = sorted((stat.st_mtime_ns, stat.st_size, path) for path, stat in files(self.folder))
        held = sum(size for _, size, _ in found)
        goal = held if held <= max_bytes else min(max_bytes, held - int(FREED * self.max_bytes))
        for _, size, path in found:
            if held <= max_bytes and held - size < goal:
                break
            path.unlink(missing_ok=True)
            remove_empty(path.parent, self.folder)
            held -= size
        return held


def files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files at any depth, but those that are being written; other processes may remove them meanwhile."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            stat = path.stat()
            if path.suffix != UNFINISHED and not S_ISDIR(stat.st_mode):
                yield path, stat


def remove_empty(folder: Path, root: Path) -> None:
    """Remove a folder below `root` if it is empty, and then those around it."""
    with suppress(OSError):
        while folder != root and folder.is_relative_to(root):
            folder.rmdir()
            folder = folder.parent


def remove_older(folder: Path, seconds: float) -> int:
    """Remove files that were last changed so many seconds ago, and empty folders; return how many files. Raises OSError."""
    now, removed = time.time(), 0
    for path, stat in list(files(folder)):
        if now - stat.st_mtime > seconds:
            path.unlink(missing_ok=True)
            removed += 1
    for path in sorted(folder.rglob("*"), reverse=True):  # inner folders first
        with suppress(OSError):
            if path.is_dir() and now - path.stat().st_mtime > EMPTY_AGE:
                path.rmdir()
    return removed


def remove_oldest_folders(parents: Iterable[Path], max_bytes: int, kept: Collection[str]) -> list[str]:
    """Remove the folders in `parents` that were changed first, until the others have `max_bytes` at most; return their names.

    Those named in `kept` stay.
    """
    found: list[tuple[int, int, Path]] = []
    for folder in (folder for parent in parents if parent.is_dir() for folder in parent.iterdir() if folder.is_dir()):
        stats = [stat for _, stat in files(folder)]
        found.append(
            (max((stat.st_mtime_ns for stat in stats), default=0), sum(stat.st_size for stat in stats), folder)
        )
    held, removed = sum(size for _, size, _ in found), list[str]()
    for _, size, folder in sorted(found):
        if held <= max_bytes:
            break
        if folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder.name)
            held -= size
    return removed
