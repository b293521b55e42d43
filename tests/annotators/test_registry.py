"""Annotators by id, their settings as text, and the command that uses them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from annotators.__main__ import describe, main
from annotators.base import Annotator, Image, create, parameters
from annotators.normal import FIRST
from annotators.registry import ANNOTATORS, annotator, parse_values
from annotators.sources.images import load_image
from cnet_app.registry.conditions import CONDITIONS
from models.catalogue.catalog import entry
from models.errors import InputError


def test_every_condition_finds_its_annotators_and_they_their_weights() -> None:
    ids = [kind.id for kind in ANNOTATORS]
    assert len(ids) == len(set(ids))
    assert {id for row in CONDITIONS for id in row.annotators} == set(ids)
    for kind in ANNOTATORS:
        assert annotator(kind.id) is kind
        assert all(entry(weights).kind == "annotator" for weights in kind.weights)


@pytest.mark.parametrize("kind", ANNOTATORS, ids=lambda kind: kind.id)
def test_parameters_are_declared_whole(kind: type[Annotator]) -> None:
    made = kind()
    for name, parameter in parameters(kind).items():
        assert getattr(made, name) == parameter.default or parameter.default == FIRST
        assert parameter.help.endswith(".")
        if parameter.choices:
            assert parameter.default in parameter.choices
            with pytest.raises(InputError, match=f"{name} is 'none of them', but it must be one of"):
                create(kind, {name: "none of them"})
        elif not isinstance(parameter.default, bool):
            assert parameter.minimum is not None
            assert parameter.maximum is not None
            with pytest.raises(InputError, match=name):
                create(kind, {name: parameter.maximum + 1})
            with pytest.raises(InputError, match=name):
                create(kind, {name: float("nan")})


@pytest.mark.parametrize("kind", ANNOTATORS, ids=lambda kind: kind.id)
def test_ordered_parameters_are_numbers_in_order(kind: type[Annotator]) -> None:
    known = parameters(kind)
    for low, high in kind.ordered:
        assert known[low].default <= known[high].default  # type: ignore[operator]
        assert (known[low].minimum, known[low].maximum) == (known[high].minimum, known[high].maximum)
        values: dict[str, object] = {low: known[low].maximum, high: known[high].minimum}
        with pytest.raises(InputError, match=f"{low.replace('_', ' ')} is .*, above the {high.replace('_', ' ')}"):
            create(kind, values)
    assert create(kind).unused() <= set(known)


def test_an_unknown_id_names_the_nearest() -> None:
    with pytest.raises(
        InputError, match=r"no annotator 'cany' \(did you mean canny\?\); `python -m annotators --list`"
    ):
        annotator("cany")


def test_settings_as_text() -> None:
    assert parse_values(["a=80", "b=0.5", "c=True", "d=word"]) == {"a": 80, "b": 0.5, "c": True, "d": "word"}
    with pytest.raises(InputError, match="NAME=VALUE"):
        parse_values(["low_threshold"])


def test_the_command(tmp_path: Path, photos: dict[str, Image], capsys: pytest.CaptureFixture[str]) -> None:
    photo, output = tmp_path / "photo.png", tmp_path / "map.png"
    Pillow.fromarray(photos["coffee"]).save(photo)
    assert main(["canny", str(photo), str(output), "--set", "low_threshold=50"]) == 0
    expected = create(annotator("canny"), {"low_threshold": 50})(photos["coffee"])
    assert np.array_equal(load_image(output), expected)
    assert main(["canny", str(tmp_path / "none.png"), str(output)]) == 2
    assert main(["canny", str(photo), str(output), "--set", "sharpness=3"]) == 2
    assert main(["hed", str(photo), str(output)]) == 3
    assert main(["canny", str(photo), str(tmp_path / "no" / "map.png")]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.strip().splitlines()) == 4
    assert "low_threshold=100" in describe()


@pytest.mark.slow
def test_the_commands_device(tmp_path: Path, photos: dict[str, Image], capsys: pytest.CaptureFixture[str]) -> None:
    photo, output = tmp_path / "photo.png", tmp_path / "map.png"
    Pillow.fromarray(photos["coffee"]).save(photo)
    assert main(["mlsd_tiny", str(photo), str(output), "--device", "cpu"]) == 0
    assert main(["canny", str(photo), str(output), "--device", "cuda:99"]) == 0  # runs no network
    assert main(["mlsd_tiny", str(photo), str(output), "--device", "cpu"]) == 0
    assert np.array_equal(load_image(output), create(annotator("mlsd_tiny"))(photos["coffee"]))
    assert capsys.readouterr().err == ""
    assert main(["mlsd_tiny", str(photo), str(output), "--device", "cuda:99"]) == 2
    assert main(["mlsd_tiny", str(photo), str(output), "--device", "gpu"]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 2
    assert all("device is " in line for line in errors)


def test_the_registry_loads_no_network_library() -> None:
    code = "import sys, annotators.registry, annotators.sources.images; print([m for m in sys.modules if m in {'torch', 'transformers', 'gradio', 'diffusers', 'controlnet_aux'}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
