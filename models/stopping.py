"""A way out of long loading: who loads says when to stop, and every network asks before it is read. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

_ASK: ContextVar[Callable[[], None]] = ContextVar("ask", default=lambda: None)


@contextmanager
def stoppable(ask: Callable[[], None]) -> Generator[None]:
    """Inside, `ask` is called before each network of a model is read; what it raises ends the loading."""
    token = _ASK.set(ask)
    try:
        yield
    finally:
        _ASK.reset(token)


def stopping_point() -> None:
    """Where nothing half-done is left behind by stopping."""
    _ASK.get()()
