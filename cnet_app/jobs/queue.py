"""Who is next: sessions take turns, and within a session the first to come is the first to go."""

from __future__ import annotations

from collections import deque
from itertools import zip_longest
from typing import Generic, TypeVar

T = TypeVar("T")


class Line(Generic[T]):
    """Waiting items. Not safe between threads: its owner holds a lock."""

    def __init__(self) -> None:
        self._sessions: dict[str, deque[T]] = {}
        """In turn: the first session is served next."""

    def __len__(self) -> int:
        return sum(map(len, self._sessions.values()))

    def add(self, session: str, item: T) -> None:
        """To the end of its session."""
        self._sessions.setdefault(session, deque()).append(item)

    def take(self) -> T:
        """The next item; its session goes to the end of the turn. IndexError where nothing waits."""
        if not self._sessions:
            raise IndexError("Nothing waits.")
        session = next(iter(self._sessions))
        items = self._sessions.pop(session)
        item = items.popleft()
        if items:
            self._sessions[session] = items
        return item

    def remove(self, item: T) -> bool:
        """Whether it was waiting."""
        for session, items in self._sessions.items():
            if item in items:
                items.remove(item)
                if not items:
                    del self._sessions[session]
                return True
        return False

    def order(self) -> list[T]:
        """All items as they will be taken if nobody else comes."""
        rounds = zip_longest(*self._sessions.values())
        return [item for turn in rounds for item in turn if item is not None]
