"""The queue and the one thread that runs models: a job at a time, users in turn, every end told in a sentence."""

from __future__ import annotations

import io
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnet_app.engine.engine import Engine, FileProgress, Progress
from cnet_app.engine.loaded import LoadedModels
from cnet_app.jobs.queue import Line
from cnet_app.jobs.state import JobState
from cnet_app.jobs.store import Record, Store
from cnet_app.request.generation import GenerationRequest, GenerationResult
from cnet_app.request.recipe import save_picture
from cnet_app.request.tasks import Task
from cnet_app.settings import Settings
from models.errors import USER_ERRORS, CancelledError, InputError, SaveError, StudioError
from models.stopping import stoppable

LOG = logging.getLogger(__name__)
HISTORY = "history.sqlite3"
"""In the folder of the pictures."""
LOADING = "Loading the model"
INTERVAL = 0.3
"""Seconds between two reports of progress: a preview costs time, and a browser wants to breathe."""
PREVIEW_SIDE = 256
REMEMBERED = 200
"""Jobs that are over and can still be asked about."""


@dataclass(eq=False)
class _Job:
    state: JobState
    cancel: threading.Event


class Runner:
    """Takes requests from any thread. Nothing runs before the first `submit` or `warm_up`."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._store = Store(settings.output_dir / HISTORY)
        self._changed = threading.Condition()
        self._jobs: dict[str, _Job] = {}
        self._line: Line[_Job] = Line()
        self._models = LoadedModels(engine)
        self._unload = False
        self._choice: tuple[str, str] | None = None
        self._ready = False
        self._closing = False
        self._worker = threading.Thread(target=self._work, name="runner", daemon=True)

    def warm_up(self) -> None:
        """Starts the thread, which then loads the base model, so that the first picture comes sooner."""
        with self._changed:
            if not self._worker.is_alive() and not self._closing:
                self._worker.start()

    def base(self, timeout: float | None = None) -> tuple[str, str] | None:
        """Id of the base model to start with, and why; None while that is still being found out."""
        self.warm_up()
        with self._changed:
            self._changed.wait_for(lambda: self._choice is not None, timeout)
            return self._choice

    def submit(self, request: GenerationRequest, session: str) -> str:
        """Puts a request in line and returns the job's id. Raises StudioError where the line is full, or SaveError."""
        self.warm_up()
        job = _Job(JobState(id=secrets.token_hex(8), session=session, request=request), threading.Event())
        with self._changed:
            if self._closing:
                raise StudioError("The app is closing; start it again, then generate.")
            if len(self._line) >= self._settings.max_waiting:
                raise StudioError(f"{len(self._line)} jobs wait already, and no more may; try again in a minute.")
            self._store.add(job.state.id, request, session)
            self._forget()
            self._jobs[job.state.id] = job
            self._line.add(session, job)
            self._changed.notify_all()
        return job.state.id

    def cancel(self, id: str) -> None:
        """A job in line leaves it; one that runs stops within a step; one that is over stays as it is."""
        with self._changed:
            job = self._jobs.get(id)
            if job is None:
                return
            job.cancel.set()
            waiting = self._line.remove(job)
        if waiting:
            self._end(job, status="cancelled")

    def state(self, id: str) -> JobState:
        """How a job stands now; InputError where there is no such job any more."""
        with self._changed:
            job = self._jobs.get(id)
            if job is None:
                raise InputError(f"There is no job {id!r}; press Generate again.")
            if job.state.status != "queued":
                return job.state
            order = self._line.order()
            place = order.index(job) + 1 if job in order else 0
            return replace(job.state, place=place, doing="" if self._ready else LOADING)

    def watch(self, id: str) -> Iterator[JobState]:
        """Every change, until the job is over."""
        state = self.state(id)
        while True:
            yield state
            if state.is_over:
                return
            with self._changed:
                self._changed.wait_for(lambda last=state: self.state(id) != last)
                state = self.state(id)

    def unload(self) -> None:
        """Lets all loaded models go, after the job that runs; the next job loads what it needs."""
        with self._changed:
            self._unload = True
            self._changed.notify_all()

    def history(self, limit: int = 50) -> list[Record]:
        """The newest jobs, newest first, from earlier starts of the app too."""
        return self._store.recent(limit)

    def request(self, id: str) -> Task:
        """The request of a job of the history; InputError where it cannot be read here."""
        return self._store.request(id)

    def close(self, timeout: float = 10.0) -> None:
        """Stops the running job, leaves the waiting ones as interrupted, and ends the thread."""
        with self._changed:
            self._closing = True
            waiting = self._line.order()
            for job in waiting:
                self._line.remove(job)
            self._changed.notify_all()
        for job in waiting:
            self._end(job, status="interrupted")
        if self._worker.is_alive():
            self._worker.join(timeout)
        if not self._worker.is_alive():
            self._store.close()

    def _work(self) -> None:
        self._prepare()
        while job := self._next():
            self._run(job)

    def _prepare(self) -> None:
        """What fails here fails again, and is told, in the job that needs it."""
        choice = (self._settings.base or "embedded", "it is always there")
        try:
            choice = self._engine.choose_base()
        except Exception:
            LOG.exception("No base model could be chosen.")
        with self._changed:
            self._choice = choice
            self._changed.notify_all()
        try:
            self._models.base(choice[0], lambda *_: None)
        except USER_ERRORS as error:
            LOG.warning("%s", error)
        except Exception:
            LOG.exception("The base model could not be loaded.")
        with self._changed:
            self._ready = True
            self._changed.notify_all()

    def _next(self) -> _Job | None:
        """The next job, once there is one; meanwhile models are let go where a user asked for it."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._unload or len(self._line))
                if self._closing:
                    return None
                if not self._unload:
                    job = self._line.take()
                    job.state = replace(job.state, status="running")
                    self._changed.notify_all()
                    return job
                self._unload = False
            self._models.unload()

    def _run(self, job: _Job) -> None:
        """Whatever happens, the job ends and the next one can run."""
        end: dict[str, Any]
        try:
            with stoppable(lambda: self._check(job)):
                end = {"status": "done", "result": self._make(job)}
        except CancelledError:
            end = {"status": "interrupted" if self._closing else "cancelled"}
        except USER_ERRORS as error:
            end = {"status": "failed", "error": str(error)}
        except Exception:
            number = secrets.token_hex(3)
            LOG.exception("Job %s failed (error %s).", job.state.id, number)
            end = {
                "status": "failed",
                "error": f"Something went wrong in the app itself (error {number}); its log tells more.",
            }
        self._end(job, **end)

    def _make(self, job: _Job) -> GenerationResult:
        """Pictures one by one: each is on the disk before the next begins, and stays if that one is cancelled."""
        request, started = job.state.request, time.monotonic()
        self._store.update(job.state.id, "running")
        self._set(job, doing=LOADING)
        tell = self._download_reporter(job)
        ready = self._models.prepare(request, tell)
        notes: dict[str, None] = {}
        for index in range(request.num_images):
            self._check(job)
            self._set(job, doing="", image_index=index, step=0)
            image = self._models.make(
                ready,
                request.only_picture(index),
                tell,
                on_step=self._step_reporter(job),
                on_note=lambda note: notes.update({note: None}),
                cancelled=lambda: self._is_unwanted(job),
            )
            made = self._engine.describe(ready.base, request)
            path = save_picture(self._settings.output_dir, image, request, index, made)
            self._set(job, paths=(*job.state.paths, str(path)))
        return GenerationResult(
            request=request,
            paths=job.state.paths,
            seeds=tuple(request.seed + index for index in range(request.num_images)),
            seconds=round(time.monotonic() - started, 3),
            notes=tuple(notes),
        )

    def _is_unwanted(self, job: _Job) -> bool:
        return self._closing or job.cancel.is_set()

    def _check(self, job: _Job) -> None:
        if self._is_unwanted(job):
            raise CancelledError("The job was stopped.")

    def _download_reporter(self, job: _Job) -> FileProgress:
        last = 0.0

        def report(name: str, done: int, size: int | None) -> None:
            nonlocal last
            self._check(job)
            if time.monotonic() - last >= INTERVAL:
                of = f" of {size / 1e6:.0f}" if size else ""
                self._set(job, doing=f"Downloading {name}: {done / 1e6:.0f}{of} MB")
                last = time.monotonic()

        return report

    def _step_reporter(self, job: _Job) -> Callable[[Progress], None]:
        last = time.monotonic()

        def report(progress: Progress) -> None:
            nonlocal last
            if time.monotonic() - last < INTERVAL:
                return
            self._set(job, step=progress.step, steps=progress.steps, preview=small_jpeg(progress.preview()))
            last = time.monotonic()

        return report

    def _set(self, job: _Job, **values: Any) -> None:
        with self._changed:
            job.state = replace(job.state, **values)
            self._changed.notify_all()

    def _end(self, job: _Job, **values: Any) -> None:
        """The history is written first, so that what a user sees is also there after a restart."""
        state = replace(job.state, doing="", preview=b"", **values)
        try:
            seconds = state.result.seconds if state.result else None
            self._store.update(state.id, state.status, state.paths, state.error, seconds)
        except SaveError:
            LOG.exception("The history misses the end of job %s.", state.id)
        with self._changed:
            job.state = state
            self._changed.notify_all()

    def _forget(self) -> None:
        over = [id for id, job in self._jobs.items() if job.state.is_over]
        for id in over[: max(len(over) - REMEMBERED, 0)]:
            del self._jobs[id]


def small_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """(H, W, 3) RGB to a JPEG of at most PREVIEW_SIDE px."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    return buffer.getvalue()
