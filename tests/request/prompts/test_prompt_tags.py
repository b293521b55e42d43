"""Tags in prompts: LoRAs of this app are taken, and nothing between angle brackets is read as words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnet_app.request.generation import MAX_LORAS, GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.prompts.tags import take_tags, without_tags
from cnet_app.request.units import ControlUnit, Lora


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    (tmp_path / "loras").mkdir()
    for name in ("Paint.safetensors", "ink v2.pt"):
        (tmp_path / "loras" / name).write_bytes(b"")
    (tmp_path / "secret.safetensors").write_bytes(b"")
    return tmp_path


def taken(prompt: str, **values: object) -> tuple[str, list[tuple[str, float]], tuple[str, ...]]:
    request, notes = take_tags(GenerationRequest(prompt=prompt, **values))  # pyright: ignore[reportArgumentType]
    return request.prompt, [(lora.name, lora.scale) for lora in request.loras], notes


@pytest.mark.parametrize(
    ("prompt", "bare", "loras"),
    [
        ("a ball <lora:Paint:0.8>", "a ball", [("Paint.safetensors", 0.8)]),
        ("a <lora:paint> ball", "a ball", [("Paint.safetensors", 1.0)]),
        ("<lora:Paint.safetensors:-1><lyco:ink v2:.5>a", "a", [("Paint.safetensors", -1.0), ("ink v2.pt", 0.5)]),
        ("[<lora:Paint:1>a:b:0.5]", "[a:b:0.5]", [("Paint.safetensors", 1.0)]),
        ("I <3 you: a > b", "I <3 you: a > b", []),
    ],
)
def test_a_lora_that_is_here_is_taken(prompt: str, bare: str, loras: list[tuple[str, float]]) -> None:
    assert taken(prompt) == (bare, loras, ())


@pytest.mark.parametrize(
    ("tag", "note"),
    [
        ("<lora:Pain:1>", "<lora:Pain:1> in prompt does nothing: models/loras has no 'Pain' (did you mean Paint.safetensors?); put its file there."),
        ("<hypernet:x:1>", "<hypernet:x:1> in prompt does nothing here; of tags in a prompt <lora:NAME:WEIGHT> is understood."),
        ("<lora:Paint:x>", "<lora:Paint:x> in prompt has no number as its weight; it was taken as 1."),
        ("<lora:Paint:nan>", "<lora:Paint:nan> in prompt has no number as its weight; it was taken as 1."),
        ("<lora:Paint:1e9>", "<lora:Paint:1e9> in prompt was taken as 2, the nearest weight that is allowed."),
        ("<lora:Paint:0.5:0.7>", "<lora:Paint:0.5:0.7> in prompt names two weights; 0.7, the network's, counts for the text encoder too."),
    ],
)  # fmt: skip
def test_what_a_tag_does_not_do_is_noted(tag: str, note: str) -> None:
    bare, _, notes = taken(f"a {tag} ball")
    assert bare == "a ball"
    assert notes == (note,)


@pytest.mark.parametrize("name", ["../secret", "../secret.safetensors", "{folder}/secret.safetensors", "owner/name", "lcm_lora_sd15"])  # fmt: skip
def test_a_tag_opens_no_other_file_and_downloads_nothing(folder: Path, name: str) -> None:
    bare, loras, notes = taken(f"a <lora:{name.format(folder=folder)}:1>")
    assert (bare, loras) == ("a", [])
    assert "does nothing: models/loras has no" in notes[0]


def test_loras_of_the_request_stay_and_no_more_than_the_most_are_used() -> None:
    given = tuple(Lora(name=f"l{number}") for number in range(MAX_LORAS - 1))
    _, loras, notes = taken("<lora:Paint:1> <lora:ink v2:1>", loras=given)
    assert [name for name, _ in loras] == [*(lora.name for lora in given), "Paint.safetensors"]
    assert notes == (f"<lora:ink v2:1> in prompt was left out: at most {MAX_LORAS} LoRAs work together.",)


def test_tags_elsewhere_are_left_out_and_noted() -> None:
    black = encode_png(np.zeros((64, 64, 3), np.uint8))
    unit = ControlUnit(condition="canny", control_image=black, prompt="sky <lora:Paint:1>")
    request, notes = take_tags(GenerationRequest(prompt="a", negative_prompt="dull <lora:Paint:1>", units=(unit,)))
    assert (request.negative_prompt, request.units[0].prompt, request.loras) == ("dull", "sky", ())
    assert notes == (
        "<lora:Paint:1> does nothing in negative_prompt; put it into prompt.",
        "<lora:Paint:1> does nothing in prompt of unit 1; put it into prompt.",
    )


def test_a_request_without_tags_is_itself() -> None:
    request = GenerationRequest(prompt="a  ball <3")
    assert take_tags(request)[0] is request
    assert without_tags("a  ball") == "a  ball"
