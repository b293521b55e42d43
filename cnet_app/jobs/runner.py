"""Jobs: users take turns, one job runs at a time, and every end is a sentence. Loads no torch."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from annotators.base import shown
from cnet_app.engine.protocol import Engine, EngineStatus, Event, EventStream, PictureMade
from cnet_app.jobs.changes import Changes
from cnet_app.jobs.job import LOADING, Job, standing
from cnet_app.jobs.job_size import check_size
from cnet_app.jobs.library.library import Library, Made
from cnet_app.jobs.library.trimming import MEGABYTE, Trimming
from cnet_app.jobs.pace import Pace, work_of
from cnet_app.jobs.queue import Queue
from cnet_app.jobs.remembered import Remembered
from cnet_app.jobs.resume import check_ended, rest_of
from cnet_app.jobs.scoring import Scorer
from cnet_app.jobs.state import JobState
from cnet_app.jobs.store import Record, Store, unknown_job
from cnet_app.request.downloads import DownloadRequest
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.plain import FrozenMap
from cnet_app.request.recipe import save_picture
from cnet_app.request.recipes.scores import UnitScore
from cnet_app.request.tasks import Task
from cnet_app.request.upscale import UpscaleRequest
from cnet_app.settings import Settings
from models.downloads.disk import disk_explained
from models.errors import USER_ERRORS, CancelledError, EngineError, InputError, SaveError, StudioError

LOG = logging.getLogger(__name__)
HISTORY = "history.sqlite3"
"""In the folder of the pictures."""
BASE_WAIT = 120.0
"""Seconds that a first request waits for the id of the base model."""
DOWN_CHECK = 0.5
"""Seconds between two looks at an engine that is down."""


class Runner:
    """Takes requests from any thread. Nothing runs before the first `submit` or `start`."""

    def __init__(self, settings: Settings, engine: Engine, scorer: Scorer | None = None) -> None:
        """Open the history; `scorer`, which the runner starts and closes, measures the pictures. Raises SaveError."""
        self._settings = settings
        self._engine = engine
        self._scorer = scorer
        self._store = Store(settings.output_dir / HISTORY, settings.max_history, settings.max_history_mb * MEGABYTE)
        self._changes = Changes(engine.status)
        self._changed = self._changes.condition
        thumbnails = settings.max_thumbnails_mb * MEGABYTE
        self.library = Library(self._store.database, settings.output_dir, self._changes.announce, thumbnails)
        self._trimming = Trimming(self.library, settings)
        self._pace = Pace()
        self._jobs = Remembered()
        self._queue: Queue[Job] = Queue()
        self.address_of: Callable[[str], str] = lambda session: ""
        """Returns the network address of a session, where addresses take turns."""
        self._closing = False
        self._worker = threading.Thread(target=self._work, name="runner", daemon=True)

    def start(self) -> None:
        """Start the worker and the engine, which loads the base model, so that the first picture comes sooner.

        An engine that went down is started again.
        """
        self._ensure_worker()
        self._engine.start()

    def _ensure_worker(self) -> None:
        with self._changed:
            if not self._worker.is_alive() and not self._closing:
                self._worker.start()
        if self._engine.status().state == "new":
            self._engine.start()
        if self._scorer:
            self._scorer.start(self._take_scores, self.wants_pictures)

    def engine_status(self) -> EngineStatus:
        """Return at once, whatever runs."""
        return self._engine.status()

    def base(self, timeout: float = 0.0) -> tuple[str, str] | None:
        """Id of the base model that is used where none is chosen, and why; None while that is not known after `timeout` seconds."""
        self._ensure_worker()
        ends = time.monotonic() + timeout
        while not (status := self._engine.status()).base:
            if time.monotonic() >= ends or status.state == "down":
                return None
            time.sleep(0.02)
        return status.base, status.base_reason

    def wait_for_change(self, version: int, timeout: float) -> int:
        """Return the version as soon as it is another one, or after `timeout` seconds.

        It rises with every change of a job, of the engine's state and of the library. A version that was never current
        returns at once.
        """
        return self._changes.wait(version, timeout)

    def submit(self, request: GenerationRequest | UpscaleRequest, session: str) -> str:
        """Queue a request and return the job's id. Raises StudioError where the queue is full, or SaveError."""
        check_size(request, self._settings)
        self._ensure_worker()
        job = Job(JobState(id=secrets.token_hex(8), session=session, request=request), work=work_of(request))
        with self._changed:
            self._check_place(session)
            self._store.add(job.state.id, request, session)
            self._jobs.add(job)
            self._queue.add(session, job, self.address_of(session))
            self._changes.announce()
        return job.state.id

    def download(self, ids: Sequence[str], session: str) -> str:
        """Start the download of catalogue rows that the user agreed to, and return the job's id."""
        self._ensure_worker()
        request, doing = DownloadRequest(ids=tuple(ids)), "Starting the download"
        job = Job(JobState(id=secrets.token_hex(8), session=session, request=request, status="running", doing=doing))
        with self._changed:
            self._jobs.add(job)
            self._changes.announce()
        threading.Thread(target=self._download, args=(job,), name="download", daemon=True).start()
        return job.state.id

    def resume(self, id: str, session: str) -> str:
        """Queue the pictures that a failed, cancelled or interrupted job did not make, and return the new job's id.

        Raises InputError where nothing is left or the request cannot be read, and what `submit` raises. Where others can
        reach the app, a session continues its own jobs only.
        """
        with self._changed:
            known = self._jobs.get(id)
        if known:  # of downloads the history has nothing, and where it could not be written it misses the end of others
            owner, status, done = known.state.session, known.state.status, len(known.state.paths)
        else:
            record = self._store.get(id)
            owner, status, done = record.session, record.status, len(record.paths)
        if owner != session and not self._settings.is_local:
            raise InputError(unknown_job(id))
        check_ended(id, status)
        rest = rest_of(id, known.state.request if known else self._store.request(id), done)
        return self.download(rest.ids, session) if isinstance(rest, DownloadRequest) else self.submit(rest, session)

    def _check_place(self, session: str) -> None:
        """One user's jobs never keep another user's first job out."""
        if self._closing:
            raise StudioError("The app is closing; start it again, then generate.")
        own = self._queue.waiting(session)
        if own >= self._settings.max_waiting_per_user:
            raise StudioError(f"{own} of your jobs wait already, and no more may; try again when one is done.")
        if own and len(self._queue) >= self._settings.max_waiting:
            raise StudioError(f"{len(self._queue)} jobs wait already, and no more may; try again in a minute.")

    def cancel(self, id: str) -> None:
        """Remove a waiting job from the queue, or stop a running one within a step; one that is over stays as it is."""
        with self._changed:
            job = self._jobs.get(id)
            if job is None:
                return
            job.cancelled = True
            waited, stream = self._queue.remove(job), job.stream
        if waited:
            self._end(job, status="cancelled")
        elif stream:
            stream.close()

    def cancel_all(self, session: str = "") -> int:
        """Cancel the waiting and running jobs of a session, of all where it is empty; return how many there were."""
        states = self.active(session)
        for state in reversed(states):  # else the next one begins when the one before it ends
            self.cancel(state.id)
        return len(states)

    def move(self, id: str, place: int) -> None:
        """Give a waiting job another place among those of its session: 1 is the next of them. Raises InputError.

        Other sessions keep their turns.
        """
        with self._changed:
            job = self._job(id)
            if job not in self._queue.order():
                stands = "is over" if job.state.is_over else "runs already"
                raise InputError(f"Job {id!r} {stands}; only waiting jobs move.")
            if place not in range(1, (most := self._queue.waiting(job.state.session)) + 1):
                raise InputError(f"place is {place}, but it must be a whole number from 1 to {most}.")
            self._queue.move(job.state.session, job, place)
            self._changes.announce()

    def state(self, id: str) -> JobState:
        """Return how a job stands; InputError where there is no such job any more."""
        with self._changed:
            return self._standing([self._job(id)])[0]

    def active(self, session: str = "") -> list[JobState]:
        """Return the running and then the waiting jobs of a session, of all where it is empty, in the order of their turns."""
        with self._changed:
            jobs = (*self._jobs.running(), *self._queue.order())
            return self._standing([job for job in jobs if session in ("", job.state.session)])

    def unfinished(self) -> list[JobState]:
        """Return the running and waiting jobs of all without places and times, which take long for many jobs."""
        with self._changed:
            return [job.state for job in (*self._jobs.running(), *self._queue.order())]

    def _standing(self, jobs: Sequence[Job]) -> list[JobState]:
        status, waiting = self._engine.status(), self._queue.order()
        running = [job for job in self._jobs.running() if job.work]
        return [standing(job, running, waiting, status, self._pace) for job in jobs]

    def _job(self, id: str) -> Job:
        if job := self._jobs.get(id):
            return job
        raise InputError(f"There is no job {shown(id)}; press Generate again.")

    def watch(self, id: str) -> Iterator[JobState]:
        """Yield every change, until the job is over."""
        state = self.state(id)
        while True:
            yield state
            if state.is_over:
                return
            with self._changed:
                self._changed.wait_for(lambda last=state: self.state(id) != last, timeout=1.0)
            state = self.state(id)

    def unload(self) -> None:
        """Release all loaded models, after the job that runs; the next job loads what it needs."""
        self._engine.unload()

    def history(self, limit: int = 50, session: str = "") -> list[Record]:
        """Return the newest jobs of a session, of all where it is empty, newest first, from earlier starts of the app too."""
        return self._store.recent(limit, session)

    def request(self, id: str) -> Task:
        """Return the request of a job of the history; InputError where it cannot be read here."""
        return self._store.request(id)

    def close(self, timeout: float = 4.0) -> None:
        """Stop the running job, leave the waiting ones as interrupted, and end worker and engine."""
        with self._changed:
            self._closing = True
            waiting = self._queue.order()
            for job in waiting:
                self._queue.remove(job)
            streams = [job.stream for job in self._jobs if job.stream]
            self._changes.close()
        for stream in streams:
            stream.close()
        for job in waiting:
            self._end(job, status="interrupted")
        if self._scorer:
            self._scorer.close()
        self._engine.close()  # first, for a step may take long
        if self._worker.is_alive():
            self._worker.join(timeout)
        if not self._worker.is_alive():
            self._store.close()

    def _work(self) -> None:
        while job := self._next():
            self._run(job)

    def _next(self) -> Job | None:
        """The next job; none runs while the engine is down."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or len(self._queue))
                if self._closing:
                    return None
                if self._engine.status().state != "down":
                    job = self._queue.take()
                    job.started = time.monotonic()
                    job.state = replace(job.state, status="running", doing=LOADING)
                    self._changes.announce()
                    return job
                self._changed.wait(DOWN_CHECK)

    def _run(self, job: Job) -> None:
        """Run one job to its end; no error stops the next one."""
        try:
            stream = self._engine.run(job.state.request)
        except EngineError as error:
            LOG.warning("%s", error)
            with self._changed:  # it went down before the job began: the job waits until it is up again
                job.state = replace(job.state, status="queued", doing="")
                if not self._closing and not job.cancelled:
                    self._queue.put_back(job.state.session, job, self.address_of(job.state.session))
                    self._changes.announce()
                    return
            self._end(job, status="cancelled" if job.cancelled else "interrupted")
            return
        end = self._follow(job, stream)
        if end["status"] == "done":
            end["result"] = job.result()
        self._end(job, **end)

    def _follow(self, job: Job, stream: EventStream) -> dict[str, Any]:
        """Take a task's events to its end; return how it ended, as fields of the job's state."""
        with self._changed:
            job.stream = stream
            unwanted = job.cancelled or self._closing
        if unwanted:
            stream.close()
        try:
            with disk_explained():
                self._store.update(job.state.id, "running")
                for event in stream:
                    self._take(job, event)
            return {"status": "done"}
        except CancelledError:
            return {"status": "interrupted" if self._closing else "cancelled"}
        except USER_ERRORS as error:
            return {"status": "failed", "error": str(error)}
        except Exception:
            number = secrets.token_hex(3)
            LOG.exception("Job %s failed (error %s).", job.state.id, number)
            text = f"Something went wrong in the app itself (error {number}); its log has the details."
            return {"status": "failed", "error": text}
        finally:
            stream.close()
            with self._changed:
                job.stream = None

    def _take(self, job: Job, event: Event) -> None:
        if isinstance(event, PictureMade):
            self._save(job, event)
            return
        with self._changed:
            job.take(event, self._pace)
            self._changes.announce()

    def _save(self, job: Job, picture: PictureMade) -> None:
        """A picture is on the disk before anybody can see it, and before the next one begins."""
        assert job.prepared is not None
        job.residual_norms = picture.residual_norms
        folder, label = self._settings.output_dir, self._settings.ai_label
        path = save_picture(folder, picture.pixels, job.prepared, picture.index, picture.facts, label)
        with self._changed:
            job.measure(self._pace, (picture.index + 1) * job.work.steps if job.work else 0)
        state, paths = job.state, (*job.state.paths, str(path))
        made = Made(job=state.id, session=state.session, kind=state.request.kind, request=job.prepared, paths=paths)
        ids = state.picture_ids
        try:
            ids = FrozenMap({**ids, str(path): self.library.add(made)})
        finally:  # it is on the disk, even where the library cannot be written
            self._set(job, paths=paths, picture_ids=ids, image_index=picture.index, step=job.state.steps)
        self._trimming.after(state.session, path)
        if self._scorer:
            self._scorer.submit(path, job.prepared, at_once=self._engine.status().device not in ("", "cpu"))

    def wants_pictures(self) -> bool:
        """Return whether a picture is made or waits."""
        with self._changed:
            running = [job.state.request for job in self._jobs.running()]
        return len(self._queue) > 0 or not all(isinstance(request, DownloadRequest) for request in running)

    def _take_scores(self, path: Path, scores: tuple[UnitScore, ...]) -> None:
        with self._changed:
            job = next((job for job in self._jobs if str(path) in job.state.paths), None)
            if job is None:
                return
            job.take_scores(str(path), scores)
            self._changes.announce()
        self._store.set_scores(job.state.id, job.state.mean_scores)
        if id := job.state.picture_ids.get(str(path)):
            self.library.set_scores(id, {one.condition: one.agreement for one in scores if one.agreement is not None})

    def _download(self, job: Job) -> None:
        """Downloads do not wait for pictures, nor pictures for them."""
        try:
            stream = self._engine.run(job.state.request)
        except EngineError as error:
            self._end(job, status="failed", error=str(error))
            return
        self._end(job, **self._follow(job, stream))

    def _set(self, job: Job, **values: Any) -> None:
        with self._changed:
            job.state = replace(job.state, **values)
            self._changes.announce()

    def _end(self, job: Job, **values: Any) -> None:
        """The history is written first, so that what a user sees is there after a restart too."""
        state = replace(job.state, doing="", preview=b"", **values)
        try:
            seconds = state.result.seconds if state.result else None
            self._store.update(state.id, state.status, state.paths, state.error, seconds)
        except SaveError:
            LOG.exception("The history misses the end of job %s.", state.id)
        with self._changed:
            job.state = replace(state, scores=job.state.scores)  # some may have come in the meantime
            self._changes.announce()
