"""The real engine on miniatures that are loaded from real files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import data

from annotators.runtime import Runtime
from cnet_app.engine.protocol import PictureMade
from cnet_app.engine.torch_engine import TorchEngine
from cnet_app.maps.annotate import Maps, build_unit, run_here
from cnet_app.request.generation import GenerationRequest
from cnet_app.settings import Settings
from models import loader
from tests.tiny import files

__all__ = ["files"]

PHOTO = data.astronaut()[::8, ::8]
Make = Callable[[GenerationRequest], np.ndarray[Any, Any]]


@pytest.fixture
def read(files: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The number of networks read from the disk."""
    monkeypatch.setenv("CNET_MODELS_DIR", str(files))
    counted: Counter[str] = Counter()

    def load(kind: Any, folder: Path, *more: Any) -> Any:
        counted["networks"] += 1
        return plain(kind, folder, *more)

    plain = loader.load_network
    monkeypatch.setattr(loader, "load_network", load)
    return counted


@pytest.fixture
def engine(read: Counter[str], tmp_path: Path) -> TorchEngine:
    return TorchEngine(Settings(base="sd15", device="cpu", speed="exact", output_dir=tmp_path))


@pytest.fixture
def make(engine: TorchEngine) -> Make:
    """The one picture of a request."""

    def picture(request: GenerationRequest) -> np.ndarray[Any, Any]:
        (made,) = [event for event in engine.run(request) if isinstance(event, PictureMade)]
        return made.pixels

    return picture


def small(condition: str = "canny", annotator: str = "canny", **values: Any) -> GenerationRequest:
    """A request of the tiny base, with the photo's map."""
    plain: dict[str, Any] = {"prompt": "a red ball", "base": "sd15", "width": 64, "height": 64, "num_inference_steps": 2, "guidance_scale": 3}  # fmt: skip
    maps = Maps(run_here(Runtime()))
    plain["units"] = (build_unit(condition, maps.annotate(condition, annotator, PHOTO, width=64, height=64)),)
    return GenerationRequest(**plain | values)
