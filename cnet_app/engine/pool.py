"""Models in memory: each loaded once and shared, within a budget of bytes. The least recently used goes first."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable, Mapping
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Pool(Generic[T]):
    """Models by key. For one thread.

    What is taken inside `pinned` stays until that block ends, even above the budget: one request's models must be in
    memory together. It is evicted when a later request loads something else.
    """

    def __init__(self, storages: Callable[[T], Mapping[Hashable, int]], budget: int) -> None:
        """`storages` returns the bytes of what a model holds, by keys that are the same for what models share."""
        self._storages = storages
        self._budget = budget
        self._models: OrderedDict[Hashable, T] = OrderedDict()
        self._pins: set[Hashable] = set()
        self._alive: list[weakref.ref[T]] = []

    def __len__(self) -> int:
        return len(self._models)

    @property
    def keys(self) -> tuple[Hashable, ...]:
        """Keys of all models, the least recently used first."""
        return tuple(self._models)

    @property
    def bytes(self) -> int:
        """Bytes of all models that are alive, each storage once, those included that were evicted and are still held by somebody."""
        self._alive = [reference for reference in self._alive if reference() is not None]
        models = [model for reference in self._alive if (model := reference()) is not None]
        return sum({key: size for model in models for key, size in self._storages(model).items()}.values())

    @contextmanager
    def pinned(self) -> Generator[None]:
        """Keep everything taken inside until the end of the block."""
        try:
            yield
        finally:
            self._pins.clear()

    def get(self, key: Hashable, load: Callable[[], T], expected: int = 0) -> T:
        """Return the model of a key, else load it after making room for the `expected` bytes.

        A failed load leaves nothing behind.
        """
        if key not in self._models:
            self._evict(self._budget - expected)  # first: two large models may not fit together
            model = load()
            self._models[key] = model
            self._alive.append(weakref.ref(model))
            self._pins.add(key)
            self._evict(self._budget)
        self._pins.add(key)
        self._models.move_to_end(key)
        return self._models[key]

    def peek(self, key: Hashable) -> T | None:
        """Return the model of a key without loading, pinning or moving it."""
        return self._models.get(key)

    def clear(self) -> None:
        """Remove all models."""
        self._models.clear()
        self._pins.clear()

    def _evict(self, budget: int) -> None:
        while self.bytes > max(budget, 0):
            key = next((key for key in self._models if key not in self._pins), None)
            if key is None:
                return
            del self._models[key]
