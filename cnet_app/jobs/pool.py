"""One set of models in memory, however many jobs, tabs and users: the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Pool(Generic[T]):
    """At most `capacity` loaded things by key. For one thread."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._loaded: OrderedDict[object, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._loaded)

    def get(self, key: object, load: Callable[[], T]) -> T:
        """The loaded thing, else what `load` gives. A load that fails leaves nothing behind."""
        if key not in self._loaded:
            self.shrink(self._capacity - 1)  # room first: two large models may not fit side by side
            self._loaded[key] = load()
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def shrink(self, count: int) -> None:
        """Forgets all but the `count` most recently used."""
        while len(self._loaded) > max(count, 0):
            self._loaded.popitem(last=False)
