"""The C library's allocator: what becomes of memory that is freed. Loads no torch."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Numbers of glibc's mallopt: https://www.man7.org/linux/man-pages/man3/mallopt.3.html"""
_DEFAULTS = {_TRIM_THRESHOLD: 128 * 1024, _MMAP_MAX: 65536}
"""glibc's own, from the same page."""
_KEEPING = {_TRIM_THRESHOLD: -1, _MMAP_MAX: 0}
"""Never trim, and take no block from the system on its own, since such blocks are returned when they are freed."""


def return_freed() -> None:
    """Return freed memory to the system: glibc keeps what lies between pieces in use, so that many visitors' would add up."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


@contextmanager
def keep_freed() -> Generator[bool]:
    """Keep freed memory in the process inside the block, for its next tensors; yield whether the C library can.

    glibc returns every large block at once, and the system clears and maps each of its pages again for the next one. A
    training allocates the same gigabytes in every step. Numbers do not change. Settings are those of the whole process;
    glibc stops adapting its threshold for large blocks, also afterwards.
    """
    library: Any = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
    for option, value in _KEEPING.items() if library else ():
        library.mallopt(option, value)
    try:
        yield library is not None
    finally:
        for option, value in _DEFAULTS.items() if library else ():
            library.mallopt(option, value)
        return_freed()
