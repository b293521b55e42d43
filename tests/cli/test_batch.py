"""`batch`: a folder of pictures through one recipe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotators.canny import Canny
from annotators.sources.images import load_image
from cnet_app.cli.batch import with_file
from cnet_app.request.recipe import read_request
from cnet_app.request.tasks import task_to_json
from models.errors import InputError
from tests.cli.conftest import Call

SMALL = ("--steps", 1, "--seed", 4)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in (1, 2, 10):
        pixels = np.full((64, 64, 3), 30, np.uint8)
        pixels[10:40, 4 * number : 4 * number + 15] = (220, 180, 60)
        Image.fromarray(pixels).save(folder / f"p{number}.png")
    (folder / "p0.png").write_bytes(b"no picture")
    (folder / "p2.txt").write_text("a hat")
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_models")
def test_a_folder_is_made_and_resumed(call: Call, photos: Path, tmp_path: Path) -> None:
    words = ("batch", photos, "--control", "canny,scale=0.7", "--prompt", "a ball", *SMALL, "--size", "64x64")
    code, out, err = call(*words, "--output", tmp_path / "made", "--json")
    assert code == 0, err
    made = json.loads(out)
    assert [Path(path).name for path in made["pictures"]] == ["p1.png", "p2.png", "p10.png"]
    assert [one["name"] for one in made["failures"]] == ["p0.png"]
    assert len(list((tmp_path / "made").rglob("p*.png"))) == 3
    assert not list((tmp_path / "made").glob("*.png"))
    for path in map(Path, made["pictures"]):
        request = read_request(path)
        (unit,) = request.units
        assert np.array_equal(unit.pixels, Canny()(load_image(photos / path.name)))
        assert (unit.conditioning_scale, request.prompt) == (0.7, "a hat" if path.name == "p2.png" else "a ball")
    Path(made["pictures"][0]).unlink()
    Image.new("RGB", (64, 64), "red").save(photos / "p0.png")
    code, out, err = call("batch", "--resume", Path(made["manifest"]).parent, "--json")
    assert code == 0, err
    again = json.loads(out)
    assert [Path(path).name for path in again["pictures"]] == ["p0.png", "p1.png", "p2.png", "p10.png"]
    code, _, err = call("grid", "--resume", made["manifest"])
    assert code == 2 and "is the manifest of a batch; resume it with that command" in err


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_models")
def test_a_recipe_as_picture_or_json_with_a_table(call: Call, photos: Path, tmp_path: Path) -> None:
    generate = (
        "generate",
        "--control",
        f"canny={photos / 'p1.png'}",
        *SMALL,
        "--size",
        "64x64",
        "--prompt",
        "a {red|blue} ball",
    )
    _, out, _ = call(*generate, "--output", tmp_path, "--json")
    picture = Path(json.loads(out)["paths"][0])
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(task_to_json(read_request(picture))))
    table = tmp_path / "table.csv"
    table.write_text("file,prompt,seed\np10.png,a cube,9\np1.png,,\n")
    for given in (picture, recipe):
        code, out, err = call("batch", photos, "--recipe", given, "--table", table, "--output", tmp_path, "--json")
        assert code == 0, err
        cube, ball = (read_request(Path(path)) for path in json.loads(out)["pictures"])
        assert (cube.prompt, cube.seed, cube.width) == ("a cube", 9, 64)
        assert (ball.prompt, ball.seed) == (read_request(picture).prompt, 4)
    code, out, err = call(
        "batch", photos, "--recipe", recipe, "--table", table, "--size", "128x64", "--output", tmp_path, "--json"
    )
    assert code == 0, err
    assert {Image.open(path).size for path in json.loads(out)["pictures"]} == {(128, 64)}


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_models")
def test_pictures_to_start_from(call: Call, photos: Path, tmp_path: Path) -> None:
    words = (
        "batch",
        photos,
        "--into",
        "start",
        "--strength",
        0.5,
        "--prompt",
        "a ball",
        "--steps",
        2,
        "--size",
        "64x64",
    )
    code, out, err = call(*words, "--output", tmp_path, "--json")
    assert code == 0, err
    for path in map(Path, json.loads(out)["pictures"]):
        request = read_request(path)
        assert request.initial_image is not None
        assert np.array_equal(load_image(request.initial_image), load_image(photos / path.name))


@pytest.mark.usefixtures("tiny_models")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--output", "x"), "The batch has no pictures; name their folder"),
        (("none", "--output", "x"), "none cannot be read"),
        (("photos",), "There is no folder for the batch; name one with --output"),
        (("photos", "--output", "x"), "has no control image and no picture to start from"),
        (("photos", "--control", "canny=a.png", "--output", "x"), "come from its folder; write canny."),
        (("photos", "--control", "cany", "--output", "x"), "did you mean canny?"),
        (("photos", "--table", "none.csv", "--control", "canny", "--output", "x"), "none.csv cannot be read"),
        (("photos", "--recipe", "r.png", "--prompt", "a", "--output", "x"), "leave out --prompt"),
        (("photos", "--resume", "m.json"), "--resume goes on with a batch as it was; leave out --folder."),
    ],
)
def test_mistakes_are_one_sentence(
    call: Call, photos: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(photos.parent)
    code, out, err = call("batch", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_control_of_a_batch_takes_the_file() -> None:
    assert with_file("canny", Path("a.png")) == "canny=a.png"
    assert with_file("canny,scale=0.7", Path("a.png")) == "canny=a.png,scale=0.7"
    with pytest.raises(InputError, match="write canny,scale=1"):
        with_file("canny=b.png,scale=1", Path("a.png"))


@pytest.mark.slow
def test_the_embedded_model_makes_a_batch_and_a_grid_of_it(
    call: Call, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNET_DEVICE", "cpu")
    words = ("batch", photos, "--base", "embedded", "--control", "canny", "--prompt", "a {red|blue} ball")
    code, out, err = call(*words, "--steps", 2, "--size", "64x64", "--seed", 1, "--output", tmp_path, "--json")
    assert code == 0, err
    first, *_ = json.loads(out)["pictures"]
    axes = ("--x", "guidance_scale: 1, 3", "--y", "unit1.scale: 0, 1")
    code, out, err = call("grid", "--recipe", first, *axes, "--output", tmp_path, "--json")
    assert code == 0, err
    made = [load_image(Path(path)) for path in json.loads(out)["pictures"]]
    assert len({picture.tobytes() for picture in made}) == 4
