"""Annotators that proved broken while the app runs are named where they are offered."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from annotators.networks import aux_module
from annotators.runtime import Runtime
from cnet_app.jobs.runner import Runner
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.ui.app import build_app
from models.errors import LibraryError
from tests.ui.handlers import call, find, listeners


def test_a_broken_annotator_is_no_first_choice_and_its_note_names_the_fault(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    (tmp_path / "hed").mkdir()
    (tmp_path / "hed" / "ControlNetHED.pth").write_bytes(b"weights")
    aux_module("util")  # the package is entered
    monkeypatch.setitem(sys.modules, "controlnet_aux.hed", None)
    maps = Maps(run_here(Runtime()))
    before = build_app(runner._settings, runner, maps)
    assert find(before, "softedge-annotator").value == "hed"
    with pytest.raises(LibraryError):
        maps.annotate("softedge", "hed", np.asarray(data.coffee())[::8, ::8], None, 64, 64)

    (changed,) = [fn for fn in listeners(before, "softedge-annotator", "change") if fn.fn.__name__ == "_chosen"]
    note = call(changed, {"softedge-annotator": "hed"})[find(before, "softedge-note")]
    assert note.startswith("This annotator needs controlnet_aux.hed, which cannot be imported here")
    after = find(build_app(runner._settings, runner, maps), "softedge-annotator")
    assert ("HED (not available)", "hed") in after.choices
    assert after.value != "hed"
