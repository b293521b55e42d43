"""Standard output and error that print every name, whatever their encoding. Loads nothing."""

from __future__ import annotations

import io
import sys


def replace_unprintable() -> None:
    """Print escapes in place of characters that the console's or pipe's encoding lacks, instead of raising.

    Called once at the start of a process: pipes are in the locale's encoding, such as cp1252, and file names are not.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_unicode(encoding: str | None) -> bool:
    """Return whether an encoding has every character. Where it has not, JSON needs ASCII escapes to stay JSON."""
    return (encoding or "").lower().replace("_", "-").startswith("utf")
