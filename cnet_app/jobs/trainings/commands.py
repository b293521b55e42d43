"""Commands of this project that the app starts as processes of their own. Loads no torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from cnet_app.settings import Settings, command_environment
from models.errors import SaveError

PROGRAM = (sys.executable, "-m", "cnet_app")
LAST = 4000
"""Bytes at the end of a file of messages that are read."""


def start_command(
    settings: Settings,
    arguments: Sequence[str],
    errors: Path,
    output: Path | None = None,
    program: Sequence[str] = PROGRAM,
) -> subprocess.Popen[bytes]:
    """Start a command that outlives the app. Its standard error goes to a file, its output to another or nowhere.

    Raises SaveError.
    """
    try:
        errors.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as files:
            return subprocess.Popen(
                [*program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=files.enter_context(output.open("wb")) if output else subprocess.DEVNULL,
                stderr=files.enter_context(errors.open("wb")),
                env=command_environment(settings),
                start_new_session=True,
            )
    except OSError as error:
        raise SaveError(
            f"{errors.parent} cannot be written ({error.strerror}); make room, or choose another output folder."
        ) from error


def end_command(process: subprocess.Popen[bytes]) -> None:
    """End a process with those that it has started, and wait for that."""
    with suppress(psutil.Error):
        for one in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                one.terminate()
    process.terminate()
    process.wait()


def last_lines(path: Path) -> list[str]:
    """Return the last lines of a file of messages, without empty ones."""
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - LAST, 0))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def last_line(path: Path) -> str:
    """Return the last line of a file of messages; empty where there is none."""
    return next(reversed(last_lines(path)), "")
