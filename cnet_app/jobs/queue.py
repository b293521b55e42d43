"""The order of waiting jobs: addresses take turns, and at each address its sessions; of a session first come, first served."""

from __future__ import annotations

from collections import deque
from itertools import zip_longest
from typing import Generic, TypeVar

T = TypeVar("T")


class Queue(Generic[T]):
    """Waiting items by address and session. Not thread-safe: its owner holds a lock.

    Whoever does not tell addresses apart gives none; then sessions take turns.
    """

    def __init__(self) -> None:
        self._addresses: dict[str, dict[str, deque[T]]] = {}
        """Both in the order of their turns."""
        self._places: dict[str, str] = {}
        """The address of each session that waits: that of its first item."""

    def __len__(self) -> int:
        return sum(len(items) for sessions in self._addresses.values() for items in sessions.values())

    def waiting(self, session: str) -> int:
        """Return how many items of a session wait."""
        return len(self._items(session))

    def add(self, session: str, item: T, address: str = "") -> None:
        """Append an item to its session."""
        place = self._places.setdefault(session, address)
        self._addresses.setdefault(place, {}).setdefault(session, deque()).append(item)

    def put_back(self, session: str, item: T, address: str = "") -> None:
        """Make an item the next one again."""
        place = self._places.setdefault(session, address)
        sessions = self._addresses.pop(place, {})
        items = sessions.pop(session, deque[T]())
        items.appendleft(item)
        self._addresses = {place: {session: items} | sessions} | self._addresses

    def take(self) -> T:
        """Remove and return the next item; its address and session go to the end of the turns. IndexError where nothing waits."""
        if not self._addresses:
            raise IndexError("Nothing waits.")
        address, sessions = next(iter(self._addresses.items()))
        session = next(iter(sessions))
        items = sessions.pop(session)
        item = items.popleft()
        sessions[session] = items
        self._addresses[address] = self._addresses.pop(address)
        self._drop_empty(session)
        return item

    def move(self, session: str, item: T, place: int) -> None:
        """Make a waiting item the first (1), second … of its session; other sessions keep their turns."""
        items = self._items(session)
        items.remove(item)
        items.insert(place - 1, item)

    def remove(self, item: T) -> bool:
        """Remove an item; False where it does not wait."""
        for session in self._places:
            items = self._items(session)
            if item in items:
                items.remove(item)
                self._drop_empty(session)
                return True
        return False

    def order(self) -> list[T]:
        """Return all items in the order in which they will be taken if none is added."""
        return _turns(*(_turns(*sessions.values()) for sessions in self._addresses.values()))

    def _items(self, session: str) -> deque[T]:
        return self._addresses.get(self._places.get(session, ""), {}).get(session, deque())

    def _drop_empty(self, session: str) -> None:
        """Forget a session that has nothing left, and an address without sessions."""
        sessions = self._addresses[self._places[session]]
        if sessions[session]:
            return
        del sessions[session]
        address = self._places.pop(session)
        if not sessions:
            del self._addresses[address]


def _turns(*several: list[T] | deque[T]) -> list[T]:
    """Return the first items of all, then the second ones, and so on."""
    return [item for turn in zip_longest(*several) for item in turn if item is not None]
