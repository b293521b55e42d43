"""Ctrl-C and a request of the system to end, which a training obeys between two steps."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

SAME = 1.0
"""Seconds in which a second signal counts as the first: a terminal and a launcher both send it."""
NOTICE = b"\nEnds after this step, with a checkpoint. Ctrl-C once more ends at once.\n"


@contextmanager
def between_steps(end_soon: Callable[[], None], tells: bool) -> Generator[None]:
    """Call `end_soon` at the first SIGINT or SIGTERM inside the block; a later one ends the process as usual.

    `tells` writes a notice at a SIGINT. Outside the main thread signals stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    first: list[float] = []

    def obey(number: int, frame: FrameType | None) -> None:
        if not first:
            first.append(time.monotonic())
            if tells and number == signal.SIGINT:
                os.write(2, NOTICE)  # print is not to be called in the middle of another print
            end_soon()
        elif time.monotonic() - first[0] > SAME:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, obey) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
