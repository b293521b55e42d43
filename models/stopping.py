"""Cancelling of a load: a check that runs before each network is read. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

_CHECK: ContextVar[Callable[[], None]] = ContextVar("check", default=lambda: None)


@contextmanager
def stoppable(check: Callable[[], None]) -> Generator[None]:
    """Call `check` before each network that is read inside the block; what it raises ends the loading."""
    token = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(token)


def stopping_point() -> None:
    """Run the check, at a place where stopping leaves nothing unfinished."""
    _CHECK.get()()
