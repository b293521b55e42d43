"""The page's calls over an engine without a model."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from annotators.runtime import Runtime
from cnet_app.engine.protocol import Engine
from cnet_app.jobs.library.assets import Assets
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.sweeps.sweeps import Sweeps
from cnet_app.jobs.sweeps.works import open_work
from cnet_app.jobs.trainings.trainings import Trainings
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.request.generation import GenerationRequest
from cnet_app.settings import Settings
from cnet_app.ui.calls.context import Context
from cnet_app.ui.studio import answer
from tests.jobs.fake_engine import FakeEngine

FRAME = {"width": 128, "height": 128, "fit": "crop"}


@dataclass(frozen=True)
class Caller:
    """A browser in front of the calls."""

    context: Context
    engine: FakeEngine
    folder: Path
    session: str = "someone"
    files: list[Path] = field(default_factory=list[Path])

    def __call__(self, name: str, /, **values: Any) -> Any:
        """Return the answer of a call."""
        return asyncio.run(answer(self.context, {"name": name, "values": values, "session": self.session}))

    def put(self, pixels: Any) -> dict[str, Any]:
        """Bring a picture to the server, and return it as a draft refers to it."""
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
        path = self.folder / f"{len(self.files)}.png"
        path.write_bytes(buffer.getvalue())
        self.files.append(path)
        return self("put", path=str(path))

    def generate(self, *layers: dict[str, Any], **draft: Any) -> GenerationRequest:
        """Send a draft and return the request that it became."""
        sent = self("generate", draft={"frame": FRAME, "layers": list(layers), **draft})
        assert "jobs" in sent, sent
        request = self.context.runner.request(sent["jobs"][0])
        assert isinstance(request, GenerationRequest)
        return request


def create_caller(folder: Path, real: Engine | None = None, **settings: Any) -> Iterator[Caller]:
    """Yield a browser in front of an app with these settings; `real` is its engine in place of the fake one."""
    chosen = Settings(output_dir=folder / "pictures", cache_dir=str(folder / "cache"), **settings)
    engine = FakeEngine()
    runner = Runner(chosen, real or engine)
    uploads = folder / "uploads"
    uploads.mkdir(parents=True)

    def serve_file(content: bytes, name: str) -> str:
        (uploads / name).write_bytes(content)
        return str(uploads / name)

    def is_uploaded(path: object) -> bool:
        return isinstance(path, str) and Path(path).parent == uploads and Path(path).is_file()

    assets = Assets(folder / "cache" / "pictures", 100_000_000)
    maps = Maps(run_here(Runtime()))
    sweeps = Sweeps(chosen.output_dir, runner, open_work(maps))
    context = Context(
        chosen, runner, maps, assets, is_uploaded, serve_file, sweeps, Trainings(chosen, runner.wants_pictures)
    )
    yield Caller(context, engine, uploads)
    sweeps.close()
    runner.close()


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    yield from create_caller(tmp_path)


@pytest.fixture
def public(tmp_path: Path) -> Iterator[Caller]:
    """The same where others can reach the app."""
    yield from create_caller(tmp_path, host="0.0.0.0")


@pytest.fixture
def photo(caller: Caller) -> dict[str, Any]:
    """The astronaut, 128 px, as a draft refers to it."""
    return caller.put(data.astronaut()[::4, ::4])
