"""A row's files from the Hugging Face hub into its cache, and every way in which that fails in a sentence. Loads no torch."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from models.checksums import check_sha256, record
from models.errors import DamagedError, DownloadError, MissingError, WeightsError
from models.files import check_file
from models.places import missing_files, needs, remedy
from models.row import File, Weights, size_text

Progress = Callable[[str, int, int | None], None]
"""Called with the file's name, bytes done, and bytes in all where known. What it raises stops the download."""


def download(row: Weights, progress: Progress | None = None) -> Path:
    """All files of a row into the Hugging Face cache. Each is written under another name until it is whole.

    Checksums that the catalogue does not have are noted, where that can be done, for later downloads to be held against.
    """
    _check_room(row)
    _check_hub(row)
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
    """Path and name of the first of the file's names that the repository has."""
    import httpx2
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError, XetDownloadError

    fault: Exception | None = None
    for name in file.names:
        try:
            path = hf_hub_download(
                row.repo,
                name,
                revision=revision,
                force_download=_is_damaged(row.repo, name, revision),
                tqdm_class=_bar(name, progress),
            )
            return Path(path), name
        except RemoteEntryNotFoundError as error:
            fault = fault or error
        except (httpx2.HTTPError, OSError, XetDownloadError) as error:
            raise _told(error, row, file) from error
    assert fault is not None
    raise _told(fault, row, file) from fault


def _check_hub(row: Weights) -> None:
    """Asks once, without patience: the library alone would try for half a minute before it says that nothing answers."""
    import httpx2
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import RemoteEntryNotFoundError

    try:
        get_hf_file_metadata(hf_hub_url(row.repo, row.files[0].name, revision=row.revision))
    except RemoteEntryNotFoundError:
        return  # reachable, and the file may have another name
    except (httpx2.HTTPError, OSError) as error:
        raise _told(error, row, missing_files(row)[0]) from error


def _is_damaged(repo: str, name: str, revision: str) -> bool:
    """Whether the cache has this file, but not whole."""
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(repo, name, revision=revision)
    try:
        if isinstance(cached, str):
            check_file(Path(cached))
    except DamagedError:
        return True
    return False


def _bar(name: str, progress: Progress | None) -> Any:
    """A progress bar class that draws nothing and tells `progress` instead."""
    from tqdm import tqdm

    class Bar(tqdm):  # pyright: ignore[reportMissingTypeArgument]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            if progress is not None:
                progress(name, int(self.n), None if self.total is None else int(self.total))
            return None

        def update_transfer(self, n: float) -> None:
            """Bytes on the wire, which differ from the file's where the storage removes duplicates."""

        def set_transfer_postfix_str(self, text: str, refresh: bool = True) -> None:
            """Speed as text."""

    return Bar


def _check_room(row: Weights) -> None:
    """Raises DownloadError where the disk cannot take what is missing."""
    from huggingface_hub import constants, try_to_load_from_cache

    def cached(file: File) -> bool:
        return any(isinstance(try_to_load_from_cache(row.repo, n, revision=row.revision), str) for n in file.names)

    needed = sum(file.size or 0 for file in row.files if not cached(file))
    cache = Path(constants.HF_HUB_CACHE)
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise DownloadError(
            f"{row.title} needs {size_text(needed)}, but only {size_text(free)} are free in {cache}; "
            "make room, or point HF_HOME to another disk."
        )


def _told(error: Exception, row: Weights, file: File) -> WeightsError:
    """A failed download in one sentence."""
    import httpx2
    from huggingface_hub import constants, errors

    what = f"{needs(row, file)}, but"
    cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ else error
    status = cause.response.status_code if isinstance(cause, errors.HfHubHTTPError) else 0
    number = cause.errno if isinstance(cause, OSError) else None
    if isinstance(cause, httpx2.ConnectError | httpx2.TimeoutException | errors.OfflineModeIsEnabled):
        return MissingError(f"{what} {_hub()} cannot be reached; {remedy(row)}.")
    if isinstance(cause, errors.GatedRepoError):
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
        why = f"the download broke off ({type(cause).__name__}); try again, finished files are kept"
    return DownloadError(f"{what} {why}.")


def _hub() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT.split("//")[-1]
