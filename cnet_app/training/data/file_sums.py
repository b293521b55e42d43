"""Checksums of the files of a data set, kept by path, size and time of change: a file is read once until it changes.

files.json    {path: [size, time of change in ns, sha256]}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cnet_app.training.data.pairs import Source
from models.downloads.whole import write_whole
from models.errors import InputError
from models.files import sha256_of

FILES = "files.json"


class FileSums:
    """The checksums that were noted in a folder, and those that were computed since."""

    def __init__(self, folder: Path) -> None:
        """Read what is noted; a note that is missing or damaged costs reading the files again."""
        self._path = folder / FILES
        self._noted = _read(self._path)
        self._used: dict[str, tuple[int, int, str]] = {}

    def of(self, source: Source) -> str:
        """Return the sha256 of the whole file that a source lies in. Raises InputError where it cannot be read."""
        stat, path = source.stat(), str(source.path.absolute())
        known = self._used.get(path) or self._noted.get(path)
        if known is None or known[:2] != (stat.st_size, stat.st_mtime_ns):
            try:
                known = (stat.st_size, stat.st_mtime_ns, sha256_of(source.path))
            except OSError as error:
                raise InputError(
                    f"{source.path} cannot be read ({error.strerror}); put it back, or check the data set again."
                ) from error
        self._used[path] = known
        return known[2]

    def write(self) -> None:
        """Keep the checksums that were used. Raises OSError."""
        if self._used != self._noted:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps(self._used).encode())


def _read(path: Path) -> dict[str, tuple[int, int, str]]:
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): (int(size), int(time), str(sum)) for name, (size, time, sum) in values.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
