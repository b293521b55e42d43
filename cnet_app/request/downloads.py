"""Files of models to be downloaded. A download is a task of its own: no other task downloads anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from annotators.base import shown
from cnet_app.request.plain import Versioned
from models.errors import InputError

MAX_IDS = 64
_ID = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}(/[A-Za-z0-9_][\w.-]{0,95})?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class DownloadRequest(Versioned):
    """Ids to download, in this order."""

    kind: ClassVar[str] = "download"
    ids: tuple[str, ...]
    """Each the id of a catalogue row or, with a slash, of a repository on the hub."""

    def __post_init__(self) -> None:
        if not isinstance(self.ids, list | tuple) or not 1 <= len(self.ids) <= MAX_IDS:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"ids is {shown(self.ids)}, but it must be a list of 1 to {MAX_IDS} ids.")
        for id in self.ids:
            if not isinstance(id, str) or not _ID.fullmatch(id):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InputError(f"ids has {shown(id)}, but an id is a catalogue id or owner/name on the hub.")
        object.__setattr__(self, "ids", tuple(self.ids))
