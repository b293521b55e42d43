"""The order of waiting jobs: sessions take turns; within a session first come, first served."""

from __future__ import annotations

from collections import deque
from itertools import zip_longest
from typing import Generic, TypeVar

T = TypeVar("T")


class Queue(Generic[T]):
    """Waiting items by session. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._sessions: dict[str, deque[T]] = {}
        """In the order of their turns."""

    def __len__(self) -> int:
        return sum(map(len, self._sessions.values()))

    def waiting(self, session: str) -> int:
        """Return how many items of a session wait."""
        return len(self._sessions.get(session, ()))

    def add(self, session: str, item: T) -> None:
        """Append an item to its session."""
        self._sessions.setdefault(session, deque()).append(item)

    def put_back(self, session: str, item: T) -> None:
        """Make an item the next one again."""
        items = self._sessions.pop(session, deque[T]())
        items.appendleft(item)
        self._sessions = {session: items} | self._sessions

    def take(self) -> T:
        """Remove and return the next item; its session goes to the end of the turns. IndexError where nothing waits."""
        if not self._sessions:
            raise IndexError("Nothing waits.")
        session = next(iter(self._sessions))
        items = self._sessions.pop(session)
        item = items.popleft()
        if items:
            self._sessions[session] = items
        return item

    def move(self, session: str, item: T, place: int) -> None:
        """Make a waiting item the first (1), second … of its session; other sessions keep their turns."""
        items = self._sessions[session]
        items.remove(item)
        items.insert(place - 1, item)

    def remove(self, item: T) -> bool:
        """Remove an item; False where it does not wait."""
        for session, items in self._sessions.items():
            if item in items:
                items.remove(item)
                if not items:
                    del self._sessions[session]
                return True
        return False

    def order(self) -> list[T]:
        """Return all items in the order in which they will be taken if none is added."""
        rounds = zip_longest(*self._sessions.values())
        return [item for turn in rounds for item in turn if item is not None]
