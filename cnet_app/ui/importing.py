"""A fast start: Gradio's import without rewriting its own files, and no garbage collection meanwhile. Imports no gradio."""

from __future__ import annotations

import gc
import inspect
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager

from models.errors import SaveError

WRITER = "gradio.component_meta"


@contextmanager
def without_stub_files() -> Generator[None]:
    """Import gradio inside: it writes no .pyi file next to the source of each of its components.

    Gradio parses each component's source for that at every start, and needs a site-packages that can be written to. It
    leaves a component alone whose source file cannot be found, as those that are defined in no file.
    """
    found = inspect.getfile

    def getfile(thing: object) -> str:
        if sys._getframe(1).f_globals.get("__name__") == WRITER:  # noqa: SLF001 - who asks is the whole point
            raise OSError("no stub files")
        return found(thing)  # pyright: ignore[reportArgumentType]

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = found


def check_temporary_folder() -> None:
    """Raise SaveError on a system without a folder for temporary files, such as a container whose disk is read-only."""
    try:
        tempfile.gettempdir()
    except OSError as error:
        raise SaveError(
            "No folder for temporary files can be written to; point TMPDIR to one that can, such as a mounted volume."
        ) from error


@contextmanager
def without_garbage_collection() -> Generator[None]:
    """Create objects that stay: the collector, which would take a tenth of the start, never visits them, also later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
