"""The log of a run: JSON lines, and the same curves, samples and jump as TensorBoard event files."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

from annotators.sources.images import load_image
from cnet_app.training.run import Record, RunFolder, line
from models.errors import SaveError

CURVES = {"step": ("loss", "learning_rate", "seconds", "memory_mb"), "probe": ("score",)}
"""Values of each kind of record that are drawn."""


class Log:
    """Writes records; close it at the end."""

    def __init__(self, run: RunFolder, show: Callable[[Record], None] = lambda record: None) -> None:
        """`show` gets every record too."""
        self._run, self._show = run, show
        self._curves = _event_writer(run)

    def __call__(self, record: Record) -> None:
        """Append a record; SaveError where the disk takes no more."""
        append(self._run, record)
        if self._curves is not None:
            _write_events(self._curves, record, self._run)
        self._show(record)

    def close(self) -> None:
        """Write what is buffered."""
        if self._curves is not None:
            self._curves.close()


def append(run: RunFolder, record: Record) -> None:
    """Append a record to the log of a run; SaveError where the disk takes no more."""
    data = line(record).encode()
    try:
        with run.log.open("ab") as file:
            file.write(data)
    except OSError as error:
        raise SaveError(
            f"The log {run.log} cannot be written ({error.strerror}); make room, and resume the training."
        ) from error


def repair_log(run: RunFolder) -> None:
    """Cut off a line that a kill has torn, so that the next one begins on a line of its own."""
    try:
        with run.log.open("rb+") as file:
            data = file.read()
            file.truncate(data.rfind(b"\n") + 1)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SaveError(f"The log {run.log} cannot be written ({error.strerror}); choose another folder.") from error


def _write_events(writer: Any, record: Record, run: RunFolder) -> None:
    """Write what TensorBoard can show of a record."""
    for name in CURVES.get(record.kind, ()):
        if (value := record.values.get(name)) is not None:
            writer.add_scalar(f"training/{name}", value, record.step)
    if record.kind == "probe":
        for number, score in enumerate(record.values["scores"]):
            if score is not None:
                writer.add_scalar(f"probes/{number}", score, record.step)
        for number, path in enumerate(record.values["pictures"]):
            writer.add_image(f"probes/{number}", load_image(run.path / path), record.step, dataformats="HWC")
    elif record.kind == "converged":
        at, before, after = (record.values[name] for name in ("at", "before", "score"))
        writer.add_text("training/sudden convergence", f"Step {at}: agreement {before:.2f} → {after:.2f}", at)


def _event_writer(run: RunFolder) -> Any:
    """Return the writer; None where its package is not installed, as the core runs without it."""
    try:
        library: Any = importlib.import_module("tensorboardX")
    except ImportError:
        return None
    return library.SummaryWriter(os.fspath(run.path / "tensorboard"))
