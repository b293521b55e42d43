"""`evaluate pictures` from the command line, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnet_app.cli import main
from tests.evaluation.conftest import depth_map, write


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two control images with pictures that are the same."""
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        for folder in ("maps", "ours"):
            write(tmp_path / folder / f"{number}.png", depth_map(number))
    return tmp_path


WORDS = "evaluate pictures --control-images maps --images ours --condition color --resamples 200"


def test_pictures_are_measured_and_the_report_is_written(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"{WORDS} --images again=ours --output out --json".split()) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["methods"], values["annotator"], values["pictures"]) == (["ours", "again"], "color_grid", 4)
    assert all(row["p"] == 1.0 for row in values["contrasts"])
    written = {"pictures.jsonl", "report.html", "report.md", "report.csv", "report.json", "differences.csv"}
    assert {path.name for path in (data / "out").iterdir()} == written
    assert main(WORDS.split()) == 0
    assert "| ours | 2 |" in capsys.readouterr().out


def test_pictures_are_annotated_as_their_control_images_were_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(3):
        noise = rng.normal(128, 40, (64, 64)).clip(0, 255).astype(np.uint8)
        smooth = Image.fromarray(noise).resize((128, 128))
        write(tmp_path / "photos" / f"{number}.png", np.asarray(smooth.convert("RGB")))
    build = "data build --images photos --output data --condition canny --annotator canny --size 128 --caption x"
    assert main([*build.split(), "--set", "low_threshold=20", "--set", "high_threshold=60"]) == 0
    words = "evaluate pictures --control-images data/conditioning_images --images data/images --condition canny --resamples 200"
    capsys.readouterr()

    def figure(*more: str) -> tuple[float, str]:
        assert main([*words.split(), *more, "--json"]) == 0
        values = json.loads(capsys.readouterr().out)
        return next(cell["value"] for cell in values["cells"] if cell["measure"] == "edge_f1"), json.dumps(values)

    value, text = figure()
    assert value == 1 and "canny (low_threshold 20, high_threshold 60" in text
    assert "data.json, with which the control images were built" in text
    value, text = figure("--set", "low_threshold=200", "--set", "high_threshold=250")
    assert (
        value < 1 and "canny (low_threshold 200, high_threshold 250" in text and "other values were given for" in text
    )
    (tmp_path / "data" / "data.json").unlink()
    assert figure()[0] < 1 and figure("--set", "low_threshold=20", "--set", "high_threshold=60")[0] == 1
    (tmp_path / "prompts.csv").write_text("name,prompt\n0,a ball\n")
    assert "The prompts change no number" in figure("--prompts", "prompts.csv")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--set x=1", "color_grid has no parameter 'x'"),
        ("--images none", "--images is 'none', but there is no folder none"),
        ("--reference none", "--reference is none, but there is no such folder"),
        ("--fid x.pth", "--fid needs real pictures to compare with; give their folder with --reference."),
        ("--reference ours --fid x.pth", "--fid is x.pth, but there is no such file"),
        ("--clip ours", "--clip is ours, which holds no CLIP model"),
        ("--brisque x.pt", "--brisque is x.pt, but there is no such file; give `allmodel` of its authors' release"),
        ("--aesthetics x", "--aesthetics needs the CLIP model"),
        ("--prompts none.csv", "--prompts is none.csv, which cannot be read as text"),
        ("--seed -1", "--seed is -1, but it must be at least 0."),
        ("--level 2", "level is 2, but it must be from 0.5 to 0.999"),
        ("--annotator canny", "annotator is 'canny', which makes no maps for Color grid"),
        ("--condition shuffle", "Shuffle leaves places free, so there is nothing to compare."),
    ],
)
@pytest.mark.usefixtures("data")
def test_wrong_flags_are_refused_in_one_sentence(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"{WORDS} {words}".split()) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("cany --smoke", "There is no protocol 'cany'; did you mean canny?"),
        ("canny", "A protocol needs control images or photos"),
        ("canny --smoke --photos maps", "--photos has no effect with --smoke"),
        ("canny --photos maps --size 7", "--size is 7, but it must be from 64 to 2048 px"),
        ("canny --photos maps --count 0", "--count is 0, but it must be from 1 to 1000000"),
    ],
)
@pytest.mark.usefixtures("data")
def test_wrong_protocols_are_refused(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"evaluate protocol {words} --output out".split()) == 2
    assert message in capsys.readouterr().err
