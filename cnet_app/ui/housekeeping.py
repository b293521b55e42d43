"""What the running app tidies by itself, again and again: uploads, and in public mode what grids and batches keep."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from cnet_app.jobs.library.rooms import Room, remove_older
from cnet_app.jobs.sweeps.sweeps import Sweeps
from cnet_app.settings import Settings
from models.machine.allocator import return_freed

LOG = logging.getLogger(__name__)
EVERY = 20.0
"""Seconds between two times."""
KEPT_HERE, KEPT_OF_VISITORS = 86400, 3600
"""Seconds for which an upload is kept; pages have what they need kept elsewhere."""
MEGABYTE = 1_000_000


@dataclass
class Housekeeping:
    """One for the app."""

    settings: Settings
    sweeps: Sweeps
    uploads: Path | None
    """The app's own folder of uploads; None where it is shared with other apps."""
    forget: tuple[Callable[[], None], ...]
    """Forget what the server holds in memory of uploads and logins that are over; called in the event loop."""

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncGenerator[None]:
        """Tidy while the app is served."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._repeat)
            yield
            tasks.cancel_scope.cancel()

    async def _repeat(self) -> None:
        while True:
            await anyio.to_thread.run_sync(self.tidy, abandon_on_cancel=True)
            for forget in self.forget:
                forget()
            await anyio.to_thread.run_sync(return_freed, abandon_on_cancel=True)
            await anyio.sleep(EVERY)

    def tidy(self) -> None:
        """Remove what is too old or too much; what cannot be removed now is tried again the next time."""
        try:
            if self.uploads:
                remove_older(self.uploads, KEPT_HERE if self.settings.is_local else KEPT_OF_VISITORS)
                Room(self.uploads, self.settings.max_uploads_mb * MEGABYTE).make_room()
            if not self.settings.is_local:
                self.sweeps.trim(self.settings.max_sweeps_mb * MEGABYTE)
        except OSError as error:
            LOG.warning("Old files could not be removed (%s); the folder may be read-only.", error)
