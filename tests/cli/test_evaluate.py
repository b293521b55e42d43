"""`evaluate pictures` from the command line, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
    written = {"pictures.jsonl", "report.html", "report.md", "report.csv", "report.json"}
    assert {path.name for path in (data / "out").iterdir()} == written
    assert main(WORDS.split()) == 0
    assert "| ours | 2 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--images none", "--images is 'none', but there is no folder none"),
        ("--reference none", "--reference is none, but there is no such folder"),
        ("--fid x.pth", "--fid needs real pictures to compare with; give their folder with --reference."),
        ("--reference ours --fid x.pth", "--fid is x.pth, which is no file"),
        ("--clip ours", "--clip is ours, which holds no CLIP model"),
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
