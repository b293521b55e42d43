"""The events of one task between the thread that runs it and the thread that follows it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from cnet_app.engine.protocol import Event

Emit = Callable[[Event], None]


@dataclass(frozen=True)
class _End:
    error: BaseException | None


class Stream:
    """An EventStream. `put` and `end` belong to the runner of the task, the rest to its follower; both sides are thread-safe."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self._items: SimpleQueue[Event | _End] = SimpleQueue()
        self._ended: _End | None = None

    def put(self, event: Event) -> None:
        """Append an event."""
        self._items.put(event)

    def end(self, error: BaseException | None = None) -> None:
        """Append the end: `error` is raised to the follower, None ends the iteration."""
        self._items.put(_End(error))

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Event:
        item = self._ended or self._items.get()
        if not isinstance(item, _End):
            return item
        self._ended = _End(None)  # an error is raised once
        if item.error is not None:
            raise item.error
        raise StopIteration

    def close(self) -> None:
        """Cancel the task; the follower still gets what was made, then CancelledError."""
        self._cancel()


def run_in_thread(work: Callable[[Emit, threading.Event], None], name: str) -> Stream:
    """Run `work(emit, cancelled)` in a thread of its own and return its events as they come."""
    cancelled = threading.Event()
    stream = Stream(cancelled.set)

    def run() -> None:
        try:
            work(stream.put, cancelled)
        except BaseException as error:  # noqa: BLE001 - raised again in the follower's thread
            stream.end(error)
        else:
            stream.end()

    threading.Thread(target=run, name=name, daemon=True).start()
    return stream
