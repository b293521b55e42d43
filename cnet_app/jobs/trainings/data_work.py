"""Work on training data, in a process of its own: building pairs from pictures, and checking them. Loads no torch."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from cnet_app.jobs.trainings.commands import PROGRAM, end_command, last_lines, start_command
from cnet_app.settings import Settings
from models.errors import InputError

Kind = Literal["build", "check"]
Status = Literal["running", "done", "failed", "cancelled"]
NAMES: Mapping[Kind, str] = {"build": "Pairs are built", "check": "Data are checked"}


@dataclass(frozen=True, kw_only=True)
class DataState:
    """Work as it stands."""

    kind: Kind
    status: Status
    data: Path
    """The folder of pairs that is built or checked."""
    condition: str
    done: int = 0
    total: int = 0
    message: str = ""
    """Why it failed."""
    result: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the command printed as JSON."""


@dataclass(frozen=True)
class _Begun:
    process: subprocess.Popen[bytes]
    kind: Kind
    data: Path
    condition: str


class DataWork:
    """One build or check at a time. Thread-safe; `close` ends it: a build goes on where it was when it is begun again."""

    def __init__(self, settings: Settings, program: Sequence[str] = PROGRAM) -> None:
        """`program` is what takes the arguments of the command line; a test puts a lighter one there."""
        self._settings, self._program = settings, program
        self._folder = settings.cache_folder / "data"
        self._lock = threading.RLock()
        self._begun: _Begun | None = None
        self._is_cancelled = False

    @property
    def sheet(self) -> Path:
        """Path of the last check's contact sheet."""
        return self._folder / "sheet.png"

    def build(
        self, images: Path, condition: str, output: Path, *, annotator: str = "", caption: str = "", size: int = 512
    ) -> None:
        """Begin to build pairs from a folder of pictures. Raises InputError while other work runs, and SaveError."""
        words = ["--images", str(images), "--output", str(output), "--device", self._settings.device]
        words += ["--annotator", annotator] if annotator else []
        self._begin("build", output, condition, [*words, "--caption", caption, "--size", str(size)])

    def check(
        self, data: Path, condition: str, validation: Path | None = None, *, caption: str = "", size: int = 512
    ) -> None:
        """Begin to check a data set, also for pictures that are in the validation data. Raises as `build` does."""
        words = [str(data), "--caption", caption, "--size", str(size), "--sheet", str(self.sheet)]
        words += ["--validation", str(validation)] if validation else []
        self.sheet.unlink(missing_ok=True)
        self._begin("check", data, condition, words)

    def cancel(self) -> None:
        """End what runs."""
        with self._lock:
            if self._begun and self._begun.process.poll() is None:
                self._is_cancelled = True
                end_command(self._begun.process)

    close = cancel

    def state(self) -> DataState | None:
        """Return the last work as it stands; None before the first."""
        with self._lock:
            if self._begun is None:
                return None
            return self._state(self._begun, self._begun.process.poll())

    def _begin(self, kind: Kind, data: Path, condition: str, words: Sequence[str]) -> None:
        with self._lock:
            running = self.state()
            if running and running.status == "running":
                raise InputError(f"{NAMES[running.kind]} in {running.data}; wait for the end, or cancel it.")
            arguments = ["data", kind, *words, "--condition", condition, "--json", "--progress-lines"]
            process = start_command(self._settings, arguments, self._errors, self._output, self._program)
            self._begun, self._is_cancelled = _Begun(process, kind, data, condition), False

    @property
    def _errors(self) -> Path:
        return self._folder / "errors.txt"

    @property
    def _output(self) -> Path:
        return self._folder / "output.json"

    def _state(self, begun: _Begun, code: int | None) -> DataState:
        lines = last_lines(self._errors)
        done, total = next(filter(None, map(_progress, reversed(lines))), (0, 0))
        status: Status = "running"
        result: Mapping[str, Any] = {}
        if code is not None:
            result = _read_object(self._output) or {}
            status = "done" if result else "cancelled" if self._is_cancelled else "failed"
        told = next((line for line in reversed(lines) if _progress(line) is None), "")
        message = told or f"The process ended with code {code}; try again." if status == "failed" else ""
        return DataState(
            kind=begun.kind, status=status, data=begun.data, condition=begun.condition,
            done=done, total=total, message=message, result=result,
        )  # fmt: skip


def _progress(line: str) -> tuple[int, int] | None:
    """Return done and total of a line of progress; None for any other line."""
    try:
        values = json.loads(line)
        return int(values["done"]), int(values["total"])
    except (ValueError, TypeError, LookupError):
        return None


def _read_object(path: Path) -> Mapping[str, Any] | None:
    try:
        values: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return cast("Mapping[str, Any]", values) if isinstance(values, dict) else None
