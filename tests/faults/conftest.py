"""A real disk of a few megabytes, which a test fills, empties and closes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from models.errors import InputError, StudioError, WeightsError
from tests.models.conftest import hub, row

__all__ = ["hub", "row"]

MEGABYTES = 4


@dataclass
class Disk:
    """A file system in memory, at `folder`."""

    folder: Path
    _filler: list[Path] = field(default_factory=list[Path])

    def fill(self, leave: int = 0) -> None:
        """Take all room but `leave` bytes."""
        path = self.folder / f"filler{len(self._filler)}"
        self._filler.append(path)
        with suppress(OSError), path.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12):
                with suppress(OSError):
                    while file.write(b"x" * size):
                        pass
        if leave:
            with path.open("rb+") as file:
                file.truncate(path.stat().st_size - leave)

    def make_room(self) -> None:
        """Give all taken room back."""
        for path in self._filler:
            path.unlink()
        self._filler.clear()

    def close(self) -> None:
        """Allow no more writing, not for root either. No file on it may be open for writing."""
        _mount("-o", "remount,ro", str(self.folder))

    def open(self) -> None:
        """Allow writing again."""
        _mount("-o", "remount,rw", str(self.folder))

    def files(self) -> set[str]:
        """Return the names of all files, without those that fill the disk and the history's own."""
        found = (path for path in self.folder.rglob("*") if path.is_file() and path not in self._filler)
        return {path.relative_to(self.folder).as_posix() for path in found if "history.sqlite3" not in path.name}


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """The disk, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root of a Linux system mounts a disk")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def is_sentence(text: str) -> bool:
    """Return whether a text is what a user may read: one line, ended, without a trace of the program."""
    return text.endswith(".") and "\n" not in text and "Traceback" not in text and "Errno" not in text


def sentence(error: BaseException) -> str:
    """Return the text of an error that users read; fails for any other."""
    assert isinstance(error, InputError | WeightsError | StudioError), repr(error)
    assert is_sentence(str(error)), str(error)
    return str(error)


IS_POSIX = sys.platform != "win32"
