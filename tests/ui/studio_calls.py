"""The calls of the page over a runner with a fake engine, as two visitors make them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from annotators.runtime import Runtime
from cnet_app.jobs.library.assets import Assets
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.state import JobState
from cnet_app.jobs.sweeps.sweeps import Sweeps
from cnet_app.jobs.sweeps.works import open_work
from cnet_app.jobs.trainings.trainings import Trainings
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.request.generation import GenerationRequest
from cnet_app.settings import Settings
from cnet_app.ui.calls.context import Context
from cnet_app.ui.studio import answer
from tests.jobs.fake_engine import FakeEngine

SOON = 30.0
"""Seconds that a fake job may take on a busy machine."""


class Desk:
    """A server without a page; `call` answers as it would answer a browser."""

    def __init__(self, folder: Path, is_public: bool = False) -> None:
        settings = Settings(output_dir=folder / "pictures", host="0.0.0.0" if is_public else "127.0.0.1")
        self.folder, self.engine = folder, FakeEngine()
        self.runner = Runner(settings, self.engine)
        assets = Assets(folder / "assets", 100_000_000)
        maps = Maps(run_here(Runtime()))
        sweeps = Sweeps(settings.output_dir, self.runner, open_work(maps))
        trainings = Trainings(settings, self.runner.wants_pictures)
        self.context = Context(settings, self.runner, maps, assets, self._is_uploaded, self._serve, sweeps, trainings)

    def call(self, name: str, session: str = "me", **values: Any) -> dict[str, Any]:
        """Return the answer; a refusal is {"error": sentence}."""
        return anyio.run(answer, self.context, {"name": name, "values": values, "session": session})

    def make(self, request: GenerationRequest, session: str = "me") -> JobState:
        """Run a request to its end."""
        return self.wait(self.runner.submit(request, session))

    def wait(self, job: str) -> JobState:
        """Wait for the end of a job."""
        ends = time.monotonic() + SOON
        while not (state := self.runner.state(job)).is_over:
            assert time.monotonic() < ends, state
            time.sleep(0.01)
        return state

    def picture_ids(self, session: str = "me", **query: Any) -> list[str]:
        """Return the ids that a search finds."""
        return [picture["id"] for picture in self.call("library", session, query=query)["pictures"]]

    def fetched(self, draft: Any) -> Any:
        """Return a restored draft as the page sends it: every file is put, and referred to by its hash."""
        if isinstance(draft, Mapping):
            if "file" in draft:
                return {"sha256": self.call("put", path=draft["file"])["sha256"]}
            return {name: self.fetched(value) for name, value in draft.items()}
        return [self.fetched(value) for value in draft] if isinstance(draft, list) else draft

    def _is_uploaded(self, path: object) -> bool:
        return isinstance(path, str) and Path(path).is_file()

    def _serve(self, data: bytes, name: str) -> str:
        folder = self.folder / "served" / hashlib.sha256(data).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        return str(folder / name)
