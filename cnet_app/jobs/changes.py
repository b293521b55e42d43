"""A counter of changes that pages can wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

CHECK = 0.25
"""Seconds between two looks at what cannot announce its changes."""


class Changes:
    """Rises with every change. Its `condition` guards what changes; its lock may be taken again by the same thread."""

    def __init__(self, look: Callable[[], object]) -> None:
        """`look` returns at once; that its value is another one is a change too, noticed while somebody waits."""
        self.condition = threading.Condition(threading.RLock())
        self._look = look
        self._seen = look()
        # In microseconds, which JavaScript holds exactly: a page that was open before a restart notices it.
        self._version = time.time_ns() // 1_000
        self._closed = False

    def announce(self) -> None:
        """Count a change."""
        with self.condition:
            self._version += 1
            self.condition.notify_all()

    def wait(self, version: int, timeout: float) -> int:
        """Return the version as soon as it is not the given one, at the latest after `timeout` seconds."""
        ends = time.monotonic() + timeout
        while True:
            value = self._look()
            with self.condition:
                if value != self._seen:
                    self._seen = value
                    self.announce()
                left = ends - time.monotonic()
                if self._version != version or self._closed or left <= 0:
                    return self._version
                self.condition.wait_for(lambda: self._version != version or self._closed, min(left, CHECK))

    def close(self) -> None:
        """End every wait, now and later."""
        with self.condition:
            self._closed = True
            self.announce()
