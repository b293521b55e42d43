"""The processes that work in one folder: whether another one is there, by a lock that ends with its process."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class Presence:
    """A lock on a folder itself, which leaves no file in it.

    Where the system cannot lock a folder (Windows, some network disks), every process takes itself to be alone.
    """

    def __init__(self, folder: Path) -> None:
        """Enter: until `settle`, nobody else who enters is alone. Raises no error."""
        self.is_alone = True
        """Whether no other process was there."""
        self._descriptor: int | None = None
        if sys.platform == "win32":
            return
        try:
            self._descriptor = os.open(folder, os.O_RDONLY)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.is_alone = False
        except OSError:
            self.leave()

    def settle(self) -> None:
        """Stay beside others, until `leave` or the end of the process."""
        if self._descriptor is not None and sys.platform != "win32":
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def leave(self) -> None:
        """Be there no longer."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
