"""Annotators make room where a generation needs it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from annotators import embedded, networks
from annotators.embedded import DepthEmbedded
from cnet_app.jobs.workshop import Workshop
from cnet_app.settings import Settings
from models import memory

GB = 1_000_000_000


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(Settings(output_dir=tmp_path, device="cpu"))


@pytest.fixture
def annotator_loaded() -> None:
    networks.release()
    DepthEmbedded()(torch.zeros(64, 64, 3, dtype=torch.uint8).numpy())
    assert embedded._load.cache_info().currsize == 1  # type: ignore[attr-defined]


def _loaded() -> int:
    return embedded._load.cache_info().currsize  # type: ignore[attr-defined]


def test_letting_models_go_lets_annotators_go(workshop: Workshop, annotator_loaded: None) -> None:
    workshop.release()
    assert _loaded() == 0


def test_annotators_stay_where_the_base_fits(workshop: Workshop, annotator_loaded: None) -> None:
    assert workshop.load_base("embedded", None).rung is memory.LADDER[0]
    assert _loaded() == 1


def test_annotators_go_before_anything_of_the_base_is_given_up(
    workshop: Workshop, annotator_loaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short of memory while an annotator has it, and with enough as soon as that is gone."""
    monkeypatch.setattr(memory, "free_bytes", lambda device: 8 * GB if not _loaded() else 0)
    assert workshop.load_base("embedded", None).rung is memory.LADDER[0]
    assert _loaded() == 0
