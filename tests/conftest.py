"""Fixtures of every test: no network, and nothing written outside its own folder."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from annotators.runtime import Runtime
from cnet_app.maps.annotate import Maps, run_here


def pytest_configure() -> None:
    """The libraries' tens of thousands of objects stay to the end: the garbage collector need not look through them."""
    gc.disable()


def pytest_collection_finish() -> None:
    """All is imported: from here on garbage is collected."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """Weights come from this disk alone, and pictures go to the test's folder."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("CNET_OFFLINE", "1")
    monkeypatch.setenv("CNET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CNET_OUTPUT_DIR", str(tmp_path / "outputs"))


@pytest.fixture
def maps() -> Maps:
    """Maps whose annotators run in this process and are remembered for one test."""
    return Maps(run_here(Runtime()))
