"""Control maps in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from annotators.maps.control_map import ControlMap

CACHE_BYTES = 64_000_000
CACHE_MAPS = 128
"""Those of a few photos for all conditions, however small they are."""


class MapCache:
    """The maps used last, `max_maps` at most, with `max_bytes` of pixels.

    Thread-safe: of several threads that need the same map one makes it.
    """

    def __init__(self, max_bytes: int, max_maps: int = CACHE_MAPS) -> None:
        self._max_bytes, self._max_maps = max_bytes, max_maps
        self._maps: OrderedDict[Hashable, ControlMap] = OrderedDict()
        self._makers: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], ControlMap]) -> ControlMap:
        with self._lock:
            maker = self._makers.setdefault(key, threading.Lock())
        with maker:
            try:
                made = self._known(key) or make()
                self._remember(key, made)
            finally:
                with self._lock:
                    self._makers.pop(key, None)
        return made

    def _known(self, key: Hashable) -> ControlMap | None:
        with self._lock:
            if key in self._maps:
                self._maps.move_to_end(key)
            return self._maps.get(key)

    def _remember(self, key: Hashable, made: ControlMap) -> None:
        with self._lock:
            self._maps[key] = made
            while len(self._maps) > 1 and self._is_full():
                self._maps.popitem(last=False)

    def _is_full(self) -> bool:
        return len(self._maps) > self._max_maps or sum(m.pixels.nbytes for m in self._maps.values()) > self._max_bytes
