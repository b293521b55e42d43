"""The commands `evaluate` and `train`: a wrong or useless option is refused in one sentence, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnet_app.cli import main

CASES = {
    "evaluate embedded --condition cany": "--condition is 'cany'; did you mean canny? choose from: canny, softedge, ",
    "evaluate embedded --condition shuffle": "--condition is 'shuffle'; choose from: canny, ",
    "evaluate embedded --count 0": "--count is 0, but it must be from 1 to 100000.",
    "evaluate annotators --count -3": "--count is -3, but it must be from 1 to 100000.",
    "evaluate embedded --steps 0": "--steps is 0, but it must be from 1 to 1000.",
    "evaluate embedded --workers 0": "--workers is 0, but it must be from 1 to 256.",
    "evaluate annotators --condition depth": "--condition has no effect on 'evaluate annotators'; leave it out.",
    "evaluate annotators --steps 5 --workers 1": "--steps, --workers have no effect on 'evaluate annotators'; leave",
    "evaluate embedded --sheets out --count 5 --json": "--count, --json have no effect with --sheets; leave them out.",
    "evaluate annotators --sheets out": "--sheets has no effect on 'evaluate annotators'; leave it out.",
}


@pytest.mark.parametrize(("words", "message"), CASES.items(), ids=CASES)
def test_wrong_options_are_refused(
    words: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert not list(tmp_path.iterdir())
