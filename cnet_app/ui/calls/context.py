"""What every call of the page works on, and how one is answered."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from cnet_app.jobs.library.assets import Assets
from cnet_app.jobs.runner import BASE_WAIT, Runner
from cnet_app.jobs.sweeps.sweeps import Sweeps
from cnet_app.jobs.trainings.trainings import Trainings
from cnet_app.maps.annotate import Maps
from cnet_app.request.checks.known import check_known
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.prompts.wildcards import Wildcards
from cnet_app.request.upscale import UpscaleRequest
from cnet_app.settings import Settings
from cnet_app.ui.bases import first_base
from cnet_app.ui.protection.budgets import SWEEPS_AT_ONCE, Budgets
from models.errors import InputError, StudioError

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
    trainings: Trainings
    refer: Callable[[str], str] = str
    """Returns what the page is given for the path of a file that it may fetch."""
    budgets: Budgets = field(default_factory=Budgets)

    def of(self, visitor: Visitor) -> Context:
        """Return what a visitor works on: in public mode with photos and drawings of one's own."""
        if self.settings.is_local:
            return self
        return replace(self, assets=self.assets.of(visitor.session, self.settings.max_visitor_mb * 1_000_000))

    def check_known(self, request: GenerationRequest | UpscaleRequest) -> None:
        """Raise InputError where a request of a public app names a model that the app does not offer."""
        if not self.settings.is_local:
            started = self.runner.base()
            check_known(request, started[0] if started else self.settings.base)

    def wildcards(self) -> Wildcards:
        """Return the files of wildcards; in public mode none that a link leads to."""
        return Wildcards(follows_links=self.settings.is_local)

    def admit(self, visitor: Visitor) -> None:
        """Raise StudioError where a visitor's address has as many jobs waiting as it may in public mode."""
        if not self.settings.is_local:
            self.budgets.admit(self.runner.unfinished(), visitor.address, self.settings.max_waiting_per_address)

    def admit_sweep(self, visitor: Visitor) -> None:
        """Raise StudioError where a visitor's address has as many grids and batches running as it may in public mode."""
        own = self.budgets.sessions(visitor.address) if visitor.address and not self.settings.is_local else ()
        if sum(len(self.sweeps.running(session)) for session in own) >= SWEEPS_AT_ONCE:
            raise StudioError(
                f"{SWEEPS_AT_ONCE} grids or batches of your network address run already; wait for the end of one."
            )

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
    address: str = ""
    """The network address that the call came from; empty where it came from none."""


MAX_SESSION = 64
"""Characters of an identity."""


def identity(value: object) -> str:
    """Return what a browser sent as its identity; empty, which is nobody's, for what is no text that can be stored."""
    if not isinstance(value, str) or re.search("[\ud800-\udfff]", value):
        return ""
    return value[:MAX_SESSION]


Call: TypeAlias = Callable[[Context, Visitor, Mapping[str, Any]], Object]
WaitingCall: TypeAlias = Callable[[Context, Visitor, Mapping[str, Any]], Awaitable[Object]]
"""A call that waits in the event loop, and takes no thread meanwhile."""
