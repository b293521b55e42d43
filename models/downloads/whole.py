"""Files that appear under their names only when all of them is on the disk. Loads no torch."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

UNFINISHED = ".part"
UNFINISHED_AGE = 3600.0
"""Seconds after which no process, of another machine either, can still be writing a file of that ending."""
DEAD_AGE = 2.0
"""The same where the process that wrote it no longer runs; on a folder that machines share, a number may be another's."""


@contextmanager
def unfinished(path: Path, lasting: bool = True) -> Generator[Path]:
    """Yield the path of a file to write; it takes the name `path` at the end, or is removed after an error.

    Where it is `lasting`, a power failure after that loses nothing of it; a file that can be made again needs no such wait.
    What a kill leaves behind is removed by `sweep_unfinished`. Raises OSError.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.{os.getpid()}{UNFINISHED}")
    try:
        yield part
        if lasting:
            flush(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    if lasting:
        _flush_names(path.parent)


def write_whole(path: Path, data: bytes, times: tuple[int, int] | None = None, lasting: bool = True) -> None:
    """Write a file as `unfinished` does; `times` are those of access and change, in ns. Raises OSError."""
    with unfinished(path, lasting) as part:
        part.write_bytes(data)
        if times:
            os.utime(part, ns=times)


def flush(path: Path) -> None:
    """Write a file to the disk itself, not only to the system's memory. Raises OSError."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sweep_unfinished(directory: Path) -> None:
    """Remove what killed writers left behind: files of a process that is gone, and those that are too old."""
    for entry in directory.glob(f".*{UNFINISHED}"):
        with suppress(OSError):  # another process may sweep too, or it is not ours to remove
            age = time.time() - entry.stat().st_mtime
            if age > UNFINISHED_AGE or (age > DEAD_AGE and _is_of_dead_process(entry)):
                entry.unlink()


def _is_of_dead_process(entry: Path) -> bool:
    number = entry.name.removesuffix(UNFINISHED).rpartition(".")[2]
    return number.isdecimal() and not psutil.pid_exists(int(number))


def _flush_names(directory: Path) -> None:
    """Write the names in the directory to the disk, where the system needs to be asked for that and can do it."""
    if os.name != "posix":
        return
    with suppress(OSError):  # the file is there already
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
