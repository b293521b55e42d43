"""Download of a row's files from the Hugging Face hub into its cache; every failure is one sentence. Loads no torch.

Nothing here runs unasked: the callers are commands and buttons that a user has pressed, after models/missing.py has
described what, how large and under which licence.
"""

from __future__ import annotations

import errno
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import getproxies, proxy_bypass

from models.checksums import check_sha256, record
from models.errors import DamagedError, DownloadError, MissingError, WeightsError
from models.files import check_file
from models.places import missing_files, needs, remedy
from models.row import File, Weights, size_text

SPEED_SECONDS = 5.0
"""The speed is that of the last so many seconds."""
ABANDONED_SECONDS = 3600
"""Age from which an unfinished file that nobody writes to is one of a process that was killed."""


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
"""Called with every chunk, perhaps in another thread. What it raises stops the download and comes out of it; files that
were finished before stay, and nothing is left of the unfinished one."""


class SpeedMeter:
    """Turns the byte counts of one file into reports with speed and time left."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._samples = deque([(clock(), 0)])

    def report(self, done: int, size: int | None) -> DownloadProgress:
        """Return the report for so many bytes of so many."""
        now = self._clock()
        self._samples.append((now, done))
        while len(self._samples) > 2 and self._samples[1][0] <= now - SPEED_SECONDS:
            self._samples.popleft()
        then, before = self._samples[0]
        speed = (done - before) / (now - then) if now > then and done >= before else None
        left = (size - done) / speed if size is not None and speed else None
        return DownloadProgress(self._name, done, size, speed, left)


def download(row: Weights, progress: Progress | None = None) -> Path:
    """Download all files of a row into the Hugging Face cache and return their folder.

    Each file is written under another name until it is whole. Checksums that the catalogue does not have are noted, where
    that can be done, and compared by later downloads. Raises WeightsError, and whatever `progress` raises.
    """
    _check_room(row)
    _check_hub(row)
    _remove_abandoned(row)
    folder, revision, sums = Path(), row.revision, dict[str, str]()
    for file in row.files:
        path, name = _download_file(row, file, revision, progress)
        try:
            check_file(path)
            sums[name] = check_sha256(path, row, file, name)
        except DamagedError:
            path.resolve().unlink()  # else the next look would take it for whole
            path.unlink(missing_ok=True)
            raise
        folder = Path(str(path).removesuffix(name))
        revision = folder.name  # the commit: later files belong to the same one
    with suppress(WeightsError):  # where no notes can be written, the files are good all the same
        record(row, sums)
    return folder


def _download_file(row: Weights, file: File, revision: str, progress: Progress | None) -> tuple[Path, str]:
    """Return path and name of the first of the file's names that the repository has."""
    import httpx2
    from huggingface_hub.errors import RemoteEntryNotFoundError, XetDownloadError

    fault: Exception | None = None
    for name in file.names:
        watch = _Watch(name, progress)
        try:
            return _download_name(row.repo, name, revision, watch), name
        except RemoteEntryNotFoundError as error:
            fault = fault or error
        except (httpx2.HTTPError, OSError, RuntimeError, XetDownloadError) as error:  # RuntimeError is hf_xet's
            if error is watch.stopped:
                raise
            raise _failure(error, row, file) from error
    assert fault is not None
    raise _failure(fault, row, file) from fault


def _download_name(repo: str, name: str, revision: str, watch: _Watch) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(
            repo,
            name,
            revision=revision,
            force_download=_is_damaged(repo, name, revision),
            tqdm_class=watch.bar_class(),
        )
    except BaseException:
        if watch.stopped is not None:  # what hf_xet raises over an aborted session says nothing of the cause
            raise watch.stopped from None
        raise
    if watch.stopped is not None:  # the file was finished before the session ended
        raise watch.stopped
    return Path(path)


class _Watch:
    """Passes the byte counts of one file on, and stops the download when the callback raises."""

    def __init__(self, name: str, progress: Progress | None) -> None:
        self.stopped: BaseException | None = None
        """The exception that the callback raised."""
        self._progress = progress
        self._meter = SpeedMeter(name)
        self._thread = threading.get_ident()

    def count(self, done: int, size: int | None) -> None:
        """Report bytes. Plain downloads call this in their own thread, hf_xet in one whose exceptions it only prints."""
        if self._progress is None or self.stopped is not None:
            return
        try:
            self._progress(self._meter.report(done, size))
        except BaseException as error:
            self.stopped = error
            if threading.get_ident() == self._thread:
                raise
            from huggingface_hub.utils._xet import abort_xet_session  # its one way to stop a transfer

            abort_xet_session()

    def bar_class(self) -> Any:
        """Return a tqdm class that draws nothing and counts here."""
        from tqdm import tqdm

        count = self.count

        class Bar(tqdm):  # pyright: ignore[reportMissingTypeArgument]
            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, **{**options, "disable": True})

            def update(self, n: float | None = 1) -> bool | None:
                self.n += n or 0
                count(int(self.n), None if self.total is None else int(self.total))
                return None

            def update_transfer(self, n: float) -> None:
                """Ignore the bytes on the wire, which are fewer where the storage removes duplicates."""

            def set_transfer_postfix_str(self, text: str, refresh: bool = True) -> None:
                """Ignore the library's own speed."""

        return Bar


def _check_hub(row: Weights) -> None:
    """Ask for one file's metadata without retries: the library alone would retry for half a minute."""
    import httpx2
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import RemoteEntryNotFoundError

    try:
        get_hf_file_metadata(hf_hub_url(row.repo, row.files[0].name, revision=row.revision))
    except RemoteEntryNotFoundError:
        return  # reachable, and the file may have another name
    except (httpx2.HTTPError, OSError) as error:
        raise _failure(error, row, missing_files(row)[0]) from error
    except (httpx2.InvalidURL, ImportError, ValueError) as error:
        raise DownloadError(f"{needs(row, missing_files(row)[0])}, but {_unusable_proxy(error)}.") from error


def _unusable_proxy(error: Exception) -> str:
    """Return why no connection could be prepared, as a clause: only the variables of proxies can be at fault."""
    if isinstance(error, ImportError):
        return (
            "the proxy in ALL_PROXY or HTTPS_PROXY is a SOCKS proxy, which needs one more package; run `pip install socksio`, "
            "or name a proxy that begins with http://"
        )
    return (
        f"the variables of proxies cannot be used ({error}); HTTPS_PROXY must be like http://host:port or "
        "socks5://host:port, and NO_PROXY names joined by commas"
    )


def _is_damaged(repo: str, name: str, revision: str) -> bool:
    """Return whether the cache has this file, but not whole."""
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(repo, name, revision=revision)
    try:
        if isinstance(cached, str):
            check_file(Path(cached))
    except DamagedError:
        return True
    return False


def remaining_files(row: Weights) -> list[File]:
    """Return the files of a row that a download would transfer: those the cache does not have."""
    from huggingface_hub import try_to_load_from_cache

    def is_cached(file: File) -> bool:
        return any(isinstance(try_to_load_from_cache(row.repo, n, revision=row.revision), str) for n in file.names)

    return [file for file in row.files if not is_cached(file)]


def cache_folder() -> Path:
    """Return the folder of the Hugging Face cache, where downloads go; HF_HOME moves it."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _remove_abandoned(row: Weights) -> None:
    """Remove unfinished files of processes that were killed; the library gives each a name of its own and reuses none."""
    from huggingface_hub.file_download import repo_folder_name

    folder = cache_folder() / repo_folder_name(repo_id=row.repo, repo_type="model") / "blobs"
    with suppress(OSError):  # another process may be as tidy
        for path in folder.glob("*.incomplete"):
            if path.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                path.unlink()


def _check_room(row: Weights) -> None:
    """Raise DownloadError where the disk has no room for what is missing."""
    needed = sum(file.size or 0 for file in remaining_files(row))
    cache = cache_folder()
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise DownloadError(
            f"{row.title} needs {size_text(needed)}, but only {size_text(free)} are free in {cache}; "
            "make room, or point HF_HOME to another disk."
        )


def _failure(error: Exception, row: Weights, file: File) -> WeightsError:
    """Return the error of a failed download, in one sentence."""
    import httpx2
    from huggingface_hub import constants, errors

    what = f"{needs(row, file)}, but"
    cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ else error
    status = cause.response.status_code if isinstance(cause, errors.HfHubHTTPError) else 0
    number = cause.errno if isinstance(cause, OSError) else None
    if isinstance(cause, httpx2.ConnectError | httpx2.TimeoutException | errors.OfflineModeIsEnabled):
        return MissingError(f"{what} {_hub()} cannot be reached{_through_proxy()}; {remedy(row)}.")
    if isinstance(cause, httpx2.ProxyError):
        why = f"the proxy refuses to connect to {_hub()} ({cause}); check HTTPS_PROXY, and the name and password in it"
    elif isinstance(cause, httpx2.UnsupportedProtocol):
        why = f"{_hub()} is no address to download from; HF_ENDPOINT must begin with https://"
    elif isinstance(cause, FileNotFoundError) and cause.filename is None:  # as ssl raises it
        why = "SSL_CERT_FILE or SSL_CERT_DIR points to certificates that are not there; correct it or leave it out"
    elif isinstance(cause, errors.GatedRepoError):
        why = f"its authors ask you to accept their terms first: do so at {row.page} and set HF_TOKEN"
    elif isinstance(cause, errors.RevisionNotFoundError):
        why = f"{row.repo} no longer has revision {row.revision}; {remedy(row)}"
    elif isinstance(cause, errors.RepositoryNotFoundError):
        why = f"there is no repository {row.repo} at {_hub()}, or it is private: check the name, or set HF_TOKEN"
    elif isinstance(cause, errors.EntryNotFoundError):
        why = f"{row.repo} has no such file; {remedy(row)}"
    elif status in (401, 403):
        why = f"{row.repo} refuses access (error {status}); set HF_TOKEN to a token that may read it"
    elif status:
        why = f"{_hub()} answered with error {status}; try again later"
    elif number == errno.ENOSPC:
        why = f"the disk is full; make room in {constants.HF_HUB_CACHE}, or point HF_HOME to another disk"
    elif number in (errno.EACCES, errno.EROFS, errno.EPERM):
        why = f"{constants.HF_HUB_CACHE} cannot be written to; point HF_HOME to a folder that can"
    elif isinstance(cause, errors.FileMetadataError):
        why = f"something between here and {_hub()} answered in its place; check the proxy or the network's login page"
    else:
        why = f"the download broke off ({type(cause).__name__}); try again, finished files stay"
    return DownloadError(f"{what} {why}.")


def _duration(seconds: float) -> str:
    """'50 s', '3 min', '1 h 10 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _through_proxy() -> str:
    """Return ' through the proxy NAME' where requests to the hub go through one; its user and password are not named."""
    proxies = {} if proxy_bypass(_hub()) else getproxies()
    address = proxies.get("https") or proxies.get("all") or ""
    host = address.split("://")[-1].rsplit("@")[-1].rstrip("/")
    return f" through the proxy {host}" if host else ""


def _hub() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT.split("//")[-1]
