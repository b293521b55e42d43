"""The Hugging Face cache as downloads fill it: contents, unfinished contents, names and locks. Loads no torch.

The layout is that of `huggingface_hub`, so that other programs find the files and take turns with this one:
`blobs/<etag>` is a content, `snapshots/<commit>/<name>` a link to it, `refs/<revision>` the commit of a branch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from models.downloads.hub import Remote

WAIT = 0.2
"""Seconds between two looks at a lock that another process holds."""
ABANDONED_SECONDS = 3600
"""Age from which an unfinished file under a name of its own is one of a process that was killed."""
KEPT_SECONDS = 30 * 24 * 3600
"""Age from which an unfinished file that could be continued is given up."""
UNFINISHED = ".incomplete"


def cache_folder() -> Path:
    """Return the folder of the Hugging Face cache, where downloads go; HF_HOME moves it."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


class RepoCache:
    """The cache's folder of one repository."""

    def __init__(self, repo: str) -> None:
        self._name = f"models--{repo.replace('/', '--')}"
        self.folder = cache_folder() / self._name

    def blob(self, remote: Remote) -> Path:
        """Return the place of a content."""
        return self.folder / "blobs" / remote.etag

    def snapshot(self, commit: str) -> Path:
        """Return the folder of the repository's files at a commit."""
        return self.folder / "snapshots" / commit

    def file(self, remote: Remote) -> Path:
        """Return the place of a file under its own name."""
        return self.snapshot(remote.commit) / remote.name

    def shared_part(self, remote: Remote) -> Path:
        """Return the place of an unfinished content that any process may continue."""
        return self.folder / "blobs" / f"{remote.etag}{UNFINISHED}"

    @contextmanager
    def part(self, remote: Remote, is_shared: bool) -> Generator[Path]:
        """Yield the place of an unfinished content; one that is not shared has a name of its own, and does not stay."""
        if is_shared:
            yield self.shared_part(remote)
            return
        own = self.folder / "blobs" / f"{remote.etag}.{uuid4().hex[:8]}{UNFINISHED}"
        try:
            yield own
        finally:
            own.unlink(missing_ok=True)

    def unfinished_bytes(self) -> int:
        """Return the size of what an interrupted download left, and the next one continues."""
        return sum(path.stat().st_size for path in (self.folder / "blobs").glob(f"*{UNFINISHED}") if _is_shared(path))

    @contextmanager
    def locked(self, remote: Remote, wait: Callable[[], None]) -> Generator[bool]:
        """Let one process at a time work on a content; yields False where the disk has no locks.

        `wait` is called while another process holds the lock, and ends the waiting by what it raises.
        """
        from filelock import FileLock, Timeout

        path = cache_folder() / ".locks" / self._name / f"{remote.etag}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, mode=0o664)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=WAIT)
            except Timeout:
                wait()
            except NotImplementedError:
                yield False
                return
        try:
            yield True
        finally:
            with suppress(OSError):
                lock.release()

    def name_file(self, remote: Remote) -> None:
        """Let the name lead to the content, in one step."""
        blob, file = self.blob(remote), self.file(remote)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{uuid4().hex}")
        try:
            if _links_are_off():
                raise OSError
            draft.symlink_to(os.path.relpath(blob, file.parent))
        except OSError:
            blob.replace(file)  # as on Windows without developer mode: the content itself goes there
        else:
            draft.replace(file)

    def note_commit(self, revision: str, commit: str) -> None:
        """Note the commit that a branch leads to."""
        ref = self.folder / "refs" / revision
        if revision != commit and not (ref.is_file() and ref.read_text(encoding="utf-8") == commit):
            ref.parent.mkdir(parents=True, exist_ok=True)
            ref.write_text(commit, encoding="utf-8")

    def remove_abandoned(self) -> None:
        """Remove unfinished files that nobody continues."""
        with suppress(OSError):  # another process may be as tidy
            for path in (self.folder / "blobs").glob(f"*{UNFINISHED}"):
                kept = KEPT_SECONDS if _is_shared(path) else ABANDONED_SECONDS
                if path.stat().st_mtime < time.time() - kept:
                    path.unlink()


def _is_shared(part: Path) -> bool:
    """Return whether an unfinished file has the name under which any process continues it."""
    return "." not in part.name.removesuffix(UNFINISHED)


def _links_are_off() -> bool:
    from huggingface_hub import constants

    return constants.HF_HUB_DISABLE_SYMLINKS
