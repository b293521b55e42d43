"""Checks of command-line values: a wrong one raises an InputError that names the flag, the value and what is allowed."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.errors import InputError


def check_names(flag: str, names: Iterable[str], allowed: Sequence[str]) -> tuple[str, ...]:
    """Return the names, each once, in their order; raise InputError for the first that is not allowed."""
    chosen = tuple(dict.fromkeys(names))
    for name in chosen:
        if name not in allowed:
            alike = difflib.get_close_matches(name, allowed, 3, 0.5)
            hint = f"did you mean {' or '.join(alike)}? " if alike else ""
            raise InputError(f"{flag} is {name!r}; {hint}choose from: {', '.join(allowed)}.")
    return chosen


def check_whole(flag: str, value: int, maximum: int) -> int:
    """Return a number from 1 to `maximum`; raise InputError for any other."""
    if not 1 <= value <= maximum:
        raise InputError(f"{flag} is {value}, but it must be from 1 to {maximum}.")
    return value


def check_positive(flag: str, value: float | None) -> float | None:
    """Return a finite number above 0, or None where none was given; raise InputError for any other."""
    if value is not None and not (math.isfinite(value) and value > 0):
        raise InputError(f"{flag} is {value:g}, but it must be a number above 0.")
    return value


def check_folder(flag: str, path: Path) -> Path:
    """Return a path that is a folder or can become one; raise InputError where a file is in its place."""
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            raise InputError(f"{flag} is {path}, but {place} is a file; choose a folder.")
    return path


def refuse_unused(unused: Iterable[str], situation: str) -> None:
    """Raise InputError where flags were given that have no effect in a situation, such as 'with --sheets'."""
    flags = list(unused)
    if flags:
        verb = "has" if len(flags) == 1 else "have"
        raise InputError(
            f"{', '.join(flags)} {verb} no effect {situation}; leave {'it' if verb == 'has' else 'them'} out."
        )
