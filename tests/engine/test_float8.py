"""Weights in float8 are widened where there is room, and stay packed where memory would else be given up for them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cnet_app.engine.loaded import LoadedModels
from cnet_app.request.generation import GenerationRequest
from cnet_app.settings import Settings
from models.layouts.float8 import spared_bytes
from models.loader import Base
from models.machine import memory
from tests.models.conftest import own_folders
from tests.models.layouts.test_network_files import base, others
from tests.models.test_float8 import narrowed

__all__ = ["base", "others", "own_folders"]


@pytest.mark.usefixtures("others")
def test_packed_weights_stay_packed_where_memory_is_short(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "eight.safetensors"
    save_file(narrowed(base.network.state_dict(), scaled=True), path)
    request = GenerationRequest(base=str(path), width=64, height=64)
    free = 10**12
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    models = LoadedModels(Settings(), (torch.device("cpu"), torch.float32), lambda: False, threading.Lock())

    def loaded() -> Base:
        return models._base(request, lambda event: None)  # pyright: ignore[reportPrivateUsage]

    wide = loaded()
    assert wide.was_float8 and not spared_bytes(wide.network)
    free = 0
    packed = loaded()  # it is loaded again
    assert spared_bytes(packed.network) and not packed.was_float8
    assert loaded().network is packed.network
    free = 10**12
    assert loaded().network is packed.network  # nothing is loaded again only to be faster
