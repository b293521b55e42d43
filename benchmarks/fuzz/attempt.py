"""One input, read under watch: how it ended, how long it took, and how much memory."""

from __future__ import annotations

import logging
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType
from typing import Literal, TypeAlias

from benchmarks.fuzz.changes import Files
from models.errors import USER_ERRORS

LONGEST_SENTENCE = 8_000
"""Characters: some sentences list all that is allowed."""
REPORT = "finding.txt"

End: TypeAlias = Literal["answered", "refused", "finding"]
Read: TypeAlias = Callable[[Path], None]
"""Reads the files of an input, which are in a folder."""


@dataclass(frozen=True)
class Kind:
    """A kind of inputs."""

    id: str
    title: str
    share: int
    """Of all inputs, in parts of a hundred."""
    make: Callable[[Random], Files]
    open: Callable[[Path], AbstractContextManager[Read]]
    """Given a folder of its own, returns what reads every input."""
    answers: tuple[type[BaseException], ...] = USER_ERRORS
    """Exceptions that are an answer; all others are findings."""


@dataclass(frozen=True)
class Outcome:
    """How one input ended."""

    kind: str
    number: int
    end: End
    seconds: float = 0.0
    megabytes: float = 0.0
    """The most that the process took."""
    what: str = ""
    """The sentence of a refusal, or the traceback of a finding."""


@dataclass(frozen=True)
class Limits:
    """What one input may take."""

    seconds: float = 10.0
    bytes: int = 2_000_000_000
    """Of the whole process, libraries included."""


USUAL = Limits()


class SlowError(BaseException):
    """An input that takes longer than it may. No handler of Exception catches it."""


def always(read: Read, folder: Path) -> AbstractContextManager[Read]:
    """Return a reader that needs nothing prepared, for `Kind.open`."""
    return nullcontext(read)


def make_files(kind: Kind, seed: int, number: int) -> Files:
    """Return the files of an input: the same for the same seed and number."""
    return kind.make(Random(f"{kind.id} {seed} {number}"))


def put_files(folder: Path, files: Files) -> None:
    """Write the files of an input into a folder that is made for it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def attempt(kind: Kind, number: int, read: Read, folder: Path, limits: Limits = USUAL) -> Outcome:
    """Return how reading the files in a folder ends."""
    _forget_peak()
    before = _status_bytes("VmRSS")
    began = time.monotonic()
    end: End = "answered"
    what = ""
    with _heard() as heard:
        try:
            with _alarm(limits.seconds):
                read(folder)
        except kind.answers as error:
            end, what = "refused", str(error)
            if fault := _fault_of(what):
                end, what = "finding", f"{fault}\n{traceback.format_exc()}"
        except (SlowError, Exception, SystemExit):  # noqa: BLE001 - whatever it is, it is a finding
            end, what = "finding", traceback.format_exc()
    seconds, peak = time.monotonic() - began, _peak_bytes()
    if heard:
        end, what = "finding", "\n".join([*heard, what])
    if peak - before > limits.bytes:
        end, what = "finding", f"It took {(peak - before) / 1e6:.0f} MB.\n{what}"
    return Outcome(kind.id, number, end, seconds, peak / 1e6, what)


def kept(outcome: Outcome, files: Path, results: Path) -> Path:
    """Move the files of a finding to a folder of their own, with its report, and return that."""
    place = results / f"{outcome.kind}-{outcome.number}"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(files, place) if files.is_dir() else place.mkdir(parents=True)
    text = f"python -m benchmarks.fuzz --replay {place}\n\n{outcome.what}\n"
    (place / REPORT).write_text(text, encoding="utf-8", errors="backslashreplace")
    return place


def _fault_of(sentence: str) -> str:
    """Return what is wrong with the sentence of a refusal; empty where nothing is."""
    try:
        sentence.encode()
    except UnicodeEncodeError:
        return "The sentence cannot be written."
    if not sentence.strip():
        return "The refusal has no sentence."
    return f"The sentence has {len(sentence)} characters." if len(sentence) > LONGEST_SENTENCE else ""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise SlowError after so many seconds, where the system can."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise SlowError(f"It took longer than {seconds:g} seconds.")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Listener(logging.Handler):
    """Collects the tracebacks of a log."""

    def __init__(self, heard: list[str]) -> None:
        super().__init__()
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[0]:
            self._heard.append(
                f"In the log: {record.getMessage()}\n{''.join(traceback.format_exception(*record.exc_info))}"
            )


@contextmanager
def _heard() -> Iterator[Sequence[str]]:
    """Collect tracebacks that go to the log, and those of threads."""
    heard: list[str] = []

    def of_thread(found: threading.ExceptHookArgs) -> None:
        lines = traceback.format_exception(found.exc_type, found.exc_value, found.exc_traceback)
        heard.append(f"In a thread:\n{''.join(lines)}")

    listener, hook = _Listener(heard), threading.excepthook
    logging.getLogger().addHandler(listener)
    threading.excepthook = of_thread
    try:
        yield heard
    finally:
        threading.excepthook = hook
        logging.getLogger().removeHandler(listener)


def _forget_peak() -> None:
    """Let the peak of memory begin anew, where the system can: on Linux."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak_bytes() -> int:
    """Return the most memory that this process took since `_forget_peak`; 0 where the system does not say."""
    return _status_bytes("VmHWM")


def _status_bytes(name: str) -> int:
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(name)), 0)
