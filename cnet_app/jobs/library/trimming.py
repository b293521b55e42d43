"""Finished pictures of visitors, kept within the limits of public mode."""

from __future__ import annotations

from pathlib import Path

from cnet_app.jobs.library.library import Library
from cnet_app.settings import Settings

MEGABYTE = 1_000_000
LOOK_AFTER = 0.01
"""Share of the limit of all visitors that is written before all pictures are looked through again."""


class Trimming:
    """Removes the oldest pictures where there are too many; on a machine of one's own none. Its owner calls it from one thread."""

    def __init__(self, library: Library, settings: Settings) -> None:
        self._library, self._settings = library, settings
        self._unseen: float | None = None
        """Bytes since all pictures were looked through; None before the first time."""

    def after(self, session: str, picture: Path) -> None:
        """Make room after a picture of a session was saved. Raises SaveError."""
        if self._settings.is_local:
            return
        self._library.trim(session, self._settings.max_pictures_mb * MEGABYTE)
        most = self._settings.max_all_pictures_mb * MEGABYTE
        if self._unseen is not None:
            self._unseen += picture.stat().st_size if picture.is_file() else 0
        if self._unseen is None or self._unseen > LOOK_AFTER * most:
            self._library.trim(None, int(most * (1 - LOOK_AFTER)))
            self._unseen = 0
