"""Files that appear under their names only when all of them is on the disk."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cnet_app.request.recipe import UNFINISHED


@contextmanager
def unfinished(path: Path) -> Generator[Path]:
    """Yield the path of a file to write; it takes the name `path` at the end, or is removed after an error.

    What a kill leaves behind is removed by `cnet_app.request.recipe.sweep_unfinished`. Raises OSError.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.{os.getpid()}{UNFINISHED}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file to the disk itself, not only to the system's memory. Raises OSError."""
    with unfinished(path) as part, part.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
