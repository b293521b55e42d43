"""One page for all tests of its handlers, over an engine without a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from skimage import data

from annotators.runtime import Runtime
from cnet_app.jobs.runner import Runner
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.settings import Settings
from cnet_app.ui.app import build_app
from tests.jobs.fake_engine import FakeEngine


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    settings = Settings(output_dir=tmp_path_factory.mktemp("pictures"))
    runner = Runner(settings, FakeEngine())
    yield runner
    runner.close()


@pytest.fixture(scope="session")
def built(runner: Runner) -> gr.Blocks:
    return build_app(runner._settings, runner, Maps(run_here(Runtime())))


@pytest.fixture
def photo(tmp_path: Path) -> str:
    """The astronaut, 128 px."""
    path = tmp_path / "photo.png"
    Image.fromarray(np.ascontiguousarray(data.astronaut()[::4, ::4])).save(path)
    return str(path)


@pytest.fixture
def wide(tmp_path: Path) -> str:
    """A part of it, 128×64 px."""
    path = tmp_path / "wide.png"
    Image.fromarray(np.ascontiguousarray(data.astronaut()[:256:4, ::4])).save(path)
    return str(path)
