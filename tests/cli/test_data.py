"""`data build` and `data check`, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from cnet_app.cli.tasks.base_pictures import demo_caption
from cnet_app.embedded.world.words import COLOURS
from cnet_app.request.recipe import read_request
from cnet_app.training.data.readers import read_data
from tests.cli.conftest import Call
from tests.training.data.folders import picture_bytes, write

BUILD = ("data", "build", "--condition", "canny", "--size", 64)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write(tmp_path / "pictures", {f"{name}.png": picture_bytes(seed, 64) for seed, name in enumerate("abc")})


def test_build_then_check(call: Call, pictures: Path, tmp_path: Path) -> None:
    write(pictures, {"d.png": b"no picture"})
    write(tmp_path, {"captions.csv": "image,text\na.png,one\n"})
    output = tmp_path / "data"
    words = ("--images", pictures, "--captions", tmp_path / "captions.csv", "--caption", "else", "--output", output)
    code, out, err = call(*BUILD, *words, "--set", "low_threshold=60", "--json")
    assert code == 0, err
    built = json.loads(out)
    assert built["pairs"] == 3 and len(built["left_out"]) == 1 and "d.png" in built["left_out"][0]
    assert [pair.caption for pair in read_data(output).pairs] == ["one", "else", "else"]
    code, out, _ = call("data", "check", output, "--condition", "canny", "--size", 64)
    assert (code, out.strip()) == (0, "3 pairs, nothing found.")
    (output / "conditioning_images" / "b.png").write_bytes(picture_bytes(1, 64)[:-50])
    sheet = tmp_path / "sheet.png"
    code, out, _ = call("data", "check", output, "--condition", "canny", "--size", 64, "--validation", pictures, "--sheet", sheet, "--json")  # fmt: skip
    result = json.loads(out)
    assert code == 1 and result["sheet"] == str(sheet) and Image.open(sheet).width > 1000
    assert {problem["kind"] for problem in result["problems"]} == {"unreadable", "leak"}
    code, out, _ = call("data", "check", output, "--condition", "canny", "--size", 64)
    assert code == 1 and "files that cannot be read: 1\n  metadata.jsonl, line 2: b.png" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give one of --images and --from-base"),
        (("--images", "gone"), "There is no data folder gone"),
        (("--images", "gone", "--from-base", 3), "give one of --images and --from-base"),
        (("--from-base", 0, "--caption", "x"), "from_base is 0"),
        (("--images", "gone", "--annotator", "midas"), "'midas', which makes no maps for Canny"),
        (("--images", "gone", "--captions", "gone.csv"), "gone.csv, which cannot be read"),
        (("--images", "gone", "--size", 9), "size is 9"),
    ],
)
def test_mistakes_are_one_sentence(call: Call, tmp_path: Path, words: tuple[object, ...], message: str) -> None:
    code, _, err = call(*BUILD, "--output", tmp_path / "data", *words)
    assert code == 2 and message in err and err.count("\n") == 1


@pytest.mark.parametrize("output", ["pictures", "pictures/out", "link/out"])
def test_a_build_never_reads_its_own_output(call: Call, pictures: Path, tmp_path: Path, output: str) -> None:
    (tmp_path / "link").symlink_to(pictures)
    code, _, err = call(*BUILD, "--images", pictures, "--output", tmp_path / output)
    assert code == 2 and f"output is {tmp_path / output}" in err and f"outside of {pictures}" in err
    assert sorted(path.name for path in pictures.iterdir()) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize("column", ["name", "file_name", "file", "image", "File"])
def test_captions_by_each_name_of_their_column(call: Call, pictures: Path, tmp_path: Path, column: str) -> None:
    write(tmp_path, {"c.csv": f"{column},text\na.png,one\nb,two\nother.png,three\n"})
    code, out, err = call(*BUILD, "--images", pictures, "--captions", tmp_path / "c.csv", "--output", tmp_path / "data", "--json")  # fmt: skip
    assert code == 0, err
    assert [pair.caption for pair in read_data(tmp_path / "data").pairs] == ["one", "two", ""]
    unused, bare = json.loads(out)["notes"]
    assert unused == "1 of 3 captions belong to no picture: other."
    assert bare.startswith("1 of 3 pictures have no caption of their own (c); give captions")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.csv", "picture,text\na.png,one\n", "(columns picture, text) names no pictures; give"),
        ("c.csv", "image,words\na.png,one\n", "line 2 has no text: its columns are image, words, and that of"),
        ("c.csv", "image;text\na.png;one\n", "line 2 has no text: its columns are image;text"),
        ("c.csv", "image,text\na.png,one, two\n", "line 2 has more columns than the first line; put texts"),
        ("c.jsonl", '{"picture": "a.png", "text": "one"}', "(columns picture, text) names no pictures"),
        ("c.txt", "one\ntwo\n", "c.txt names no pictures; give a folder"),
        ("c.csv", "image,text\nx.png,one\n", "has captions of x, but the pictures are a, b, c; name"),
    ],
)
def test_captions_are_never_dropped(
    call: Call, pictures: Path, tmp_path: Path, name: str, text: str, message: str
) -> None:
    write(tmp_path, {name: text})
    code, _, err = call(*BUILD, "--images", pictures, "--captions", tmp_path / name, "--output", tmp_path / "data")
    assert code == 2 and message in err


def test_a_build_never_writes_over_its_pictures(call: Call, tmp_path: Path) -> None:
    pictures = write(tmp_path / "set" / "images", {"a.png": picture_bytes(0, 64)})
    code, _, err = call(*BUILD, "--images", pictures, "--output", tmp_path / "set")
    assert code == 2 and "where the build would write" in err


def test_check_of_a_folder_that_is_none(call: Call, tmp_path: Path) -> None:
    code, _, err = call("data", "check", tmp_path, "--condition", "canny")
    assert code == 2 and "is none of the forms of a data set" in err
    code, _, err = call("data", "check", tmp_path, "--condition", "canny", "--size", -1)
    assert code == 2 and "size is -1" in err


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_models")
def test_pictures_of_the_base_by_captions(call: Call, tmp_path: Path) -> None:
    write(tmp_path, {"captions.txt": "a red ball\na blue box\n"})
    words = (*BUILD, "--output", tmp_path / "data", "--set", "low_threshold=1", "--set", "high_threshold=2")
    code, _, err = call(*words, "--from-base", 2)
    assert code == 2 and "--from-base makes pictures of sd15 by captions, but there are none; give --captions" in err
    for count in (2, 3):
        code, out, err = call(*words, "--from-base", count, "--captions", tmp_path / "captions.txt", "--json")
        assert code == 0, err
        assert json.loads(out)["pairs"] + len(json.loads(out)["left_out"]) == count
    folder = tmp_path / "data" / "base_pictures"
    made = sorted(folder.glob("*.png"))
    assert [path.name for path in made] == ["00000.png", "00001.png", "00002.png"]
    assert [(read_request(path).prompt, read_request(path).seed) for path in made] == [("a red ball", 0), ("a blue box", 1), ("a red ball", 2)]  # fmt: skip
    assert (folder / "00001.txt").read_text() == "a blue box"
    stamps = [path.stat().st_mtime_ns for path in made]
    assert call(*words, "--from-base", 3, "--captions", tmp_path / "captions.txt")[0] == 0
    assert [path.stat().st_mtime_ns for path in made] == stamps
    code, _, err = call(*words, "--from-base", 3, "--caption", "a cone")
    assert code == 2 and "00000.png was made of 'a red ball' by sd15, not of 'a cone' by sd15" in err


def test_the_demo_models_own_captions() -> None:
    texts = [demo_caption(seed) for seed in range(200)]
    assert texts == [demo_caption(seed) for seed in range(200)] and len(set(texts)) > 120
    posters = [text for text in texts if text.endswith(" colours")]
    assert 0.3 < len(posters) / len(texts) < 0.5
    assert all(any(colour in text for colour in COLOURS) for text in texts if text not in posters)
