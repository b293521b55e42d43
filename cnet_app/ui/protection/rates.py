"""How often somebody may do something: buckets of tokens that fill again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

MAX_NAMES = 10_000
"""Buckets that are kept; the least recently used go first, which are full again or nearly."""


class Rates:
    """A bucket for each name, which holds `burst` tokens and gets `rate` a second. Thread-safe."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Tokens, and when there were so many."""
        self._lock = threading.Lock()

    def take(self, name: str, tokens: float = 1.0) -> float:
        """Take tokens and return 0; or where there are too few take none, and return the seconds until there are enough."""
        now = self._clock()
        with self._lock:
            held, then = self._buckets.pop(name, (self._burst, now))
            held = min(held + (now - then) * self._rate, self._burst)
            is_enough = held >= tokens
            self._buckets[name] = (held - tokens if is_enough else held, now)
            while len(self._buckets) > MAX_NAMES:
                self._buckets.popitem(last=False)
        return 0.0 if is_enough else (min(tokens, self._burst) - held) / self._rate
