"""Sweeps: many pictures by one plan, one at a time, each remembered before the next begins. Loads no torch."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

from cnet_app.jobs.library.rooms import remove_oldest_folders
from cnet_app.jobs.presence import Presence
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.state import JobState
from cnet_app.jobs.sweeps.manifest import FOLDERS, Manifest, find_sweep, owner_of, read_manifest, write_manifest
from cnet_app.request.generation import GenerationRequest
from models.downloads.disk import disk_explained
from models.errors import USER_ERRORS, CancelledError, EngineError, InputError, SaveError, StudioError

LOG = logging.getLogger(__name__)
MakePicture = Callable[[GenerationRequest], Path]
"""Makes the one picture of a request and returns its path in the library. Raises USER_ERRORS."""
Changed = Callable[[Manifest], None]
REPEATED = 3
"""Pictures in a row with one and the same error, after which a sweep stops."""
LOOK = 0.05
"""Seconds between two looks at a job."""
REMEMBERED = 50
"""Sweeps that are over and are held in memory; the others are read from the disk."""
RETRY = 1.0
"""Seconds until a job that found the queue full is submitted again."""
SweepStatus = Literal["running", "done", "failed", "cancelled", "interrupted"]


class Work(Protocol):
    """What the kinds of sweeps do differently."""

    def request(self, manifest: Manifest, index: int) -> GenerationRequest:
        """Return the request of a part; USER_ERRORS where it cannot be made."""
        ...

    def keep(self, manifest: Manifest, index: int, picture: Path) -> Path:
        """Put the picture of a part where it belongs and return its path."""
        ...

    def finish(self, manifest: Manifest) -> tuple[str, ...]:
        """Write the results of what is made so far; return notes on them."""
        ...


OpenWork = Callable[[Manifest], Work]


def nothing(_: Manifest) -> None:
    """Take no notice of a change."""


def run_sweep(manifest: Manifest, work: Work, make: MakePicture, changed: Changed = nothing) -> Manifest:
    """Make the pictures that are missing, write the results, and return the manifest as it is then.

    A part that fails is noted, and the next one is made. The sweep stops where the engine ends, nothing can be saved, a
    user cancels, or REPEATED parts in a row fail alike; what is made so far is kept and written then, too, and the
    error raised. Raises InputError where another process makes them.
    """
    presence = Presence(manifest.folder)
    try:
        if not presence.is_alone:
            raise InputError(
                f"{manifest.name} is running in another app or command; wait for its end, or stop it first."
            )
        return _run_alone(manifest, work, make, changed)
    finally:
        presence.leave()


def _run_alone(manifest: Manifest, work: Work, make: MakePicture, changed: Changed) -> Manifest:
    notes = manifest.notes
    manifest = manifest.without_errors()
    write_manifest(manifest)
    try:
        errors: list[str] = []
        for index in manifest.missing():
            manifest = _make_part(manifest, index, work, make)
            error = manifest.parts[index].error
            errors = [*errors, error][-REPEATED:] if error else []
            write_manifest(manifest)
            changed(manifest)
            if len(errors) == REPEATED and len(set(errors)) == 1:
                raise StudioError(f"{REPEATED} pictures in a row failed, so the rest was not tried. {error}")
    finally:
        manifest = replace(manifest, notes=tuple(dict.fromkeys((*notes, *work.finish(manifest)))))
        write_manifest(manifest)
        changed(manifest)
    return manifest


def _make_part(manifest: Manifest, index: int, work: Work, make: MakePicture) -> Manifest:
    try:
        picture = make(work.request(manifest, index))
        return manifest.with_part(index, work.keep(manifest, index, picture))
    except (CancelledError, EngineError, SaveError):
        raise
    except USER_ERRORS as error:
        return manifest.with_part(index, error=str(error))


@dataclass(frozen=True, kw_only=True)
class SweepState:
    """A snapshot of a sweep."""

    manifest: Manifest = field(repr=False)
    status: SweepStatus
    session: str = ""
    job: JobState | None = None
    """The job of the picture that is being made."""
    error: str = ""
    """Why it stopped."""

    @property
    def done(self) -> int:
        """Pictures that are made."""
        return sum(bool(part.picture) for part in self.manifest.parts)

    @property
    def failed(self) -> int:
        """Pictures that could not be made."""
        return sum(bool(part.error) for part in self.manifest.parts)

    @property
    def fraction(self) -> float:
        """Share of the work that is done, 0 to 1."""
        begun = self.job.fraction if self.job and not self.job.is_over else 0.0
        return min((self.done + self.failed + begun) / len(self.manifest.parts), 1.0)


@dataclass(eq=False)
class _Sweep:
    state: SweepState
    cancelled: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


class Sweeps:
    """The sweeps of the app, each in a thread of its own that submits one job after the other. Thread-safe.

    Close it before its runner.
    """

    def __init__(self, pictures: Path, runner: Runner, open_work: OpenWork) -> None:
        """`pictures` is the folder of pictures, in which sweeps are found by their ids."""
        self._pictures = pictures
        self._runner = runner
        self._open_work = open_work
        self._sweeps: dict[str, _Sweep] = {}
        self._lock = threading.Lock()
        self._closing = False

    def start(self, manifest: Manifest, session: str) -> str:
        """Begin a sweep, or go on with it, and return its id. Raises InputError while it runs."""
        manifest = replace(manifest, owner=manifest.owner or owner_of(session))
        sweep = _Sweep(SweepState(manifest=manifest, status="running", session=session))
        work = self._open_work(manifest)
        with self._lock:
            if self._closing:
                raise StudioError("The app is closing; start it again, then resume.")
            known = self._sweeps.get(manifest.id)
            if known and known.state.status == "running":
                raise InputError(f"{manifest.name} is running already; wait for its end, or cancel it first.")
            self._forget()
            self._sweeps[manifest.id] = sweep
        sweep.thread = threading.Thread(target=self._run, args=(sweep, work), name="sweep", daemon=True)
        sweep.thread.start()
        return manifest.id

    def resume(self, id: str, session: str) -> str:
        """Go on with a sweep of this or an earlier start of the app: only missing pictures are made. InputError."""
        return self.start(read_manifest(find_sweep(self._pictures, id)), session)

    def cancel(self, id: str) -> None:
        """Stop a sweep within a step; its pictures stay, and it can be resumed. No effect on one that is over."""
        with self._lock:
            sweep = self._sweeps.get(id)
        if sweep:
            sweep.cancelled.set()

    def state(self, id: str) -> SweepState:
        """Return how a sweep stands, one of an earlier start of the app too; InputError where there is none."""
        with self._lock:
            sweep = self._sweeps.get(id)
            if sweep:
                return sweep.state
        manifest = read_manifest(find_sweep(self._pictures, id))
        unfinished = any(not manifest.parts[index].error for index in manifest.missing())
        return SweepState(manifest=manifest, status="interrupted" if unfinished else "done")

    def running(self, session: str) -> tuple[str, ...]:
        """Return the ids of a session's sweeps that run."""
        with self._lock:
            states = [sweep.state for sweep in self._sweeps.values()]
        return tuple(s.manifest.id for s in states if s.session == session and s.status == "running")

    def trim(self, max_bytes: int) -> int:
        """Remove the folders of the oldest sweeps that do not run, until the others have `max_bytes` at most; return how many.

        Their pictures stay in the library.
        """
        with self._lock:
            running = {id for id, sweep in self._sweeps.items() if sweep.state.status == "running"}
        removed = remove_oldest_folders([self._pictures / name for name in FOLDERS.values()], max_bytes, running)
        with self._lock:
            for id in removed:
                self._sweeps.pop(id, None)
        return len(removed)

    def _forget(self) -> None:
        over = [id for id, sweep in self._sweeps.items() if sweep.state.status != "running"]
        for id in over[: max(len(over) - REMEMBERED, 0)]:
            del self._sweeps[id]

    def close(self, timeout: float = 3.0) -> None:
        """Stop all sweeps, and wait for them `timeout` seconds in all; they can be resumed after the next start."""
        ends = time.monotonic() + timeout
        with self._lock:
            self._closing = True
            sweeps = list(self._sweeps.values())
        for sweep in sweeps:
            sweep.cancelled.set()
        for sweep in sweeps:
            if sweep.thread:
                sweep.thread.join(max(ends - time.monotonic(), 0.0))

    def _run(self, sweep: _Sweep, work: Work) -> None:
        status, error = "done", ""
        try:
            with disk_explained():
                run_sweep(sweep.state.manifest, work, lambda request: self._make(sweep, request), self._follow(sweep))
        except CancelledError:
            status = "interrupted" if self._closing else "cancelled"
        except USER_ERRORS as fault:
            status, error = "failed", str(fault)
        except Exception:
            number = secrets.token_hex(3)
            LOG.exception("The sweep %s failed (error %s).", sweep.state.manifest.id, number)
            status = "failed"
            error = f"Something went wrong in the app itself (error {number}); its log has the details."
        self._set(sweep, status=status, error=error, job=None)

    def _follow(self, sweep: _Sweep) -> Changed:
        return lambda manifest: self._set(sweep, manifest=manifest)

    def _make(self, sweep: _Sweep, request: GenerationRequest) -> Path:
        """Submit one job and wait for its end."""
        id = self._submit(sweep, request)
        while not (state := self._runner.state(id)).is_over:
            self._set(sweep, job=state)
            if sweep.cancelled.wait(LOOK):
                self._runner.cancel(id)
        if state.status == "done":
            return Path(state.paths[0])
        if state.status == "failed":
            raise StudioError(state.error)
        raise CancelledError("Cancelled.")

    def _submit(self, sweep: _Sweep, request: GenerationRequest) -> str:
        """A full queue is waited for: other jobs of the same user may fill it."""
        while True:
            if sweep.cancelled.is_set():
                raise CancelledError("Cancelled.")
            try:
                return self._runner.submit(request, sweep.state.session)
            except SaveError:
                raise
            except StudioError:
                sweep.cancelled.wait(RETRY)

    def _set(self, sweep: _Sweep, **values: object) -> None:
        with self._lock:
            sweep.state = replace(sweep.state, **values)  # pyright: ignore[reportArgumentType]


def failures(manifest: Manifest) -> list[dict[str, str]]:
    """Return name and error of each part that could not be made."""
    return [
        {"name": part_name(manifest, i), "error": part.error} for i, part in enumerate(manifest.parts) if part.error
    ]


def part_name(manifest: Manifest, index: int) -> str:
    """Return what a message calls a part: the labels of a cell, or the file of a batch's picture."""
    what = manifest.parts[index].what
    return ", ".join(what["labels"]) if manifest.kind == "grid" else Path(what["file"]).name
