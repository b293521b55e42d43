"""Names of files, and a console that prints every one of them, whatever the locale's encoding. Loads nothing."""

from __future__ import annotations

import io
import os
import sys


def replace_unprintable() -> None:
    """Print escapes in place of characters that the console's or pipe's encoding lacks, instead of raising.

    Called once at the start of a process: pipes are in the locale's encoding, such as cp1252, and file names are not.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def restart_in_utf8() -> None:
    """Begin the process again, under its number, where the locale's encoding cannot hold every name of a file.

    That is so in the C locale with Python's UTF-8 mode switched off, and in locales such as en_US.ISO-8859-1: a photo of
    another alphabet could not be uploaded. Windows has every name.
    """
    if os.name == "posix" and not sys.flags.utf8_mode and not is_unicode(sys.getfilesystemencoding()):
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def is_unicode(encoding: str | None) -> bool:
    """Return whether an encoding has every character. Where it has not, JSON needs ASCII escapes to stay JSON."""
    return (encoding or "").lower().replace("_", "-").startswith("utf")
