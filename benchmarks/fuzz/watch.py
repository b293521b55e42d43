"""The worker process that reads inputs, and the watch over it: a crash, a hang and a flood of memory are findings too."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

import psutil

from benchmarks.fuzz.attempt import USUAL, Kind, Limits, Outcome, attempt, kept, make_files, put_files

GRACE = 5.0
"""Seconds after the limit in which a worker can end an input by itself."""
LOOK = 0.1
"""Seconds between two looks at the worker's memory."""


@dataclass(frozen=True)
class Begun:
    """An input that the worker reads from now on."""

    kind: str
    number: int


Message: TypeAlias = Begun | Outcome
Plan: TypeAlias = tuple[tuple[Kind, int, int], ...]
"""Kinds of inputs, with the number of the first input and the one after the last."""


@dataclass(frozen=True)
class Task:
    """The work of one process."""

    plan: Plan
    seed: int
    folder: Path
    """Where inputs are written to."""
    results: Path
    """Where findings are kept."""
    limits: Limits


def run(plan: Plan, seed: int, folder: Path, results: Path, limits: Limits = USUAL) -> Iterator[Outcome]:
    """Yield how every input ends; those of findings are kept in `results`. Works in `folder`."""
    while plan:
        last: Begun | None = None
        worker = _Worker(Task(plan, seed, folder, results, limits))
        for message in worker.messages():
            if isinstance(message, Outcome):
                yield message
                plan = _after(plan, message.kind, message.number)
                last = None
            else:
                last = message
        if last is None and plan:
            raise RuntimeError(f"The worker ended before its first input, with exit code {worker.process.exitcode}.")
        if last:
            outcome = Outcome(last.kind, last.number, "finding", worker.seconds, worker.megabytes, worker.end())
            kept(outcome, folder / "input", results)
            yield outcome
            plan = _after(plan, last.kind, last.number)


class _Worker:
    """One process, and what is known of it."""

    def __init__(self, task: Task) -> None:
        context = multiprocessing.get_context("spawn")
        self._receiver, sender = context.Pipe(duplex=False)
        self.process = context.Process(target=work, args=(task, sender), daemon=True)
        self.process.start()
        sender.close()
        self._limits = task.limits
        self.seconds = 0.0
        self.megabytes = 0.0
        self._why = ""

    def messages(self) -> Iterator[Message]:
        """Yield what it reports until it is over, or is ended from here."""
        began: float | None = None
        while True:
            try:
                message: Message | None = self._receiver.recv() if self._receiver.poll(LOOK) else None
            except (EOFError, OSError):
                break
            if message is not None:
                began = time.monotonic() if isinstance(message, Begun) else None
                yield message
                continue
            if began is not None and not self._may_go_on(time.monotonic() - began):
                self.process.kill()
        self.process.join()
        self._receiver.close()

    def end(self) -> str:
        """Return why it ended, within an input."""
        return self._why or f"The process ended with exit code {self.process.exitcode}."

    def _may_go_on(self, seconds: float) -> bool:
        self.seconds, self.megabytes = seconds, _memory(self.process.pid or 0) / 1e6
        if seconds > self._limits.seconds + GRACE:
            self._why = f"It was still not over after {seconds:.0f} seconds."
        elif self.megabytes * 1e6 > self._limits.bytes:
            self._why = f"It took {self.megabytes:.0f} MB."
        return not self._why


def work(task: Task, sender: Connection) -> None:
    """Read every input of a plan and report to the sender. Runs in a process of its own."""
    for kind, first, end in task.plan:
        own = task.folder / f"{kind.id}-{os.getpid()}"
        own.mkdir(parents=True, exist_ok=True)
        with kind.open(own) as read:
            for number in range(first, end):
                files = task.folder / "input"
                put_files(files, make_files(kind, task.seed, number))
                sender.send(Begun(kind.id, number))
                outcome = attempt(kind, number, read, files, task.limits)
                if outcome.end == "finding":
                    kept(outcome, files, task.results)
                sender.send(outcome)
    sender.close()
    os._exit(0)  # threads that a finding has left behind


def _after(plan: Plan, kind: str, number: int) -> Plan:
    """Return what is left of a plan after an input."""
    done = next(index for index, (own, _, _) in enumerate(plan) if own.id == kind)
    own, _, end = plan[done]
    rest = plan[done + 1 :]
    return ((own, number + 1, end), *rest) if number + 1 < end else rest


def _memory(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def parts(kinds: Sequence[Kind], inputs: int, first: int = 0) -> Plan:
    """Return a plan that gives each kind its share of so many inputs, at least one."""
    whole = sum(kind.share for kind in kinds)
    return tuple((kind, first, first + max(1, round(inputs * kind.share / whole))) for kind in kinds)
