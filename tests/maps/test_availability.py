"""Annotators that cannot run here: told why, with what to use meanwhile, and no other suffers."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from skimage import data

from annotators.__main__ import describe
from annotators.base import Image, create
from annotators.networks.loading import aux_module
from annotators.registry import ANNOTATORS, annotator
from cnet_app.maps.annotate import Maps
from cnet_app.maps.availability import can_run, default_annotator, instead_of, library_fault, missing_weights
from cnet_app.registry.conditions import CONDITIONS
from cnet_app.ui.calls.describe import describe_annotators
from models.catalogue.catalog import entry, size_text
from models.catalogue.places import missing_files, place_for
from models.catalogue.weights import short
from models.errors import LibraryError, MissingError

PHOTO: Image = np.asarray(data.coffee())[::4, ::4]
DOWNLOADED = [
    (row.id, id) for row in CONDITIONS for id in row.annotators if any(entry(w).repo for w in annotator(id).weights)
]


@pytest.fixture(autouse=True)
def _nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """No download of a developer's."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path / "models"))


@pytest.mark.parametrize(("condition", "id"), DOWNLOADED, ids=lambda value: value)
def test_offline_an_annotator_names_its_file_its_place_and_what_to_use_meanwhile(
    maps: Maps, condition: str, id: str
) -> None:
    assert not can_run(id)
    with pytest.raises(MissingError) as told:
        maps.annotate(condition, id, PHOTO, None, 64, 64)
    (row,) = (entry(weights) for weights in annotator(id).weights)
    files = missing_files(row)
    other = default_annotator(condition)
    text = str(told.value)
    for file in (file for file in files if file.size is None or file.size > 1_000_000):
        assert f"{file.name} ({size_text(file.size)})" in text
    what = "the files" if len(files) > 1 else "that file"
    assert f"offline; go online, or put {what} of https://huggingface.co/" in text
    assert f"into {short(place_for(row))}" in text
    assert text.endswith(f"; until then choose {annotator(other).title} ({other}).")
    assert can_run(other)
    assert text.count(". ") == 0 and "\n" not in text


def test_what_a_message_names_makes_the_map_meanwhile(maps: Maps) -> None:
    assert maps.annotate("softedge", default_annotator("softedge"), PHOTO, None, 64, 64).pixels.any()
    assert maps.annotate("lineart_anime", default_annotator("lineart_anime"), PHOTO, None, 64, 64).pixels.any()


def test_where_nothing_else_can_run_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnet_app.maps.availability.find", lambda id: None)
    assert instead_of("depth_embedded", "depth") == instead_of("midas", "depth") == ""


def test_parts_that_are_switched_on_are_missed_too(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "openpose_body"
    folder.mkdir(parents=True)
    (folder / "body_pose_model.pth").write_bytes(b"anything")
    assert missing_weights("openpose") == []
    assert "openpose_hand" in create(annotator("openpose"), {"hands": True}).needs()


def test_a_package_that_cannot_be_imported_takes_its_annotator_alone(
    maps: Maps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for weights, name in (("hed", "ControlNetHED.pth"), ("pidinet", "table5_pidinet.pth")):
        (tmp_path / "models" / weights).mkdir(parents=True)
        (tmp_path / "models" / weights / name).write_bytes(b"weights")
    aux_module("util")  # the package is entered
    monkeypatch.setitem(sys.modules, "controlnet_aux.hed", None)
    assert default_annotator("softedge") == "hed"
    with pytest.raises(LibraryError, match=r"needs controlnet_aux\.hed, which cannot be imported here .*until then"):
        maps.annotate("softedge", "hed", PHOTO, None, 64, 64)
    assert library_fault("hed", maps.faults).startswith("This annotator needs controlnet_aux.hed")
    assert not library_fault("pidinet", maps.faults)
    assert default_annotator("softedge", maps.faults) == "hed_safe"  # not found out yet
    with pytest.raises(LibraryError):
        maps.annotate("softedge", "hed_safe", PHOTO, None, 64, 64)
    assert default_annotator("softedge", maps.faults) == "softedge_gradient"
    described = {row["id"]: row for row in describe_annotators("softedge", maps.faults)}
    assert described["hed"]["fault"].startswith(
        "This annotator needs controlnet_aux.hed, which cannot be imported here"
    )
    assert not described["pidinet"]["fault"]


def test_a_package_that_is_not_installed_is_told_before_anything_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert library_fault("dwpose").startswith("This annotator needs onnxruntime, which is not installed; run `pip")
    assert {kind.id for kind in ANNOTATORS if library_fault(kind.id)} == {"dwpose", "mediapipe_pose"}


def test_every_network_of_a_package_names_it() -> None:
    downloaded = {kind for kind in ANNOTATORS if any(entry(weights).repo for weights in kind.weights)}
    assert {kind.id for kind in downloaded if not kind.library} == set()
    assert {kind.library for kind in ANNOTATORS} == {"", "controlnet_aux", "transformers", "onnxruntime"}


@pytest.mark.parametrize("id", [kind.id for kind in ANNOTATORS])
def test_wherever_an_annotator_is_offered_its_weights_licence_is_named(id: str) -> None:
    terms = {entry(weights).licence for weights in create(annotator(id)).needs()}
    (condition, *_) = (row.id for row in CONDITIONS if id in row.annotators)
    offered = next(row for row in describe_annotators(condition) if row["id"] == id)
    for text in (offered["licence"], next(row for row in describe().splitlines() if row.startswith(f"{id} "))):
        assert ("Licence of its weights: " in text) == bool(terms)
        assert all(licence in text for licence in terms)


@pytest.mark.parametrize("condition", [row.id for row in CONDITIONS])
def test_what_nobody_knows_the_terms_of_is_no_default(condition: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnet_app.maps.availability.can_run", lambda id, faults: True)
    chosen = create(annotator(default_annotator(condition)))
    assert {entry(weights).commercial for weights in chosen.needs()} <= {"yes"}
