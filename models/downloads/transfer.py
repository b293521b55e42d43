"""Transfer of one file that goes on where an earlier one ended, and the checks of what arrived. Loads no torch.

What arrived stays in an unfinished file when a transfer ends early, whoever ended it: the next one asks for the rest. It
becomes the file only when it has the size and the checksum that the hub announced.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, BinaryIO, TypeAlias

from models.catalogue.row import size_text
from models.downloads.hub import Remote, TransferError, another_answers, hub_name, patience
from models.files import file_fault

TRIES = 5
"""Tries one after the other that bring nothing new, before a transfer is given up."""
PAUSE = 1.0
"""Seconds between two tries."""
LOOK = 0.2
"""Seconds between two reports while no data comes: within them a caller can stop."""
RETRIED = (408, 500, 502, 503, 504)
POINTER = b"version https://git-lfs.github.com/spec/"
BLOCK = 1 << 24
"""Bytes that are read at a time."""
SMALL = 1024
"""Bytes below which a file may be a pointer to another."""

Report: TypeAlias = Callable[[int], None]
"""Called with the bytes that are here; what it raises ends the transfer."""
_Item: TypeAlias = Any
"""The answer's head, then its chunks, then None; or the error that ended it."""


class _EndedEarlyError(Exception):
    """The data ended before the file did, or has to be asked for from its begin."""


class _StoppedError(Exception):
    """Nobody reads the answer any more."""


def fill(part: Path, remote: Remote, report: Report) -> None:
    """Append to an unfinished file what it lacks. Raises TransferError, what `failure` understands, and OSError.

    A connection that ends, stalls or is refused for the moment is tried again, TRIES times without new data in between.
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    tries = 0
    while True:
        before = _size(part)
        try:
            return _fetch(part, remote, report)
        except HfHubHTTPError as error:
            fault = error
            if error.response.status_code not in RETRIED:
                raise
        except (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError, _EndedEarlyError) as error:
            fault = error
        tries = 0 if _size(part) > before else tries + 1
        if tries >= TRIES:
            raise _given_up(fault, part, remote) from fault
        _pause(lambda: report(_size(part)))


def check_arrived(part: Path, remote: Remote, sha256: str) -> None:
    """Raise TransferError where a file is not what the hub announced."""
    size = _size(part)
    if remote.size not in (None, size):
        raise TransferError(f"{size} bytes came instead of {remote.size}; try again")
    if remote.sha256 not in (None, sha256) or remote.sha1 not in (None, *_sha1s(part, remote)):
        raise TransferError(f"what came has another checksum than {hub_name()} announced; try again")
    if size < SMALL and part.read_bytes().startswith(POINTER):
        raise TransferError(f"{remote.repo} has only a pointer of Git LFS in its place; the file itself is not there")
    if fault := file_fault(part, Path(remote.name).suffix):
        raise TransferError(f"what {remote.repo} has in its place is damaged: {fault}; try again later")
    if remote.size is None and remote.sha256 is None and not remote.name.endswith((".safetensors", ".json", ".txt")):
        raise TransferError(
            f"{hub_name()} announced neither size nor checksum, so that half of it looks whole; check HF_ENDPOINT"
        )


def checksum(path: Path, report: Report) -> str:
    """Return the SHA-256 of a file, some seconds for a large one; `report` may stop it at every block."""
    size, digest = _size(path), hashlib.sha256()
    for block in _blocks(path):
        report(size)
        digest.update(block)
    return digest.hexdigest()


def _fetch(part: Path, remote: Remote, report: Report) -> None:
    """Ask once for what is missing, and append it."""
    done = _size(part)
    if remote.size is not None and done > remote.size:
        part.unlink()
        done = 0
    report(done)
    if done and done == remote.size:
        return
    answer = _Answer(remote.url, done)
    try:
        head = answer.next(lambda: report(done))
        done = _begin(head, part, remote, done)
        with part.open("ab", buffering=0) as stream:
            while chunk := answer.next(lambda: report(_size(part))):
                done += len(chunk)
                if remote.size is not None and done > remote.size:
                    raise TransferError(f"more than the announced {size_text(remote.size)} came; try again")
                _write(stream, chunk)
                report(done)
            os.fsync(stream.fileno())  # before it gets its name, so that a power failure leaves no zeros under that
    finally:
        answer.stop()
    if remote.size is not None and done < remote.size:
        raise _EndedEarlyError


def _begin(head: Any, part: Path, remote: Remote, done: int) -> int:
    """Check an answer's head, and return how many bytes of the unfinished file it follows on."""
    headers = head.headers
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml") and not remote.name.endswith(".html"):
        raise TransferError(another_answers())
    is_packed = headers.get("Content-Encoding", "identity").lower() != "identity"
    if head.status_code == 416 or (head.status_code == 206 and (is_packed or not _follows(headers, done, remote))):
        part.unlink(missing_ok=True)
        raise _EndedEarlyError  # once more, from the beginning
    if head.status_code == 206:
        return done
    length = headers.get("Content-Length", "")
    if not is_packed and remote.size is not None and length.isdecimal() and int(length) != remote.size:
        raise TransferError(f"{hub_name()} sends {length} bytes instead of {remote.size}; try again later")
    part.write_bytes(b"")  # the whole comes, whatever was asked for
    return 0


def _follows(headers: Any, done: int, remote: Remote) -> bool:
    """Return whether a part of the file begins at this byte of it."""
    span, _, total = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    same_file = not total.isdecimal() or remote.size in (None, int(total))
    return span.partition("-")[0] == str(done) and same_file


class _Answer:
    """One answer of the hub, read in a thread of its own, so that its reader can stop while no data comes."""

    def __init__(self, url: str, start: int) -> None:
        self._url = url
        self._start = start
        self._items: Queue[_Item] = Queue(8)
        self._stopped = Event()
        Thread(target=self._read, name="transfer", daemon=True).start()

    def next(self, wait: Callable[[], None]) -> _Item:
        """Return the head first, then chunks, then None; calls `wait` every LOOK seconds, and raises what it raises."""
        while True:
            try:
                item = self._items.get(timeout=LOOK)
            except Empty:
                wait()
                continue
            if isinstance(item, BaseException):
                raise item
            return item

    def stop(self) -> None:
        """Let the thread end with the next data, or when its patience is over."""
        self._stopped.set()

    def _read(self) -> None:
        from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

        asked = {**build_hf_headers(), "Accept-Encoding": "identity"}
        if self._start:
            asked["Range"] = f"bytes={self._start}-"
        with suppress(_StoppedError):
            try:
                with get_session().stream(
                    "GET", self._url, headers=asked, timeout=patience(), follow_redirects=True
                ) as response:
                    if response.status_code != 416:
                        hf_raise_for_status(response)
                    self._put(response)
                    for chunk in response.iter_bytes():
                        if chunk:
                            self._put(chunk)
                self._put(None)
            except Exception as error:  # noqa: BLE001 - it is raised again where the answer is read
                self._put(error)

    def _put(self, item: _Item) -> None:
        while not self._stopped.is_set():
            with suppress(Full):
                return self._items.put(item, timeout=LOOK)
        raise _StoppedError


def _given_up(fault: Exception, part: Path, remote: Remote) -> Exception:
    """Return the error of a transfer that was tried often enough."""
    import httpx2

    if isinstance(fault, httpx2.ConnectError | httpx2.ConnectTimeout) or not isinstance(
        fault, httpx2.TransportError | _EndedEarlyError
    ):
        return fault
    of = f" of {size_text(remote.size)}" if remote.size else ""
    here = f"after {size_text(_size(part))}{of}"
    if isinstance(fault, httpx2.TimeoutException):
        return TransferError(
            f"no more data came for {patience():g} s {here}, {TRIES} times; try again, it goes on from there, "
            "or give a slow network more time with HF_HUB_DOWNLOAD_TIMEOUT"
        )
    return TransferError(f"the connection ended {here}, {TRIES} times; try again, it goes on from there")


def _pause(wait: Callable[[], None]) -> None:
    ends = time.monotonic() + PAUSE
    while (left := ends - time.monotonic()) > 0:
        wait()
        time.sleep(min(left, LOOK))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _sha1s(path: Path, remote: Remote) -> tuple[str, ...]:
    """Return the SHA-1 of git and of the content alone; nothing where the hub announces none."""
    if not remote.sha1:
        return ()
    framed = hashlib.sha1(b"blob %d\0" % _size(path), usedforsecurity=False)
    plain = hashlib.sha1(usedforsecurity=False)
    for block in _blocks(path):
        framed.update(block)
        plain.update(block)
    return framed.hexdigest(), plain.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            yield block


def _write(stream: io.RawIOBase | BinaryIO, chunk: bytes) -> None:
    """Write all of it: a disk takes what it has room for, and refuses the rest with the next try."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[stream.write(rest) or 0 :]
