"""The endpoints over an engine without a model, served for the tests that go through HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from annotators.runtime import Runtime
from cnet_app.api.endpoints import Endpoints
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.sweeps.sweeps import Sweeps
from cnet_app.jobs.sweeps.works import open_work
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.settings import Settings
from cnet_app.ui.app import build_app
from tests.jobs.fake_engine import FakeEngine


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """The astronaut, 128 px."""
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.ascontiguousarray(data.astronaut()[::4, ::4])).save(path)
    return path


@dataclass(frozen=True)
class Api:
    """The endpoints, and what they stand on."""

    endpoints: Endpoints
    runner: Runner
    engine: FakeEngine

    def generate(self, *controls: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Ask for a small picture, and return the answer."""
        return self.endpoints.generate("a test", list(controls), {"num_inference_steps": 2, **options})

    def finished(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return how the job of an answer ended."""
        return self.endpoints.jobs(answer["job"], wait=20)


def create_api(settings: Settings) -> Iterator[Api]:
    engine = FakeEngine()
    runner = Runner(settings, engine)

    def save(pixels: Any) -> dict[str, Any]:
        path = settings.output_dir / "map.png"
        Image.fromarray(pixels).save(path)
        return {"path": str(path)}

    yield Api(Endpoints(settings, runner, Maps(run_here(Runtime())), save), runner, engine)
    runner.close()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    yield from create_api(Settings(output_dir=tmp_path / "pictures"))


@pytest.fixture
def public(tmp_path: Path) -> Iterator[Api]:
    """The same where others can reach the app."""
    yield from create_api(Settings(output_dir=tmp_path / "pictures", host="0.0.0.0"))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running app."""
    folder = tmp_path_factory.mktemp("served")
    settings = Settings(output_dir=folder / "pictures")
    runner = Runner(settings, FakeEngine())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
        maps = Maps(run_here(Runtime()))
        app = build_app(settings, runner, maps, Sweeps(settings.output_dir, runner, open_work(maps)))
        url = app.launch(server_name="127.0.0.1", quiet=True)
        yield url.rstrip("/")
        app.blocks.close(verbose=False)
        runner.close()
