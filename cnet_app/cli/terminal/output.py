"""Output of commands: results on standard output, progress and hints on standard error."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnet_app.request.pictures import encode_png
from models.console import is_unicode
from models.downloads.whole import unfinished
from models.errors import SaveError

Show = Callable[[Mapping[str, Any], str], None]
"""Called once with the result as plain JSON values, and as text for a reader."""


@contextlib.contextmanager
def only_result(as_json: bool) -> Generator[Show, None, None]:
    """Yield the function that prints the result; what libraries print in the meantime goes to standard error."""
    out = sys.stdout

    def show(values: Mapping[str, Any], text: str) -> None:
        as_text = json.dumps(values, ensure_ascii=not is_unicode(out.encoding)) if as_json else text
        print(as_text, file=out, flush=True)

    with contextlib.redirect_stdout(sys.stderr):
        yield show


def show_progress(text: str) -> None:
    """Write a line over the one before; only on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def end_progress() -> None:
    """Clear the progress line."""
    show_progress("")


def download_progress(name: str, done: int, total: int | None) -> None:
    """Show the progress of one file: bytes done, and in all where known."""
    of = f" of {total / 1e6:.0f}" if total else ""
    show_progress(f"{name}: {done / 1e6:.0f}{of} MB")


def make_folder(path: Path) -> None:
    """Make a folder with its parents, where it is missing; raises SaveError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"{path} cannot be made a folder ({error.strerror}); choose another one.") from error


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write one JSON object to a file; raises SaveError."""
    try:
        _write_whole(path, json.dumps(values).encode())
    except OSError as error:
        raise SaveError(f"{path} cannot be written ({error.strerror}); choose another file.") from error


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) RGB pixels to a file; raises SaveError."""
    try:
        _write_whole(path, encode_png(pixels))
    except OSError as error:
        raise SaveError(f"{path} cannot be written ({error.strerror}); choose another file.") from error


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; a device or a pipe, such as /dev/stdout, is written to. Raises OSError."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    with unfinished(path) as part:
        part.write_bytes(data)
