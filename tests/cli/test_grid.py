"""`grid`: pictures over one to three settings, and `generate` with wildcards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators.sources.images import load_image
from cnet_app.cli.grid import long_name
from cnet_app.request.prompts.wildcards import Wildcards
from cnet_app.request.recipe import read_recipe, read_request
from tests.cli.conftest import Call, pixels

SMALL = ("--steps", 1, "--size", "64x64", "--seed", 4)


@pytest.fixture
def grid(call: Call, tmp_path: Path) -> Any:
    def run(*words: object) -> Any:
        code, out, err = call("grid", *words, "--output", tmp_path / "made", "--json")
        assert code == 0, err
        return json.loads(out)

    return run


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_models")
def test_a_grid_is_made_resumed_and_each_cell_is_the_picture_of_generate(
    grid: Any, call: Call, photo: Path, tmp_path: Path
) -> None:
    control = ("--control", f"canny={photo},low_threshold=80")
    prompt = ("--prompt", "a {red|green|blue} ball")
    axes = ("--x", "unit1.scale: 0.5-1:0.5", "--y", "unit1.annotator.low_threshold: 40, 120", "--z", "seed: 4, 5")
    made = grid(*axes, *control, *prompt, *SMALL, "--name", "two")
    assert (len(made["pictures"]), made["failures"]) == (8, [])
    assert load_image(Path(made["png"])).ndim == 3
    assert Path(made["html"]).parent == Path(made["manifest"]).parent
    assert Path(made["manifest"]).parent.parent == tmp_path / "made" / "grids"
    scores = [read_recipe(Path(path)).scores for path in made["pictures"]]
    assert made["agreement"] == [of_cell[0].agreement for of_cell in scores] and None not in made["agreement"]
    shown = Path(made["html"]).read_text(encoding="utf-8")
    assert all(f"<p>followed: {100 * agreement:.0f} %</p>" in shown for agreement in made["agreement"])
    last = read_request(Path(made["pictures"][-1]))
    assert last.prompt == Wildcards(tmp_path).resolve("a {red|green|blue} ball", last.seed)

    flags = ("--prompt", last.prompt, "--steps", 1, "--size", "64x64", "--seed", last.seed, "--json")
    low = last.units[0].annotator_parameters["low_threshold"]
    same = f"canny={photo},low_threshold={low},scale={last.units[0].conditioning_scale}"
    _, out, _ = call("generate", "--control", same, *flags, "--output", tmp_path / "one")
    np.testing.assert_array_equal(pixels(json.loads(out)["paths"][0]), pixels(made["pictures"][-1]))

    Path(made["pictures"][3]).unlink()
    code, out, err = call("grid", "--resume", made["manifest"], "--json")
    assert code == 0, err
    again = json.loads(out)
    assert [a == b for a, b in zip(again["pictures"], made["pictures"], strict=True)] == [i != 3 for i in range(8)]
    assert "After a stop: --resume" in err


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_models")
def test_a_grid_of_a_recipe(grid: Any, call: Call, tmp_path: Path) -> None:
    _, out, _ = call("generate", *SMALL, "--prompt", "a red ball", "--output", tmp_path, "--json")
    recipe = json.loads(out)["paths"][0]
    made = grid("--recipe", recipe, "--x", "prompt: red=blue, green")
    assert [read_request(Path(path)).prompt for path in made["pictures"]] == ["a blue ball", "a green ball"]
    code, out, _ = call("grid", "--recipe", recipe, "--x", "seed: 1", "--output", tmp_path)
    assert code == 0
    assert [Path(line).suffix for line in out.splitlines()] == [".png", ".html", ".png"]


@pytest.mark.usefixtures("tiny_models")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--output", "x"), "The grid has no axis; give one with --x"),
        (("--x", "seed: 1"), "There is no folder for the grid; name one with --output"),
        (("--x", "speed: 1", "--output", "x"), "The request has no field 'speed' that can vary"),
        (("--x", "unit1.scale: 1", "--output", "x"), "no field 'unit1.conditioning_scale' that can vary"),
        (("--x", "seed: 1", "--prompt", "{a", "--output", "x"), "is closed by no }"),
        (("--x", "seed: 1", "--num-images", "2", "--output", "x"), "each cell of a grid has one picture"),
        (("--resume", "none.json"), "none.json cannot be read"),
        (("--resume", "none.json", "--x", "seed: 1"), "--resume goes on with a grid as it was; leave out --x."),
        (("--resume", "none.json", "--prompt", "a"), "leave out --prompt."),
    ],
)
def test_mistakes_are_one_sentence_before_anything_is_made(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call("grid", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("text", "long"),
    [
        ("steps: 1, 2", "num_inference_steps: 1, 2"),
        ("unit2.end=0.5", "unit2.control_guidance_end=0.5"),
        ("unit1.annotator.scale: 1", "unit1.annotator.scale: 1"),
        ("lora1.scale: 1", "lora1.scale: 1"),
        ("base: steps", "base: steps"),
        ("nothing", "nothing"),
    ],
)
def test_short_names_of_flags_are_fields(text: str, long: str) -> None:
    assert long_name(text) == long


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_models")
def test_generate_resolves_wildcards_and_a_remake_does_not(call: Call, tmp_path: Path, tiny_models: Path) -> None:
    (tiny_models / "wildcards").mkdir()
    (tiny_models / "wildcards" / "thing.txt").write_text("ball\ncube\ncone\n")
    words = (*SMALL, "--num-images", 3, "--prompt", r"a __thing__ \{new\}", "--output", tmp_path, "--json")
    code, out, err = call("generate", *words)
    assert code == 0, err
    result = json.loads(out)
    assert (result["seeds"], result["request"]["num_images"]) == ([4, 5, 6], 3)
    wildcards = Wildcards(tiny_models / "wildcards")
    for path, seed in zip(result["paths"], result["seeds"], strict=True):
        request = read_request(Path(path))
        assert request.prompt == wildcards.resolve("a __thing__ {new}".replace("{new}", r"\{new\}"), seed)
        assert request.prompt.endswith(" {new}")
        assert request.prompt_template == r"a __thing__ \{new\}"
        assert f"Seed {seed}: {request.prompt}" in result["notes"]
    (tiny_models / "wildcards" / "thing.txt").unlink()
    code, out, err = call("generate", "--recipe", result["paths"][1], "--output", tmp_path / "again", "--json")
    assert code == 0, err
    np.testing.assert_array_equal(pixels(json.loads(out)["paths"][0]), pixels(result["paths"][1]))
    code, _, err = call("generate", *words)
    assert code == 2 and "There is no wildcard __thing__" in err
