"""A disk that is full or cannot be written to, as one sentence, wherever it was found out. Loads nothing."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Generator
from contextlib import contextmanager

from models.errors import SaveError

FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG})
CLOSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_RUST = re.compile(r"\(os error (\d+)\)")
_TORCH = "inline_container.cc"
"""In torch's error where a file could not be written to its end; why is not in its words."""
BROKEN = frozenset({errno.EIO, getattr(errno, "ESTALE", errno.EIO)})


def disk_error(error: BaseException) -> SaveError | None:
    """Return the error to show, which names no file; None where it was not the disk."""
    number = _number(error)
    if number is None:
        return None
    if number in FULL:
        return SaveError(f"The disk is full ({os.strerror(number)}); make room there, then try again.")
    if number in CLOSED:
        return SaveError(f"A folder of the app cannot be written to ({os.strerror(number)}); allow it, then try again.")
    if number in BROKEN:
        return SaveError(f"The disk does not answer ({os.strerror(number)}); check it, then try again.")
    return None


def disk_reason(error: BaseException) -> str:
    """Return why a file could not be written, in the system's words where they are known, for the middle of a sentence."""
    number = _number(error)
    return os.strerror(number) if number is not None else str(error).partition("\n")[0].rstrip(".")


def _number(error: BaseException) -> int | None:
    """Return the system's number of an error; libraries in Rust have it in the message alone, torch in an error before it."""
    if isinstance(error, OSError):
        return error.errno
    if _TORCH in str(error) and "unexpected pos" in str(error):
        before = error.__context__
        return before.errno if isinstance(before, OSError) else errno.ENOSPC
    found = _RUST.search(str(error))
    return int(found[1]) if found else None


@contextmanager
def disk_explained() -> Generator[None]:
    """Raise SaveError in the place of an error for which `disk_error` has a sentence."""
    try:
        yield
    except Exception as error:
        if fault := disk_error(error):
            raise fault from error
        raise
