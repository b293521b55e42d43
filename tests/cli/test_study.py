"""`study`: create, results and list."""

from __future__ import annotations

import json
from pathlib import Path

from cnet_app.evaluation.study.plan import find_study
from cnet_app.evaluation.study.questions import Answer, answer
from tests.cli.conftest import Call
from tests.evaluation.studies import make_folders


def test_a_study_is_created_listed_and_exported(call: Call, tmp_path: Path) -> None:
    make_folders(tmp_path, 2, 3)
    (tmp_path / "method-1" / "002.png").unlink()
    out_dir = ("--output-dir", tmp_path)
    images = ("--images", f"ours={tmp_path / 'method-0'}", "--images", tmp_path / "method-1")
    code, out, err = call("study", "create", "first", *images, "--control-images", tmp_path / "controls", *out_dir)
    assert code == 0, err
    assert "2 groups of 2 methods. 1 name that not every folder has was left out." in out
    assert "/?study=first" in out
    study = find_study(tmp_path / "studies", "first")
    for number in range(2):
        answer(study, "a", number, Answer(quality=[1, 2], fidelity=[2, 1]))
    assert "first: ranking, ours, method-1, 2 groups; 1 finished, 0 began" in call("study", "list", *out_dir)[1]
    code, out, _ = call("study", "results", "first", "--output", tmp_path / "tables", *out_dir)
    assert code == 0 and "| ours |" in out and "| PITI (sketch) |" in out
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {
        "results.md", "results.csv", "results.json", "answers.csv",
    }  # fmt: skip
    found = json.loads(call("study", "results", "first", "--json", *out_dir)[1])
    assert [row["method"] for row in found["methods"]] == ["ours", "method-1"]


def test_mistakes_are_one_sentence(call: Call, tmp_path: Path) -> None:
    make_folders(tmp_path, 1, 1)
    for words, sentence in (
        (("create", "a", "--images", tmp_path / "none"), "there is no folder"),
        (("create", "a", "--images", tmp_path / "method-0"), "A ranking needs the control images"),
        (("results", "a"), "There is no study 'a'; create one first."),
    ):
        code, out, err = call("study", *words, "--output-dir", tmp_path)
        assert (code, out) == (2, "")
        assert sentence in err and err.count("\n") == 1
    assert "There is no study yet" in call("study", "list", "--output-dir", tmp_path)[1]
