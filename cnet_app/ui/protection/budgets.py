"""What the visitors of one network address may do together: an address is harder to change than a browser's identity."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from cnet_app.jobs.state import JobState
from models.errors import StudioError

MAX_SESSIONS = 10_000
"""Sessions whose addresses are known; the least recently seen go first."""
SWEEPS_AT_ONCE = 2
"""Grids and batches of one address that run at the same time."""


@dataclass
class Budgets:
    """Remembers the address of each session, and counts. Thread-safe."""

    _addresses: OrderedDict[str, str] = field(default_factory=OrderedDict[str, str])
    _working: dict[str, int] = field(default_factory=dict[str, int])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def meet(self, session: str, address: str) -> None:
        """Note that a session calls from an address."""
        with self._lock:
            self._addresses.pop(session, None)
            self._addresses[session] = address
            while len(self._addresses) > MAX_SESSIONS:
                self._addresses.popitem(last=False)

    def address(self, session: str) -> str:
        """Return the address that a session called from last; empty where it is not known."""
        with self._lock:
            return self._addresses.get(session, "")

    def sessions(self, address: str) -> frozenset[str]:
        """Return the sessions that called from an address last."""
        with self._lock:
            return frozenset(session for session, known in self._addresses.items() if known == address)

    def admit(self, active: Iterable[JobState], address: str, most: int) -> None:
        """Raise StudioError where an address has `most` jobs waiting."""
        own = self.sessions(address) if address else frozenset[str]()
        waiting = sum(state.status == "queued" and state.session in own for state in active)
        if waiting >= most:
            raise StudioError(
                f"{waiting} jobs of your network address wait already, and no more may; try again when one is done."
            )

    def begin(self, name: str, most: int) -> bool:
        """Count one more that works under a name; False, and it is not counted, where `most` do already."""
        with self._lock:
            if self._working.get(name, 0) >= most:
                return False
            self._working[name] = self._working.get(name, 0) + 1
            return True

    def end(self, name: str) -> None:
        """Count one less."""
        with self._lock:
            self._working[name] -= 1
            if not self._working[name]:
                del self._working[name]
