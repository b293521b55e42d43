"""What every call of the page works on, and how one is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from cnet_app.jobs.assets import Assets
from cnet_app.jobs.runner import BASE_WAIT, Runner
from cnet_app.jobs.sweeps import Sweeps
from cnet_app.maps.annotate import Maps
from cnet_app.settings import Settings
from cnet_app.ui.bases import first_base
from models.errors import InputError

Object: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Context:
    """One for the app."""

    settings: Settings
    runner: Runner
    maps: Maps
    assets: Assets
    is_uploaded: Callable[[object], bool]
    """Whether a path is that of a file which was uploaded to this server."""
    serve_file: Callable[[bytes, str], str]
    """Stores a file of this content and name where the page can fetch it, and returns its path."""
    sweeps: Sweeps
    """The grids and batches of the app."""

    def base(self) -> tuple[str, str]:
        """Return the id of the base model, and why it is this one. Waits until that is known."""
        return self.runner.base(BASE_WAIT) or (first_base(self.settings), "no other could be found")

    def uploaded(self, value: object) -> Path:
        """Return the path of an uploaded file. Raises InputError for any other value."""
        if not self.is_uploaded(value):
            raise InputError("The file did not arrive or is no longer there; choose it again.")
        return Path(str(value))


@dataclass(frozen=True)
class Visitor:
    """The browser that calls."""

    session: str
    """An id that the browser keeps: its own jobs and pictures are found by it."""


Call: TypeAlias = Callable[[Context, Visitor, Mapping[str, Any]], Object]
WaitingCall: TypeAlias = Callable[[Context, Visitor, Mapping[str, Any]], Awaitable[Object]]
"""A call that waits in the event loop, and takes no thread meanwhile."""
