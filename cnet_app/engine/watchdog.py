"""A child process that hangs: a cancelled task that does not end, or a task without any sign of work. Loads no torch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psutil

CHECK = 1.0
"""Seconds between two looks."""
CANCEL_LIMIT = 60.0
"""Seconds within which a cancelled task ends: a step, or the read of one network."""
SILENCE_LIMIT = 600.0
"""Seconds without a message and without work from which on a process hangs. A slow step is silent too, but it works."""
IDLE = 1.0
"""Seconds of the processor's time that a process which only waits may use within SILENCE_LIMIT."""


def processor_seconds(process_id: int) -> float:
    """Return the processor's time that a process has used; 0 where it is gone."""
    try:
        times = psutil.Process(process_id).cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


class Watchdog:
    """Follows the tasks of one child process. Thread-safe."""

    def __init__(self, used: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        """`used` returns the seconds of the processor's time that the process has used so far."""
        self._used, self._clock = used, clock
        self._lock = threading.Lock()
        self._cancelled: dict[int, float | None] = {}
        """When each task was cancelled; None for one that was not."""
        self._heard = self._seen = clock()
        self._used_then = 0.0

    def start(self, number: int) -> None:
        """Follow a task."""
        with self._lock:
            self._heard = self._clock()
            self._cancelled[number] = None

    def cancel(self, number: int) -> None:
        """Expect the end of a task; one that is over stays as it is."""
        with self._lock:
            if number in self._cancelled and self._cancelled[number] is None:
                self._cancelled[number] = self._clock()

    def end(self, number: int) -> None:
        """Forget a task."""
        with self._lock:
            self._cancelled.pop(number, None)

    def hear(self) -> None:
        """Take note of a message of the process."""
        with self._lock:
            self._heard = self._clock()

    def is_cancelled(self, number: int) -> bool:
        """Return whether a task that is not over was cancelled."""
        with self._lock:
            return self._cancelled.get(number) is not None

    def fault(self) -> str:
        """Return how the process hangs, as a clause; empty where it does not."""
        with self._lock:
            now = self._clock()
            if any(at is not None and now - at > CANCEL_LIMIT for at in self._cancelled.values()):
                return f"a cancelled task did not end within {CANCEL_LIMIT:g} seconds"
            if not self._cancelled or self._heard > self._seen:
                self._seen, self._used_then = now, self._used()
            elif now - self._seen > SILENCE_LIMIT:
                used = self._used()
                if used - self._used_then < IDLE:
                    return f"a task showed no sign of work for {SILENCE_LIMIT / 60:g} minutes"
                self._seen, self._used_then = now, used
            return ""
