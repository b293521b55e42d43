"""Pictures and networks that several tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage import data

from annotators.base import Image
from annotators.runtime import Runtime
from annotators.sources.images import resize


@pytest.fixture(scope="session")
def photos() -> dict[str, Image]:
    """Real photos of other proportions, 160 px high."""
    names = ("astronaut", "chelsea", "coffee", "rocket")
    return {name: resize(np.asarray(getattr(data, name)()), 200, 160) for name in names}


@pytest.fixture
def runtime() -> Runtime:
    """The CPU, with no network loaded."""
    return Runtime()


ON_META = pytest.raises(RuntimeError, match="(Cannot copy out of|cannot be called on) meta tensor")
"""Tensors on "meta" have no values: this is raised where a result is read, if network and inputs all were there."""


@pytest.fixture
def meta_runtime() -> Runtime:
    """A device that is not the CPU, on every machine."""
    runtime = Runtime()
    object.__setattr__(runtime, "device", "meta")
    return runtime


@pytest.fixture
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose subfolders serve as downloaded weights, by catalogue id."""
    folder = tmp_path / "models"
    monkeypatch.setenv("CNET_MODELS_DIR", str(folder))
    monkeypatch.setattr("annotators.networks.loading._save_copy", lambda *_: None)  # twice the time and the disk
    return folder
