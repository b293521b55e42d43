"""A cache of encodings: what networks make of prompts, maps and pictures is used again while they are loaded."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from hashlib import sha256
from typing import Any, TypeVar

from torch import Tensor, nn

MAX_BYTES = 256_000_000

Encoding = TypeVar("Encoding", bound="Tensor | tuple[Tensor, ...]")


class EncodingCache:
    """Encodings by the network that made them and a key of their content. At most `max_bytes`; for one thread."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._encodings: OrderedDict[tuple[weakref.ref[nn.Module], Hashable], Any] = OrderedDict()

    def get(self, network: nn.Module, key: Hashable, encode: Callable[[], Encoding]) -> Encoding:
        """Return the encoding of a network and key, made by `encode` where it is not in the cache.

        The key holds everything that the encoding depends on beside the network's own weights: the content, and the
        LoRAs on the network by their files' versions, see models.lora.loras.lora_versions.
        """
        place = (weakref.ref(network), key)
        if place not in self._encodings:
            encoding = encode()
            self._shrink()
            self._encodings[place] = encoding
        self._encodings.move_to_end(place)
        return self._encodings[place]

    def on_demand(self, bring: Callable[[nn.Module], None]) -> EncodingCache:
        """Return a view of this cache that calls `bring` with a network before that runs."""
        return _OnDemand(self, bring)

    def _shrink(self) -> None:
        """Remove the encodings of unloaded networks, and the least recently used ones beyond the limit."""
        for place in [place for place in self._encodings if place[0]() is None]:
            del self._encodings[place]
        while self._encodings and sum(map(_bytes, self._encodings.values())) > self._max_bytes:
            self._encodings.popitem(last=False)


class _OnDemand(EncodingCache):
    """See EncodingCache.on_demand."""

    def __init__(self, cache: EncodingCache, bring: Callable[[nn.Module], None]) -> None:
        super().__init__()
        self._cache, self._bring = cache, bring

    def get(self, network: nn.Module, key: Hashable, encode: Callable[[], Encoding]) -> Encoding:
        def brought() -> Encoding:
            self._bring(network)
            return encode()

        return self._cache.get(network, key, brought)


def image_key(image: Tensor) -> Hashable:
    """Return a key of an image's content; the tensor is on the CPU."""
    return tuple(image.shape), sha256(image.numpy().tobytes()).digest()


def _bytes(encoding: Tensor | tuple[Tensor, ...]) -> int:
    return sum(tensor.nbytes for tensor in (encoding if isinstance(encoding, tuple) else (encoding,)))
