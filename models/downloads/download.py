"""Download of a row's files from the Hugging Face hub into its cache; every failure is one sentence. Loads no torch.

Nothing here runs unasked: the callers are commands and buttons that a user has pressed, after models/catalogue/missing.py has
described what, how large and under which licence.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from models.catalogue.places import needs
from models.catalogue.row import File, Weights, size_text
from models.downloads.checksums import forget_hint, is_expected, record
from models.downloads.hub import Remote, TransferError, failure, look_up
from models.downloads.hub_cache import RepoCache, cache_folder
from models.downloads.transfer import check_arrived, checksum, fill
from models.errors import DownloadError, WeightsError

SPEED_SECONDS = 5.0
"""The speed is that of the last so many seconds."""


@dataclass(frozen=True)
class DownloadProgress:
    """Progress of one file's download."""

    name: str
    done: int
    """Bytes."""
    size: int | None
    """Bytes in all; None is unknown."""
    speed: float | None
    """Bytes a second over the last seconds; None until there are two reports."""
    seconds_left: float | None
    """At this speed; None where speed or size is unknown."""

    @property
    def text(self) -> str:
        """'unet.safetensors: 512 MB of 1.72 GB, 24 MB/s, 50 s left'."""
        of = f" of {size_text(self.size)}" if self.size else ""
        speed = f", {self.speed / 1e6:.3g} MB/s" if self.speed is not None else ""
        left = f", {_duration(self.seconds_left)} left" if self.seconds_left is not None else ""
        return f"{self.name}: {self.done / 1e6:.0f} MB{of}{speed}{left}"


Progress = Callable[[DownloadProgress], None]
"""Called with every chunk, and while none comes. What it raises stops the download and comes out of it; what is here by
then stays, under another name where it is not whole, and the next download goes on from there."""


class SpeedMeter:
    """Turns the byte counts of one file into reports with speed and time left."""

    def __init__(self, name: str, done: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin where so many bytes are here already."""
        self._name = name
        self._clock = clock
        self._samples = deque([(clock(), done)])

    def report(self, done: int, size: int | None) -> DownloadProgress:
        """Return the report for so many bytes of so many."""
        now = self._clock()
        if done < self._samples[-1][1]:  # it begins again
            self._samples = deque([(now, done)])
        self._samples.append((now, done))
        while len(self._samples) > 2 and self._samples[1][0] <= now - SPEED_SECONDS:
            self._samples.popleft()
        then, before = self._samples[0]
        speed = (done - before) / (now - then) if now > then and done >= before else None
        left = (size - done) / speed if size is not None and speed else None
        return DownloadProgress(self._name, done, size, speed, left)


def download(row: Weights, progress: Progress | None = None) -> Path:
    """Download all files of a row into the Hugging Face cache and return their folder.

    Each file has another name until it is whole and has the right checksum; what an earlier download left of it is
    continued. Checksums that the catalogue does not have are noted, where that can be done, and compared by later
    downloads. Raises WeightsError, and whatever `progress` raises.
    """
    import httpx2

    _check_room(row)
    cache = RepoCache(row.repo)
    cache.remove_abandoned()
    revision, sums = row.revision, dict[str, str]()
    for file in row.files:
        watch = _Watch(progress)
        try:
            remote = _find(row, file, revision)
            sums[remote.name] = _bring(row, file, remote, watch)
            cache.note_commit(row.revision, remote.commit)
        except (httpx2.HTTPError, httpx2.InvalidURL, ImportError, OSError, TransferError, ValueError) as error:
            if error is watch.stopped:
                raise
            raise failure(error, row, file) from error
        revision = remote.commit  # later files belong to the same one
    with suppress(WeightsError):  # where no notes can be written, the files are good all the same
        record(row, sums)
    return cache.snapshot(revision)


def _find(row: Weights, file: File, revision: str) -> Remote:
    """Return the first of the file's names that the repository has."""
    from huggingface_hub.errors import RemoteEntryNotFoundError

    fault: Exception | None = None
    for name in file.names:
        try:
            return look_up(row.repo, name, revision)
        except RemoteEntryNotFoundError as error:
            fault = fault or error
    assert fault is not None
    raise fault


def _bring(row: Weights, file: File, remote: Remote, watch: _Watch) -> str:
    """Have a file in the cache, under its name, and return its checksum."""
    cache = RepoCache(row.repo)
    blob, shared = cache.blob(remote), cache.shared_part(remote)
    blob.parent.mkdir(parents=True, exist_ok=True)

    def report(done: int) -> None:
        watch.count(remote.name, done, remote.size)

    with cache.locked(remote, lambda: report(shared.stat().st_size if shared.is_file() else 0)) as is_alone:
        sha256 = _held(row, file, remote, report)
        if sha256 is None:
            with cache.part(remote, is_alone and remote.has_checksum) as part:
                sha256 = _fetch(row, file, remote, part, report)
                part.replace(blob)
        if not cache.file(remote).is_file():
            cache.name_file(remote)
    return sha256


def _held(row: Weights, file: File, remote: Remote, report: Callable[[int], None]) -> str | None:
    """Return the checksum of the file where the cache has it and it is right; else remove what is there, and return None."""
    cache = RepoCache(row.repo)
    for path in (cache.file(remote), cache.blob(remote)):
        if path.is_file():
            sha256 = checksum(path, report)
            with suppress(TransferError, DownloadError):
                check_arrived(path, remote, sha256)
                _check_expected(sha256, row, file, remote)
                return sha256
            path.resolve().unlink()
        path.unlink(missing_ok=True)
    return None


def _fetch(row: Weights, file: File, remote: Remote, part: Path, report: Callable[[int], None]) -> str:
    """Transfer what is missing and return the checksum of the whole, which is right; nothing stays of a wrong one."""
    was_begun = part.is_file()
    _check_disk(row, (remote.size or 0) - (part.stat().st_size if was_begun else 0))
    fill(part, remote, report)
    sha256 = checksum(part, report)
    try:
        check_arrived(part, remote, sha256)
        _check_expected(sha256, row, file, remote)
    except (TransferError, DownloadError):
        part.unlink()
        if not was_begun:
            raise
        return _fetch(row, file, remote, part, report)  # what an earlier download left may have been at fault
    return sha256


def _check_expected(sha256: str, row: Weights, file: File, remote: Remote) -> None:
    if is_expected(sha256, row, file, remote.name):
        return
    known, what_to_do = "the catalogue has", "choose another model, and report it"
    if not file.sha256:
        known, what_to_do = "it had when it was first here", forget_hint()
    raise DownloadError(
        f"{needs(row, file)}, but {remote.name} of {row.repo} has another checksum than {known}; {what_to_do}."
    )


class _Watch:
    """Passes the byte counts of one file on, and remembers what the callback raised."""

    def __init__(self, progress: Progress | None) -> None:
        self.stopped: BaseException | None = None
        """The exception that the callback raised."""
        self._progress = progress
        self._meter: SpeedMeter | None = None

    def count(self, name: str, done: int, size: int | None) -> None:
        if self._progress is None:
            return
        self._meter = self._meter or SpeedMeter(name, done)
        try:
            self._progress(self._meter.report(done, size))
        except BaseException as error:
            self.stopped = error
            raise


def remaining_files(row: Weights) -> list[File]:
    """Return the files of a row that a download would transfer: those the cache does not have."""
    from huggingface_hub import try_to_load_from_cache

    def is_cached(file: File) -> bool:
        return any(isinstance(try_to_load_from_cache(row.repo, n, revision=row.revision), str) for n in file.names)

    return [file for file in row.files if not is_cached(file)]


def _check_room(row: Weights) -> None:
    """Raise DownloadError where the disk has no room for what is missing, by the catalogue's sizes."""
    needed = sum(file.size or 0 for file in remaining_files(row)) - RepoCache(row.repo).unfinished_bytes()
    _check_disk(row, needed)


def _check_disk(row: Weights, needed: int) -> None:
    cache = cache_folder()
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise DownloadError(
            f"{row.title} needs {size_text(needed)}, but only {size_text(free)} are free in {cache}; "
            "make room, or point HF_HOME to another disk."
        )


def _duration(seconds: float) -> str:
    """'50 s', '3 min', '1 h 10 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
