"""Annotators make room where a generation needs it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from annotators.embedded import DepthEmbedded
from cnet_app.engine.engine import Engine
from cnet_app.engine.loaded import LoadedModels
from cnet_app.engine.workshop import Workshop
from cnet_app.settings import Settings
from models import memory
from models.errors import OutOfMemoryError
from tests.jobs.fake_engine import request

GB = 1_000_000_000


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(Settings(output_dir=tmp_path, device="cpu"))


@pytest.fixture
def annotator_loaded(workshop: Workshop) -> None:
    DepthEmbedded()(torch.zeros(64, 64, 3, dtype=torch.uint8).numpy(), workshop.runtime)
    assert workshop.runtime.networks.holding() == 1


def test_letting_models_go_lets_annotators_go(workshop: Workshop, annotator_loaded: None) -> None:
    workshop.release()
    assert workshop.runtime.networks.holding() == 0


def test_annotators_stay_where_the_base_fits(workshop: Workshop, annotator_loaded: None) -> None:
    assert workshop.load_base("embedded", None).rung is memory.LADDER[0]
    assert workshop.runtime.networks.holding() == 1


def test_annotators_go_before_anything_of_the_base_is_given_up(
    workshop: Workshop, annotator_loaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short of memory while an annotator has it, and with enough as soon as that is gone."""
    monkeypatch.setattr(memory, "free_bytes", lambda device: 8 * GB if not workshop.runtime.networks.holding() else 0)
    assert workshop.load_base("embedded", None).rung is memory.LADDER[0]
    assert workshop.runtime.networks.holding() == 0


@pytest.mark.parametrize("annotators_loaded", [True, False])
@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_where_memory_runs_out_annotators_go_first_then_what_models_can_give_up(
    annotators_loaded: bool, failures: int
) -> None:
    done: list[str] = []

    def generate(base: Any, *_: Any, **__: Any) -> Any:
        done.append(f"generate on {base.rung}")
        if sum(entry.startswith("generate") for entry in done) <= failures:
            raise OutOfMemoryError("too small")
        return [np.zeros((8, 8, 3), np.uint8)]

    def make_room() -> bool:
        done.append("annotators go")
        return annotators_loaded

    engine = Engine(
        choose_base=lambda: ("embedded", ""),
        load_base=lambda id, rung: SimpleNamespace(id=id, family="embedded", rung=rung or "full"),
        load_controlnet=lambda id, base: id,
        generate=generate,
        next_rung=lambda base: "tiled" if base.rung == "full" else None,
        make_room=make_room,
    )
    models = LoadedModels(engine)
    asked = request()
    ready = models.prepare(asked, lambda *_: None)
    expected = ["generate on full", "annotators go", *["generate on full"] * annotators_loaded, "generate on tiled"]
    generations = [place for place, entry in enumerate(expected) if entry.startswith("generate")]
    if failures < len(generations):
        models.make(ready, asked, lambda *_: None)
        assert done == expected[: generations[failures] + 1]
    else:
        with pytest.raises(OutOfMemoryError, match="too small"):
            models.make(ready, asked, lambda *_: None)
        assert done == expected
