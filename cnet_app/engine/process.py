"""The engine in a child process, which is started again when it dies. Loads no torch."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from cnet_app.engine.child import serve
from cnet_app.engine.messages import Cancel, Close, Died, Ended, Happened, Run, StatusChanged, Unload
from cnet_app.engine.protocol import EngineStatus
from cnet_app.engine.stream import Stream
from cnet_app.engine.watchdog import CHECK, Watchdog, processor_seconds
from cnet_app.request.tasks import Task
from cnet_app.settings import Settings
from models.errors import CancelledError, EngineError

LOG = logging.getLogger(__name__)
MAX_DEATHS, WINDOW = 3, 60.0
"""After so many deaths within so many seconds the engine stays down."""
BACKOFF = (0.0, 0.5, 2.0)
"""Seconds before the next start, by the number of deaths in the window."""
GRACE = 5.0
"""Seconds in which a child that closed its connection ends by itself."""
CLOSING = 1.0
"""Seconds in which the child ends by itself when it is closed."""


class ProcessEngine:
    """Starts its child with `start` or the first task; tasks wait until it is up. Thread-safe."""

    def __init__(self, settings: Settings, target: Callable[[Connection, Settings, int], None] = serve) -> None:
        """`target` is what runs in the child; a test puts a lighter one there."""
        self._settings = settings
        self._target = target
        self._numbers = count(1)
        self._changed = threading.Condition(threading.RLock())
        self._sending = threading.Lock()
        self._streams: dict[int, Stream] = {}
        self._watchdog = Watchdog(lambda: 0.0)
        self._connection: Connection | None = None
        self._process: BaseProcess | None = None
        self._status = EngineStatus(state="new")
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)
        self._starts = 0
        self._closing = False
        self._watcher = threading.Thread(target=self._watch, name="engine", daemon=True)

    def run(self, task: Task) -> Stream:
        """Start a task, or wait for the child first; EngineError where the engine is down. See Engine.run."""
        with self._changed:
            if self._status.state == "new":
                self.start()
        number = next(self._numbers)
        stream = Stream(lambda: self._cancel(number))
        with self._changed:
            self._changed.wait_for(lambda: self._connection or self._closing or self._status.state == "down")
            if self._closing or self._connection is None:
                raise EngineError(self._status.message or "The engine is closed.")
            self._streams[number] = stream
            self._watchdog.start(number)
        self._send(Run(number, task))
        return stream

    def _cancel(self, number: int) -> None:
        self._watchdog.cancel(number)
        self._send(Cancel(number))

    def status(self) -> EngineStatus:
        """Return at once, whatever runs."""
        with self._changed:
            return self._status

    def unload(self) -> None:
        """Release all models, after the picture that runs."""
        self._send(Unload())

    def start(self) -> None:
        """Start, also again after the engine went down; no effect while it is up."""
        with self._changed:
            if self._closing:
                return
            if self._status.state == "new":
                self._status = replace(self._status, state="starting")
                self._watcher.start()
            elif self._status.state == "down":
                self._deaths.clear()
                self._status = replace(self._status, state="starting", message="")
                self._changed.notify_all()

    def close(self) -> None:
        """Cancel everything and end the child."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._send(Close())
        if self._watcher.is_alive():
            self._watcher.join(CLOSING)
        if self._watcher.is_alive() and self._process:  # it is still importing, and reads no messages
            self._process.kill()
            self._watcher.join(GRACE)

    def _send(self, message: Run | Cancel | Unload | Close) -> None:
        """A message to a child that has died is lost: its streams end with an error all the same."""
        with self._sending:
            try:
                if self._connection is not None:
                    self._connection.send(message)
            except OSError as error:
                LOG.debug("The engine is gone: %s", error)

    def _watch(self) -> None:
        """Start the child, follow it to its end, and begin again."""
        while not self._closing:
            reason = self._live()
            with self._changed:
                if self._closing:
                    break
                self._wait_before_start(reason)
        with self._changed:
            self._status = replace(self._status, state="down", message="The engine is closed.")
            self._changed.notify_all()
        for stream in self._streams.values():  # their followers would wait for ever
            stream.end(CancelledError("The engine is closed."))

    def _live(self) -> str:
        """One life of the child, from its start to its end; why it ended."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=self._target, args=(theirs, self._settings, os.getpid()), name="engine", daemon=True
        )
        process.start()
        self._process = process
        theirs.close()  # else the end of the child would not close the pipe
        with self._changed:
            self._starts += 1
            self._watchdog = Watchdog(lambda: processor_seconds(process.pid or 0))
            self._connection = ours
            self._status = EngineStatus(state="starting", process_id=process.pid or 0, starts=self._starts)
            self._changed.notify_all()
        if self._closing:
            process.kill()
        last_words = self._follow(ours, process)
        with self._changed:
            self._connection = None
        ours.close()
        ended = _ended(process)
        return last_words or ended

    def _follow(self, connection: Connection, process: BaseProcess) -> str:
        """Hand out what the child sends until it ends, or until it hangs and is ended; its last words, or nothing."""
        reason = ""
        while True:
            try:
                is_there = connection.poll(CHECK)
                if hangs := self._watchdog.fault():
                    process.kill()
                    return hangs
                if not is_there:
                    continue
                message = connection.recv()
            except Exception as error:  # noqa: BLE001 - a message cut off by a kill may fail in any way
                LOG.debug("The engine's connection ended: %r", error)
                return reason
            self._watchdog.hear()
            if isinstance(message, Happened):
                if stream := self._streams.get(message.number):
                    stream.put(message.event)
            elif isinstance(message, Ended):
                if isinstance(message.error, EngineError):
                    reason = str(message.error)
                self._watchdog.end(message.number)
                if stream := self._streams.pop(message.number, None):
                    stream.end(message.error)
            elif isinstance(message, StatusChanged):
                self._set_status(message.status)
            elif isinstance(message, Died):
                reason = message.reason

    def _set_status(self, status: EngineStatus) -> None:
        with self._changed:
            self._status = replace(status, process_id=self._status.process_id, starts=self._starts)
            self._changed.notify_all()

    def _wait_before_start(self, reason: str) -> None:
        """After a death: end its tasks, then wait for the backoff, or for `restart` where it died too often."""
        LOG.error("The engine ended: %s", reason)
        streams, self._streams = self._streams, {}
        died = f"The engine stopped while it worked on this ({reason}); it starts again."
        for number, stream in streams.items():
            cancelled = self._watchdog.is_cancelled(number)
            stream.end(CancelledError("The task was cancelled.") if cancelled else EngineError(died))
        now = time.monotonic()
        self._deaths.append(now)
        recent = [death for death in self._deaths if now - death <= WINDOW]
        if len(recent) < MAX_DEATHS:
            self._status = replace(
                self._status, state="starting", message=f"The engine stopped ({reason}) and starts again."
            )
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closing, BACKOFF[len(recent)])
            return
        self._status = replace(
            self._status,
            state="down",
            message=f"The engine stopped {MAX_DEATHS} times within a minute, the last time because {reason}; "
            "close other programs or choose a smaller base model, then start it again.",
        )
        self._changed.notify_all()
        self._changed.wait_for(lambda: self._closing or self._status.state != "down")


def _ended(process: BaseProcess) -> str:
    """Why a child ended, as a clause; the child is reaped."""
    process.join(GRACE)
    if process.exitcode is None:
        process.kill()
        process.join()
    code = process.exitcode or 0
    if code >= 0:
        return f"it ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    hint = ", often for lack of memory" if -code == getattr(signal, "SIGKILL", 0) else ""
    return f"it was ended by {name}{hint}"
