"""The device that networks run on, and the networks that are loaded there. Loads no torch."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from models.errors import InputError

Network = TypeVar("Network")
Given = TypeVarTuple("Given")

DEVICE = re.compile(r"cpu|mps|cuda(:\d+)?")


class LoadedNetworks:
    """Networks in memory: of each loader the one it loaded last, until `release`.

    A network is loaded again when the loader gets other arguments, or when the sizes or dates of the files among them have
    changed. Threads that ask for the same loader wait for each other.
    """

    def __init__(self, guard: threading.Lock | None = None) -> None:
        """`guard` is held while a network is loaded: libraries switch global state for it, which other threads would see."""
        self._guard = guard or threading.Lock()
        self._loaded: dict[Callable[..., object], tuple[Hashable, Any]] = {}
        self._loading: dict[Callable[..., object], threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, load: Callable[[*Given], Network], *given: *Given) -> Network:
        """Return what `load(*given)` returns, or returned the last time. `load` is a function of a module."""
        key = given, tuple(_stamps(value) for value in given if isinstance(value, Path))
        with self._lock:
            loading = self._loading.setdefault(load, threading.Lock())
        with loading:
            with self._lock:
                if load in self._loaded and self._loaded[load][0] == key:
                    return self._loaded[load][1]
                self._loaded.pop(load, None)  # its memory is free before the next network needs it
            with self._guard:
                network = load(*given)
            with self._lock:
                self._loaded[load] = key, network
            return network

    def holding(self) -> int:
        """Return how many networks are in memory."""
        return len(self._loaded)

    def release(self) -> int:
        """Drop all networks, and return how many there were. Each is loaded again when it is used again."""
        with self._lock:
            count = len(self._loaded)
            self._loaded.clear()
        return count


@dataclass(frozen=True)
class Runtime:
    """The device and the loaded networks of annotators. A process needs one, which it passes to every call."""

    device: str = "cpu"
    """As torch writes it: cpu, cuda, cuda:1, mps."""
    networks: LoadedNetworks = field(default_factory=LoadedNetworks, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not DEVICE.fullmatch(self.device):
            raise InputError(f"device is {self.device!r}, but it must be cpu, cuda, cuda:0, cuda:1 … or mps.")

    def load(self, load: Callable[[str, *Given], Network], *given: *Given) -> Network:
        """Return the network that `load(device, *given)` loads; the last one of each `load` stays in memory."""
        return self.networks.get(load, self.device, *given)


def _stamps(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Return name, date in ns and size of a file, or of every file of a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
