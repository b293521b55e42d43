"""What networks made of prompts, maps and pictures, kept for the next click: it is not made again while they are loaded."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from hashlib import sha256
from typing import Any, TypeVar

from torch import Tensor, nn

KEPT_BYTES = 256_000_000

Made = TypeVar("Made", bound="Tensor | tuple[Tensor, ...]")


class Kept:
    """Tensors by the network that made them and what it made them of. For one thread; knows at most so many bytes."""

    def __init__(self, max_bytes: int = KEPT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._made: OrderedDict[tuple[weakref.ref[nn.Module], Hashable], Any] = OrderedDict()

    def get(self, network: nn.Module, key: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` gives, or gave before for this network and key."""
        place = (weakref.ref(network), key)
        if place not in self._made:
            made = make()
            self._forget()
            self._made[place] = made
        self._made.move_to_end(place)
        return self._made[place]

    def _forget(self) -> None:
        """What unloaded networks made, and the least recently used beyond the limit."""
        for place in [place for place in self._made if place[0]() is None]:
            del self._made[place]
        while self._made and sum(map(_bytes, self._made.values())) > self._max_bytes:
            self._made.popitem(last=False)


def image_key(image: Tensor) -> Hashable:
    """What tells one picture on the CPU from another."""
    return tuple(image.shape), sha256(image.numpy().tobytes()).digest()


def _bytes(made: Tensor | tuple[Tensor, ...]) -> int:
    return sum(tensor.nbytes for tensor in (made if isinstance(made, tuple) else (made,)))
