"""The end of the app by a signal: SIGTERM, and the end of the terminal, close it as Ctrl+C does."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from models.errors import USER_ERRORS, exit_code

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Signals that close the app, where the system has them."""
IN_A_HURRY = 1
"""Exit code where a second Ctrl+C ends the app before it has closed."""


class Stop:
    """Waits for the first signal; one that comes earlier, while the app starts, interrupts the main thread."""

    def __init__(self) -> None:
        """Take the signals, except those that whoever started the app turned off, as nohup does. In the main thread only."""
        self._asked = threading.Event()
        self._is_waiting = False
        for name in NAMES:
            number = getattr(signal, name, None)
            if number and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._take)

    def wait(self) -> None:
        """Return after the first signal."""
        self._is_waiting = True
        while not self._asked.wait(1.0):  # a wait without an end would hear no signal on Windows
            pass

    def _take(self, number: int, _: FrameType | None) -> None:
        if self._asked.is_set():
            if number == signal.SIGINT:
                os._exit(IN_A_HURRY)  # closing takes too long for who waits; others send SIGTERM more than once
            return
        self._asked.set()
        if not self._is_waiting:
            raise KeyboardInterrupt


def until_stopped(run: Callable[[Stop], None]) -> int:
    """Run the app and return its exit code: 0 after a signal, else that of its error, which is printed."""
    stop = Stop()
    try:
        run(stop)
    except KeyboardInterrupt:
        return 0
    except USER_ERRORS as error:
        print(error, file=sys.stderr)
        return exit_code(error)
    return 0
