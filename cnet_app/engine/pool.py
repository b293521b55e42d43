"""One set of models in memory, however many jobs, tabs and users: the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Pool(Generic[T]):
    """Loaded things by key, at most `budget` bytes of them. For one thread."""

    def __init__(self, size: Callable[[T], int], budget: int) -> None:
        self._size = size
        self._budget = budget
        self._loaded: OrderedDict[object, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._loaded)

    @property
    def bytes(self) -> int:
        """Of all loaded things."""
        return sum(map(self._size, self._loaded.values()))

    def get(self, key: object, load: Callable[[], T], expected: int = 0) -> T:
        """The loaded thing, else what `load` gives, after room was made for the expected bytes.

        A load that fails leaves nothing behind. A thing that is larger than the budget stays until the next one comes.
        """
        if key not in self._loaded:
            self._shrink(self._budget - expected)  # room first: two large models may not fit side by side
            self._loaded[key] = load()
            self._loaded.move_to_end(key)
            self._shrink(self._budget, least=1)
        self._loaded.move_to_end(key)
        return self._loaded[key]

    def put(self, key: object, thing: T) -> None:
        """In place of the one that was loaded under the key."""
        self._loaded[key] = thing

    def clear(self) -> None:
        """Forgets everything."""
        self._loaded.clear()

    def _shrink(self, budget: int, least: int = 0) -> None:
        while len(self._loaded) > least and self.bytes > max(budget, 0):
            self._loaded.popitem(last=False)
