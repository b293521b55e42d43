"""`score`: pictures against their own recipes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from annotators.base import Image
from annotators.canny import Canny
from cnet_app.embedded.world import create_scene
from cnet_app.fidelity.overlay import AGREE, MISSING
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.recipe import save_picture
from cnet_app.request.units import ControlUnit
from tests.cli.conftest import Call, pixels

SCENE = create_scene(3, 128).image
UNIT = ControlUnit(condition="canny", control_image=encode_png(Canny()(SCENE)), annotator="canny")
SHUFFLE = ControlUnit(condition="shuffle", control_image=encode_png(SCENE))


def save(folder: Path, picture: Image, *units: ControlUnit) -> Path:
    return save_picture(folder, picture, GenerationRequest(units=units, width=128, height=128, seed=1), 0)


@pytest.fixture
def obedient(tmp_path: Path) -> Path:
    return save(tmp_path, SCENE, UNIT, SHUFFLE)


@pytest.fixture
def blank(tmp_path: Path) -> Path:
    return save(tmp_path, np.zeros_like(SCENE), UNIT)


def test_the_best_picture_comes_first_with_its_words(call: Call, obedient: Path, blank: Path, tmp_path: Path) -> None:
    other = save(tmp_path, SCENE, SHUFFLE)
    code, out, err = call("score", other, blank, obedient)
    assert code == 0, err
    assert out.splitlines() == [
        f"{obedient}: 100 %",
        "  canny: followed the edges: 100 % (edge_f1 1)",
        "  shuffle: Shuffle leaves places free, so there is nothing to compare.",
        f"{blank}: 0 %",
        "  canny: followed the edges: 0 % (edge_f1 0)",
        f"{other}: no score",
        "  shuffle: Shuffle leaves places free, so there is nothing to compare.",
    ]


def test_json_has_every_field_and_the_overlays(call: Call, obedient: Path, blank: Path, tmp_path: Path) -> None:
    before = obedient.read_bytes()
    code, out, err = call("score", obedient, blank, "--overlay", tmp_path / "drawn", "--json")
    assert code == 0, err
    first, second = json.loads(out)["pictures"]
    assert (first["path"], first["agreement"], second["agreement"]) == (str(obedient), 1.0, 0.0)
    canny, shuffle = first["scores"]
    assert {"condition", "measure", "value", "unit", "agreement", "words", "reason", "legend"} <= set(canny)
    assert "overlay" not in shuffle
    good, bad = (pixels(one["scores"][0]["overlay"]) for one in (first, second))
    assert (good == AGREE).all(axis=2).any() and not (good == MISSING).all(axis=2).any()
    assert (bad == MISSING).all(axis=2).any() and not (bad == AGREE).all(axis=2).any()
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == sorted(
        f"{path.stem}-overlay-1.png" for path in (obedient, blank)
    )
    assert obedient.read_bytes() == before


def test_overlays_are_named_where_they_are(call: Call, blank: Path, tmp_path: Path) -> None:
    _, out, _ = call("score", blank, "--overlay", tmp_path / "drawn")
    assert out.splitlines()[1].endswith(f"-> {tmp_path / 'drawn' / blank.stem}-overlay-1.png")


def test_a_picture_from_elsewhere_is_a_mistake(call: Call, photo: Path, tmp_path: Path) -> None:
    code, out, err = call("score", photo)
    assert (code, out) == (2, "")
    assert "choose a picture that was made here" in err
    assert call("score", tmp_path / "gone.png")[0] == 2
    assert call("score")[0] == 2


@pytest.mark.slow
def test_the_embedded_model_obeys_and_its_depth_is_read_again(call: Call, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(encode_png(create_scene(11, 256).image))
    command = ("generate", "--base", "embedded", "--seed", 1, "--output", tmp_path, "--json", "--device", "cpu")
    prompt = ("--prompt", "a shaded picture of a red ball under a day sky")
    controls = ("--control", f"canny={photo}", "--control", f"depth={photo},annotator=depth_embedded")
    code, out, err = call(*command, *prompt, *controls)
    assert code == 0, err
    obeyed = json.loads(out)["paths"][0]
    code, out, err = call(*command, *prompt, *(f"{one},scale=0" if "=" in one else one for one in controls))
    assert code == 0, err
    free = json.loads(out)["paths"][0]
    code, out, err = call("score", free, obeyed, "--json")
    assert code == 0, err
    first, second = json.loads(out)["pictures"]
    assert (first["path"], second["path"]) == (obeyed, free)
    canny, depth = first["scores"]
    assert canny["agreement"] > second["scores"][0]["agreement"] + 0.2
    assert depth["annotator"] == "depth_embedded"
    assert set(depth["more"]) == {"pearson"}
    assert depth["agreement"] > 0.5
