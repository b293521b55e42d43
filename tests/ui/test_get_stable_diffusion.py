"""From "Get Stable Diffusion…" to the model on the disk, by the page's own calls, the real engine and a hub on this machine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save

from cnet_app.engine import torch_engine
from cnet_app.engine.torch_engine import TorchEngine
from cnet_app.settings import Settings
from models.catalogue.catalog import entry
from models.catalogue.weights import find
from models.downloads import transfer
from models.machine import devices
from tests.models.conftest import hub, own_folders
from tests.models.downloads.hub import FAULTS, STALL, Hub
from tests.ui.conftest import Caller, create_caller

__all__ = ["hub", "own_folders"]

WHOLE = save({"weight": np.arange(100_000, dtype=np.float16)})
PART = len(WHOLE) * 6 // 10
SOON = 30.0
"""Seconds that a step may take on a busy machine."""


@pytest.fixture
def sd15(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub with a tiny file for each of Stable Diffusion's."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**12))
    monkeypatch.setattr(transfer, "LOOK", 0.02)
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    monkeypatch.setattr(torch_engine, "PREVIEW_INTERVAL", 0.0)
    row = entry(devices.GPU_BASE)
    hub.files = {f"{row.repo}/{file.name}": WHOLE if "safetensors" in file.name else b"{}" for file in row.files}
    return hub


@pytest.fixture
def page(sd15: Hub, tmp_path: Path) -> Iterator[Caller]:
    settings = Settings(device="cpu", output_dir=tmp_path / "pictures")
    yield from create_caller(tmp_path, real=TorchEngine(settings), device="cpu")


def follow(page: Caller, job: str, *, until_stalled: bool = False) -> Any:
    """Watch a job as the page does; returns it at its end, or when no more of its file comes."""
    ends, token = time.monotonic() + SOON, None
    while time.monotonic() < ends:
        now = page("watch", token=token, follow=[job])
        token = now["token"]
        (shown,) = [one for one in now["jobs"] if one["id"] == job]
        assert 0 <= shown["fraction"] <= 1
        if shown["status"] != "running" or (until_stalled and 0.59 < shown["fraction"] < 0.61):
            return shown
    pytest.fail("The download did not come as far.")


def test_confirmed_followed_cancelled_and_continued(page: Caller, sd15: Hub) -> None:
    row = entry(devices.GPU_BASE)
    missing = page("question", ids=[row.id])["missing"]
    (item,) = missing["items"]
    assert item["title"] == row.title and item["licence"] and missing["total"] == "2.13 GB" and not missing["offline"]
    assert sd15.asked == []  # nothing before the yes

    sd15.fault = STALL
    job = page("download", ids=missing["ids"])["job"]
    shown = follow(page, job, until_stalled=True)
    assert shown["kind"] == "download" and shown["doing"].startswith("Downloading ")
    assert "safetensors: 0 MB of 0.2 MB" in shown["doing"]

    assert page("cancel", job=job) == {}
    assert follow(page, job)["status"] == "cancelled"
    assert find(row.id) is None
    assert not {one["id"]: one["here"] for one in page("catalogue")["models"]}[row.id]

    sd15.fault = None
    shown = follow(page, page("resume", job=job)["job"])
    assert (shown["status"], shown["error"], shown["fraction"]) == ("done", "", 1.0)
    assert sd15.ranges[:2] == ["", f"bytes={PART}-"]
    assert find(row.id) is not None
    assert {one["id"]: one["here"] for one in page("catalogue")["models"]}[row.id]
    assert page("question", ids=[row.id])["missing"]["ids"] == [row.id]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["cut at 60 %", "gated", "a login page", "500"])
def test_a_fault_is_a_sentence_on_the_page_and_the_next_try_works(page: Caller, sd15: Hub, fault: str) -> None:
    row = entry(devices.GPU_BASE)
    sd15.fault = FAULTS[fault]
    shown = follow(page, page("download", ids=[row.id])["job"])
    assert shown["status"] == "failed" and shown["error"].startswith(f"{row.title} needs ")
    assert find(row.id) is None
    sd15.fault = None
    assert follow(page, page("download", ids=[row.id])["job"])["status"] == "done"
    assert constants.HF_HUB_CACHE in str(find(row.id))
