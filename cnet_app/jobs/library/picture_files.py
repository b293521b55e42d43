"""The files of the library: pictures, their trash and their thumbnails, all in the folder of the pictures."""

from __future__ import annotations

import io
import os
import threading
from contextlib import suppress
from pathlib import Path

from PIL import Image

from annotators.sources.images import load_image
from annotators.sources.picture_files import readable_name
from cnet_app.jobs.library.rooms import Room
from models.downloads.whole import sweep_unfinished, write_whole
from models.errors import InputError, SaveError

TRASH = ".trash"
THUMBNAILS = ".thumbnails"
THUMBNAIL_SIDE = 256
"""Longest side in px."""
THUMBNAIL_QUALITY = 80
"""Of WebP, 0 to 100."""


class PictureFiles:
    """Finds, moves and shrinks the files of pictures. Thread-safe."""

    def __init__(self, folder: Path, thumbnail_bytes: int) -> None:
        """`thumbnail_bytes` bounds all thumbnails, of which the least recently shown go first."""
        self.folder = folder
        self._thumbnails = Room(folder / THUMBNAILS, thumbnail_bytes)
        self._shrinking = threading.Lock()

    def path(self, id: str, name: str, deleted: bool) -> Path:
        """Return where the file of a picture is: `name` is its path in the folder."""
        kept = self.folder / name
        if not deleted:
            return kept
        trashed = self._trashed(id, kept)
        return kept if kept.exists() and not trashed.exists() else trashed  # a killed delete moved nothing

    def throw_away(self, id: str, name: str) -> None:
        """Move a picture to the trash; one that is not there any more stays so. Raises SaveError."""
        source = self.folder / name
        target = self._trashed(id, source)
        try:
            target.parent.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):
                source.replace(target)
        except OSError as error:
            raise SaveError(
                f"{name} cannot be moved to {target.parent} ({error.strerror}); close what uses it."
            ) from error

    def bring_back(self, id: str, name: str) -> str:
        """Move a picture out of the trash and return its path in the folder, a new one where another file took its own.

        Raises InputError where the file is gone, and SaveError.
        """
        source, target = self.path(id, name, deleted=True), self.folder / name
        if source == target:
            return name
        if not source.is_file():
            raise InputError(f"The file of {name} is no longer in {source.parent}; it cannot be restored.")
        if target.exists():
            target = target.with_stem(f"{target.stem}_{id}")
        try:
            source.replace(target)
        except OSError as error:
            raise SaveError(f"{name} cannot be moved to {self.folder} ({error.strerror}); make room there.") from error
        return target.relative_to(self.folder).as_posix()

    def remove(self, id: str, name: str) -> None:
        """Remove a deleted picture and its thumbnail for good. Raises SaveError."""
        try:
            self.path(id, name, deleted=True).unlink(missing_ok=True)
            self._thumbnail(id).unlink(missing_ok=True)
        except OSError as error:
            raise SaveError(f"{name} cannot be removed ({error.strerror}); close what uses it.") from error

    def thumbnail(self, id: str, picture: Path) -> Path:
        """Return a WebP of at most THUMBNAIL_SIDE px, which is made where it is missing. Raises InputError and SaveError."""
        target = self._thumbnail(id)
        with self._shrinking:
            if target.is_file():
                with suppress(OSError):
                    os.utime(target)  # used just now
            else:
                self._shrink(picture, target)
        return target

    def _trashed(self, id: str, kept: Path) -> Path:
        return self.folder / TRASH / f"{id}{kept.suffix}"

    def _thumbnail(self, id: str) -> Path:
        return self.folder / THUMBNAILS / f"{id}.webp"

    def _shrink(self, picture: Path, target: Path) -> None:
        small = Image.fromarray(load_image(picture, readable_name(picture.name)))
        small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=THUMBNAIL_QUALITY)
        try:
            sweep_unfinished(target.parent)
            self._thumbnails.make_room(buffer.tell())
            target.parent.mkdir(exist_ok=True)
            write_whole(target, buffer.getvalue())
        except OSError as error:
            reason = error.strerror or str(error)
            raise SaveError(
                f"The thumbnail of {picture.name} cannot be written ({reason}); make room there."
            ) from error
