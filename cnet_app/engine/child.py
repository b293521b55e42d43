"""The child process of a ProcessEngine: runs a TorchEngine, and ends when its parent does."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from cnet_app.engine.messages import Cancel, Close, Died, Ended, Happened, Reply, Run, StatusChanged, Unload
from models.downloads.disk import disk_explained
from models.errors import USER_ERRORS, EngineError, StudioError

if TYPE_CHECKING:
    from cnet_app.engine.torch_engine import TorchEngine
    from cnet_app.request.tasks import Task
    from cnet_app.settings import Settings

LOG = logging.getLogger(__name__)
BROKEN = 70
"""Exit code after which only a new process can use the device."""
NICENESS = 10
"""Lower priority than the page's process, which answers others while networks use every core."""
PARENT_CHECK = 1.0
"""Seconds between two looks at the parent process."""


def serve(connection: Connection, settings: Settings, parent: int) -> None:
    """Run tasks that come through the connection until it closes; the entry point of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C goes to the parent, which closes this process
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    child = _Child(connection)
    try:
        from cnet_app.engine.torch_engine import TorchEngine

        engine = TorchEngine(settings)
    except Exception as error:
        LOG.exception("The engine cannot start.")
        child.send(Died(str(error) if isinstance(error, USER_ERRORS) else f"{type(error).__name__}: {error}"))
        raise SystemExit(1) from error
    child.serve(engine)


def _end_with_parent(parent: int) -> None:
    """A killed parent closes the connection too, but a grandchild may hold the other end open."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK)
    os._exit(0)


class _Child:
    """One thread reads messages; every task has a thread of its own, and the engine puts them into their lanes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._cancels: dict[int, threading.Event] = {}

    def send(self, message: Reply) -> None:
        """Hand a message to the parent; without a parent there is nothing left to do."""
        try:
            with self._sending:
                self._connection.send(message)
        except OSError:
            os._exit(0)

    def serve(self, engine: TorchEngine) -> None:
        """Serve until the connection closes."""
        self._start(lambda: self._warm_up(engine))
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                os._exit(0)
            if isinstance(message, Run):
                cancelled = self._cancels[message.number] = threading.Event()
                self._start(lambda message=message, cancelled=cancelled: self._run(engine, message, cancelled))
            elif isinstance(message, Cancel):
                if cancelled := self._cancels.get(message.number):
                    cancelled.set()
            elif isinstance(message, Unload):
                self._start(lambda: self._unload(engine))
            elif isinstance(message, Close):
                os._exit(0)  # threads that run networks cannot be stopped, and nothing here needs an orderly end

    def _start(self, work: Callable[[], Any]) -> None:
        threading.Thread(target=work, daemon=True).start()

    def _warm_up(self, engine: TorchEngine) -> None:
        self.send(StatusChanged(engine.status()))
        try:
            engine.warm_up()
        except Exception:
            LOG.exception("The base model could not be loaded.")
        self.send(StatusChanged(engine.status()))

    def _unload(self, engine: TorchEngine) -> None:
        try:
            engine.unload()
        except Exception:
            LOG.exception("The models could not be released.")
        self.send(StatusChanged(engine.status()))

    def _run(self, engine: TorchEngine, message: Run, cancelled: threading.Event) -> None:
        error = self._perform(engine, message.task, message.number, cancelled)
        self._cancels.pop(message.number, None)
        self.send(StatusChanged(engine.status()))
        self.send(Ended(message.number, error))
        if isinstance(error, EngineError):
            LOG.error("%s The engine starts again.", error)
            os._exit(BROKEN)

    def _perform(self, engine: TorchEngine, task: Task, number: int, cancelled: threading.Event) -> Exception | None:
        try:
            with disk_explained():
                engine.perform(task, lambda event: self.send(Happened(number, event)), cancelled)
        except USER_ERRORS as error:
            return error.with_traceback(None)
        except Exception:
            reference = secrets.token_hex(3)
            LOG.exception("A task failed (error %s).", reference)
            return StudioError(f"Something went wrong in the app itself (error {reference}); its log has the details.")
        return None
