"""A catalogue row becomes a folder on this disk: local folder, cache, or a download with progress. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Progress = Callable[[str, int, int | None], None]
"""Called with the file's name, bytes done, and bytes in all where known."""


class WeightsError(RuntimeError):
    """Files are not there, damaged or cannot be had: one sentence that names them, their size and their place."""


def find(id: str) -> Path | None:
    """The folder that holds all files of a row whole, or None. Never uses the network."""
    raise NotImplementedError


def fetch(id: str, progress: Progress | None = None) -> Path:
    """`find`, else a download file by file; raises WeightsError."""
    raise NotImplementedError
