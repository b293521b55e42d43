"""A catalogue row becomes a folder on this disk: local folder, cache, or a download with progress. Loads no torch.

Looked through in this order: what ships with the project (`models/embedded`), `$CNET_MODELS_DIR`, `models/checkpoints`,
`models/controlnets` (each holds one folder per catalogue id), then the Hugging Face cache, where downloads go.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from models.catalog import CATALOG, File, Weights, entry, size_text

Progress = Callable[[str, int, int | None], None]
"""Called with the file's name, bytes done, and bytes in all where known. What it raises stops the download."""

HERE = Path(__file__).resolve().parent
MAX_HEADER = 100_000_000
"""Bytes; the safetensors format allows no longer header."""


class WeightsError(RuntimeError):
    """Files are not there, damaged or cannot be had: one sentence that names them, their size and their place."""


class MissingError(WeightsError):
    """Not on this disk, and nothing may or can be downloaded."""


class DamagedError(WeightsError):
    """There, but cut off or changed."""


class DownloadError(WeightsError):
    """No network, no permission, not on the hub, or no room on the disk."""


def find(id: str) -> Path | None:
    """The folder that holds all files of a row whole, or None. Never uses the network."""
    return find_row(entry(id))


def fetch(id: str, progress: Progress | None = None) -> Path:
    """`find`, else a download file by file; raises WeightsError."""
    return fetch_row(entry(id), progress)


def find_row(row: Weights) -> Path | None:
    """As `find`, for a row that need not be in the catalogue."""
    return next((folder for folder, fault in _whole_folders(row) if fault is None), None)


def fetch_row(row: Weights, progress: Progress | None = None) -> Path:
    """As `fetch`, for a row that need not be in the catalogue."""
    for folder, fault in _whole_folders(row):
        if fault is None:
            return folder
        # A damaged file in the cache is downloaded again; one that a user has put there is the user's.
        if row.folder or folder in local_folders(row) or offline():
            raise fault
    if row.folder:
        raise MissingError(
            f"{row.title} ships with the project, but {_first_missing(row).name} is not in {short(_place(row))}; restore it."
        )
    if offline():
        raise MissingError(f"{_needs(row)}, which is not here, and the app is offline; {_remedy(row)}.")
    return _download(row, progress)


def offline() -> bool:
    """Whether the environment forbids the network: CNET_OFFLINE or HF_HUB_OFFLINE."""
    return any(
        os.environ.get(name, "").lower() in ("1", "on", "yes", "true") for name in ("CNET_OFFLINE", "HF_HUB_OFFLINE")
    )


@dataclass(frozen=True)
class Available:
    """What a list of models shows of one row."""

    weights: Weights
    state: Literal["here", "missing", "damaged"]
    folder: Path
    """Where it is, or where to put it."""
    size: int | None
    """Bytes on this disk, else the catalogue's rounded number; None is unknown."""
    needs: str
    """What to do where it is not here: one sentence; else empty."""


def available_models() -> list[Available]:
    """Every catalogue row with its place and state; reads headers only, never the network."""
    return [_available(row) for row in CATALOG]


def _available(row: Weights) -> Available:
    for folder, fault in _whole_folders(row):
        if fault is not None:
            return Available(row, "damaged", folder, row.size, str(fault))
        paths = {path for file in row.files if (path := present(folder, file))}
        return Available(row, "here", folder, sum(path.stat().st_size for path in paths), "")
    needs = (
        f"{_needs(row)}; {_remedy(row)}."
        if row.repo
        else f"{row.title} ships with the project: restore {short(_place(row))}."
    )
    return Available(row, "missing", _place(row), row.size, needs)


def local_folders(row: Weights) -> list[Path]:
    """Folders a user, or this project, may have put the row's files in."""
    if row.folder:
        return [HERE / row.folder]
    given = os.environ.get("CNET_MODELS_DIR")
    roots = [*([Path(given)] if given else []), HERE / "checkpoints", HERE / "controlnets"]
    return [root / row.id for root in roots]


def present(folder: Path, file: File) -> Path | None:
    """The file under the first of its names that is there."""
    return next((folder / name for name in file.names if (folder / name).is_file()), None)


def short(folder: Path) -> str:
    """A folder as told to a user: inside the project relative to it, else whole."""
    root = HERE.parent
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else str(folder)


def check_file(path: Path) -> None:
    """Raises DamagedError where the file is empty, or a safetensors file shorter or longer than its header says."""
    if path.stat().st_size == 0:
        raise _damaged(path, "it is empty")
    if path.suffix == ".safetensors":
        fault = _header_fault(path)
        if fault:
            raise _damaged(path, fault)


def check_sha256(path: Path, sha256: str | None) -> None:
    """Raises DamagedError where the content is not what the catalogue expects."""
    if sha256 is None:
        return
    with path.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
            raise _damaged(path, "its checksum is wrong")


def _header_fault(path: Path) -> str:
    """What is wrong with a safetensors file, judged by its header; empty where nothing is."""
    try:
        header, header_length = _read_header(path)
        ends = [int(tensor["data_offsets"][1]) for tensor in header.values()]
    except EOFError:
        return "its header is cut off"
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return "its header cannot be read"
    length, expected = path.stat().st_size, 8 + header_length + max(ends, default=0)
    return "" if expected == length else f"it has {length} bytes instead of {expected}"


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """What a safetensors file says of each tensor, and how many bytes that takes."""
    with path.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER, path.stat().st_size - 8):
            raise EOFError
        header = json.loads(stream.read(length))
    return {name: tensor for name, tensor in header.items() if name != "__metadata__"}, length


def read_shapes(path: Path) -> dict[str, list[int]]:
    """Shape of every tensor in a safetensors file that `check_file` found whole."""
    return {name: tensor["shape"] for name, tensor in _read_header(path)[0].items()}


def _damaged(path: Path, why: str) -> DamagedError:
    return DamagedError(f"{path.name} in {short(path.parent)} is damaged: {why}; delete it and get it again.")


def _whole_folders(row: Weights) -> Iterator[tuple[Path, DamagedError | None]]:
    """Folders that have every file of the row, each with the first fault found in it."""
    for folder in [*local_folders(row), *_cached_folders(row)]:
        paths = [present(folder, file) for file in row.files]
        if all(paths):
            try:
                for path in paths:
                    check_file(path) if path else None
            except DamagedError as fault:
                yield folder, fault
            else:
                yield folder, None


def _cached_folders(row: Weights) -> Iterator[Path]:
    """The Hugging Face cache's folder of the row's revision, where it has any file of it."""
    if not row.repo:
        return
    from huggingface_hub import try_to_load_from_cache

    for name in row.files[0].names:
        cached = try_to_load_from_cache(row.repo, name, revision=row.revision)
        if isinstance(cached, str):
            yield Path(cached.removesuffix(name))
            return


def _first_missing(row: Weights) -> File:
    """The largest file that is not in its place yet."""
    missing = [file for file in row.files if not present(_place(row), file)]
    return max(missing or row.files, key=lambda file: file.size or 0)


def _place(row: Weights) -> Path:
    """Where a user who brings the files should put them."""
    folders = local_folders(row)
    given = row.folder or os.environ.get("CNET_MODELS_DIR")
    return folders[0] if given else folders[-1 if row.kind == "controlnet" else 0]


def _needs(row: Weights, file: File | None = None) -> str:
    file = file or _first_missing(row)
    return f"{row.title} needs {file.name} ({size_text(file.size)})"


def _remedy(row: Weights) -> str:
    return f"go online, or put the files of {_page(row)} into {short(_place(row))}"


def _page(row: Weights) -> str:
    return f"https://huggingface.co/{row.repo}/tree/{row.revision}"


def _download(row: Weights, progress: Progress | None) -> Path:
    """All files of a row into the Hugging Face cache. Each is written under another name until it is whole."""
    _check_room(row)
    _check_hub(row)
    folder, revision = Path(), row.revision
    for file in row.files:
        path, name = _download_file(row, file, revision, progress)
        try:
            check_file(path)
            check_sha256(path, file.sha256)
        except DamagedError:
            path.resolve().unlink()  # else the next look would take it for whole
            path.unlink(missing_ok=True)
            raise
        folder = Path(str(path).removesuffix(name))
        revision = folder.name  # the commit: later files belong to the same one
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
        raise _told(error, row, _first_missing(row)) from error


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

    what = f"{_needs(row, file)}, but"
    cause = error.__cause__ if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ else error
    status = cause.response.status_code if isinstance(cause, errors.HfHubHTTPError) else 0
    number = cause.errno if isinstance(cause, OSError) else None
    if isinstance(cause, httpx2.ConnectError | httpx2.TimeoutException | errors.OfflineModeIsEnabled):
        return MissingError(f"{what} {_hub()} cannot be reached; {_remedy(row)}.")
    if isinstance(cause, errors.GatedRepoError):
        why = f"its authors ask you to accept their terms first: do so at {_page(row)} and set HF_TOKEN"
    elif isinstance(cause, errors.RevisionNotFoundError):
        why = f"{row.repo} no longer has revision {row.revision}; {_remedy(row)}"
    elif isinstance(cause, errors.RepositoryNotFoundError):
        why = f"there is no repository {row.repo} at {_hub()}, or it is private: check the name, or set HF_TOKEN"
    elif isinstance(cause, errors.EntryNotFoundError):
        why = f"{row.repo} has no such file; {_remedy(row)}"
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
