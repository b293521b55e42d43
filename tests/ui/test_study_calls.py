"""Studies as the page answers, makes and reads them; in public mode a participant sees pixels and numbers alone."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnet_app.evaluation.study.plan import Study
from cnet_app.evaluation.study.questions import lettered, questions
from tests.evaluation.studies import make_folders, make_study
from tests.ui.conftest import Caller, create_caller

ME = {"study": "one", "participant": "Ann"}
RANKS = {"quality": [1, 2, 3], "fidelity": [3, 2, 1]}


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"], ids=["local", "public"])
def anyone(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Caller]:
    """A browser, of the owner and of a stranger."""
    yield from create_caller(tmp_path, host=request.param)


def make(caller: Caller, **draft: Any) -> Study:
    return make_study(caller.context.settings.output_dir, **draft)


def pixels(answer: dict[str, Any]) -> np.ndarray:
    head, _, data = answer["image"].partition(",")
    assert head == "data:image/png;base64"
    opened = Image.open(io.BytesIO(base64.b64decode(data)))
    assert opened.info == {}
    return np.asarray(opened.convert("RGB"))


def test_a_ranking_is_answered_to_its_end(anyone: Caller) -> None:
    study = make(anyone)
    told = anyone("study", study="one")
    assert told == {
        "name": "one", "kind": "ranking", "scale": "ranks", "best": 3, "places": 3, "questions": 4, "training": 0,
    }  # fmt: skip
    question = anyone("study_question", **ME)
    assert question == {
        "participant": "ann", "answered": 0, "of": 4, "round": "rank", "question": 0, "places": 3, "control": True,
        "letters": [],
    }  # fmt: skip
    answers = [told, question]
    while question["round"] != "done":
        question = anyone("study_answer", **ME, question=question["question"], **RANKS)
        answers.append(question)
    assert question == {"participant": "ann", "answered": 4, "of": 4, "round": "done"}
    assert anyone("study_question", **ME) == question
    text = json.dumps(answers)
    assert not any(word in text for word in ("method-", "controls", "000", str(study.folder)))


def test_pictures_come_by_places_without_anything_else(anyone: Caller) -> None:
    study = make(anyone)
    for number, question in enumerate(questions(study, "ann")):
        for place, method in enumerate(question.shown):
            shown = pixels(anyone("study_picture", **ME, question=number, place=place))
            assert (shown[5, 5] == 20 + 40 * method).all()
            assert (shown[0, 0] == int(question.group.name)).all()
        assert (pixels(anyone("study_picture", **ME, question=number)) == 250).all()
    assert "3 pictures, and none at place 3" in anyone("study_picture", **ME, question=0, place=3)["error"]
    assert "there are 4" in anyone("study_picture", **ME, question=4, place=0)["error"]


def test_large_pictures_are_shown_smaller(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    make(caller)
    monkeypatch.setattr("cnet_app.ui.calls.studies.MOST_PIXELS", 12)
    assert pixels(caller("study_picture", **ME, question=0, place=0)).shape == (8, 12, 3)


def test_a_picture_that_is_gone_is_told_without_its_path(anyone: Caller) -> None:
    study = make(anyone)
    question = questions(study, "ann")[0]
    question.group.pictures[question.shown[1]].write_bytes(b"torn")
    assert anyone("study_picture", **ME, question=0, place=1) == {
        "error": "Picture 2 of this question is gone or cannot be read; tell the one who runs the study. Your answers so far "
        "are kept."
    }
    assert "image" in anyone("study_picture", **ME, question=0, place=0)


def test_guesses_follow_the_training_and_end_with_the_own_result(anyone: Caller) -> None:
    study = make(anyone, methods=2, names=5, kind="which", training=2, controls=None)
    question = anyone("study_question", **ME)
    assert (question["round"], question["places"], question["letters"], question["control"]) == (
        "train",
        2,
        ["A", "B"],
        False,
    )
    assert "has no control images" in anyone("study_picture", **ME, question=0)["error"]
    for number in (0, 1):
        question = anyone("study_answer", **ME, question=number)
    wrong = 0
    while question["round"] == "guess":
        assert question["places"] == 1
        made = questions(study, "ann")[question["question"]].shown[0]
        chosen = lettered(study, "ann").index(made)
        chosen, wrong = (1 - chosen, 1) if not wrong else (chosen, wrong)
        question = anyone("study_answer", **ME, question=question["question"], chosen=chosen)
    assert (question["round"], question["right"], question["tests"]) == ("done", 2, 3)


def test_answers_that_cannot_be_are_refused(anyone: Caller) -> None:
    make(anyone)
    assert (
        "Rank 1 of quality is given twice"
        in anyone("study_answer", **ME, question=0, **RANKS | {"quality": [1, 1, 2]})["error"]
    )
    anyone("study_answer", **ME, question=0, **RANKS)
    again = anyone("study_answer", **ME, question=0, **RANKS | {"quality": [3, 2, 1]})["error"]
    assert again.startswith("This question has been answered already, and an answer is final")
    assert "name or number of 1 to 40" in anyone("study_question", study="one", participant=" ")["error"]
    assert "There is no" in anyone("study", study="../studies/one")["error"]


def test_the_owner_makes_a_study_and_reads_it(caller: Caller, tmp_path: Path) -> None:
    methods = make_folders(tmp_path, 2, 3)
    given: dict[str, Any] = {
        "name": "second", "kind": "ranking", "scale": "ratings", "controls": str(tmp_path / "controls"), "groups": None,
        "methods": [{"name": "", "folder": f" {methods[0].folder} "}, {"name": "theirs", "folder": str(methods[1].folder)}],
    }  # fmt: skip
    made = caller("create_study", **given)
    assert made["left_out"] == 0 and made["study"]["methods"] == ["method-0", "theirs"]
    assert "There is a study second already" in caller("create_study", **given)["error"]
    assert (
        "1 methods are given"
        in caller("create_study", **given | {"name": "x", "methods": given["methods"][:1]})["error"]
    )
    for number in range(3):
        caller("study_answer", study="second", participant="1", question=number, quality=[4, 4], fidelity=[5, 2])
    assert [(row["name"], row["finished"]) for row in caller("studies")["studies"]] == [("second", 1)]
    found = caller("study_results", study="second")
    assert found["head"] == ["Method", "Result quality ↑", "Condition fidelity ↑"]
    assert [row[:2] for row in found["rows"]] == [["method-0", "4.00"], ["theirs", "4.00"]]
    assert ["ControlNet", "4.22 ± 0.43", "4.28 ± 0.45"] in found["published"]
    assert set(found["files"]) == {"results.md", "results.csv", "results.json", "answers.csv"}
