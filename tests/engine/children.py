"""Children of a ProcessEngine for tests: without torch, so that they start at once, with every way to end."""

from __future__ import annotations

import os
import signal
import struct
import threading
import time
from multiprocessing.connection import Connection

import numpy as np

from cnet_app.engine.messages import Cancel, Close, Died, Ended, Happened, Run, StatusChanged
from cnet_app.engine.protocol import EngineStatus, Event, Loading, Note, PictureMade, Prepared, Stepped
from cnet_app.request.generation import GenerationRequest
from cnet_app.settings import Settings
from models.errors import CancelledError, EngineError, InputError

SIGNALS = {"kill": signal.SIGKILL, "segfault": signal.SIGSEGV}
STAGES = ("loading", "prepared", "stepping", "made", "half a message")
"""What the child has told last when it is killed."""


def serve(connection: Connection, settings: Settings, parent: int) -> None:
    """Do what each task's prompt says."""
    connection.send(StatusChanged(EngineStatus(state="ready", base="embedded", device="cpu")))
    cancelled: dict[int, threading.Event] = {}
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            os._exit(0)
        if isinstance(message, Run):
            cancelled[message.number] = threading.Event()
            arguments = (connection, message, cancelled[message.number])
            threading.Thread(target=_run, args=arguments, daemon=True).start()
        elif isinstance(message, Cancel):
            cancelled[message.number].set()
        elif isinstance(message, Close):
            os._exit(0)


def die_at_once(connection: Connection, settings: Settings, parent: int) -> None:
    """A child that cannot start."""
    connection.send(Died("no torch here"))
    os._exit(1)


def never_up(connection: Connection, settings: Settings, parent: int) -> None:
    """A child that still imports its libraries, and reads no message."""
    time.sleep(600)


def _events(request: GenerationRequest) -> tuple[Event, ...]:
    return (
        Loading(name="embedded"),
        Prepared(request=request),
        Stepped(image_index=0, step=1, steps=3, preview=b"jpeg"),
        PictureMade(index=0, pixels=np.zeros((64, 64, 3), np.uint8), facts={}),
    )


def _die_at(stage: str, connection: Connection, message: Run) -> None:
    """Send the events of a picture up to a stage, the one after the last of them in part, and die."""
    assert isinstance(message.task, GenerationRequest)
    for event in _events(message.task)[: STAGES.index(stage) + 1]:
        connection.send(Happened(message.number, event))
    if stage == STAGES[-1]:
        os.write(connection.fileno(), struct.pack("!i", 1000) + b"half")
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(10)


def _work(seconds: float) -> None:
    """Use the processor and send nothing."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass


def _run(connection: Connection, message: Run, cancelled: threading.Event) -> None:
    assert isinstance(message.task, GenerationRequest)
    prompt, number = message.task.prompt, message.number
    connection.send(Happened(number, Note(text=prompt)))
    error: Exception | None = None
    if prompt in SIGNALS:
        os.kill(os.getpid(), SIGNALS[prompt])
        time.sleep(10)  # the signal may reach another thread first
    elif prompt in STAGES:
        _die_at(prompt, connection, message)
    elif prompt == "hang":
        time.sleep(100)
    elif prompt == "work":
        _work(2.0)
    elif prompt == "exit":
        os._exit(3)
    elif prompt == "broken device":
        connection.send(Ended(number, EngineError("The device cuda stopped working (CUDA error).")))
        os._exit(70)
    elif prompt == "mistake":
        error = InputError("A mistake.")
    elif prompt == "wait":
        while not cancelled.wait(0.01):
            pass
        error = CancelledError("Cancelled.")
    elif prompt == "picture":
        started = time.perf_counter()
        pixels = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
        facts = {"seconds": str(time.perf_counter() - started)}
        connection.send(Happened(number, PictureMade(index=0, pixels=pixels, facts=facts)))
    connection.send(Ended(number, error))
