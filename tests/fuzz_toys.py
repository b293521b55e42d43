"""Kinds of inputs whose reader fails in each way that the watch over it must notice."""

from __future__ import annotations

import logging
import os
import threading
import time
from functools import partial
from pathlib import Path
from random import Random

from benchmarks.fuzz.attempt import Kind, always
from benchmarks.fuzz.changes import Files
from models.errors import InputError

FLOOD = 600_000_000
"""Bytes that the reader of a flood takes."""


def make_toy(random: Random) -> Files:
    """Return one file of random bytes."""
    return {"file": random.randbytes(8)}


def answers(folder: Path) -> None:
    """Read the file."""
    (folder / "file").read_bytes()


def refuses(folder: Path) -> None:
    """Raise an answer."""
    raise InputError("The file is no good; choose another.")


def is_silent(folder: Path) -> None:
    """Raise an answer without a sentence."""
    raise InputError("")


def fails(folder: Path) -> None:
    """Raise what is no answer."""
    raise KeyError("file")


def logs(folder: Path) -> None:
    """Log a traceback, and answer."""
    try:
        fails(folder)
    except KeyError:
        logging.getLogger(__name__).exception("It failed.")


def fails_in_a_thread(folder: Path) -> None:
    """Fail where nobody catches it, and answer."""
    thread = threading.Thread(target=fails, args=(folder,))
    thread.start()
    thread.join()


def hangs(folder: Path) -> None:
    """Take for ever."""
    time.sleep(60)


def crashes(folder: Path) -> None:
    """End the process."""
    os._exit(7)


def floods(folder: Path) -> None:
    """Take much memory for a moment."""
    len(bytearray(os.urandom(1)) * FLOOD)


TOYS = tuple(
    Kind(read.__name__, read.__name__, 1, make_toy, partial(always, read))
    for read in (answers, refuses, is_silent, fails, logs, fails_in_a_thread, hangs, crashes, floods)
)
