"""User studies: orders, answers, results with a known truth, and what cannot be."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnet_app.evaluation.pairing import Method
from cnet_app.evaluation.paper import RANKING
from cnet_app.evaluation.study.create import StudyDraft, create_study
from cnet_app.evaluation.study.plan import Study, all_studies, find_study, participant_of
from cnet_app.evaluation.study.questions import Answer, answer, answers_of, lettered, next_question, questions
from cnet_app.evaluation.study.results import precisions_of, results
from cnet_app.evaluation.study.tables import answers_csv, to_csv, to_markdown
from models.errors import InputError, SaveError
from tests.evaluation.studies import guesser, make_folders, make_study, ranker, take_part
from tests.source import ROOT

ORDER = Answer(quality=[1, 2, 3], fidelity=[3, 2, 1])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of answers do not wait for the disk."""
    monkeypatch.setattr("cnet_app.evaluation.study.answers.SYNCHRONOUS", "OFF")


@pytest.mark.usefixtures("quick")
def test_a_ranking_by_known_preferences_gives_them_back(tmp_path: Path) -> None:
    """Twelve participants and twenty groups, as in the paper; the expected rank follows from worth and noise."""
    quality, fidelity, noise = np.array([0.0, 1.0, 1.2, 2.5]), np.array([2.0, 0.5, 0.4, 0.0]), 0.9
    study = make_study(tmp_path, methods=4, names=20)
    rng = np.random.default_rng(3)
    for number in range(12):
        take_part(study, f"p{number}", ranker(rng, quality, fidelity, noise))
    found = results(study)
    assert (found.participants, found.groups, found.best, found.unfinished) == (12, 20, 4, 0)
    for part, worth in (("quality", quality), ("fidelity", fidelity)):
        for place, row in enumerate(found.methods):
            spread = getattr(row, part)
            wins = [0.5 * math.erfc((other - worth[place]) / (2 * noise)) for other in np.delete(worth, place)]
            assert abs(spread.mean - (1 + sum(wins))) < 3 * spread.deviation / math.sqrt(12)
            assert 0.05 < spread.deviation < 0.4


@pytest.mark.usefixtures("quick")
def test_guesses_of_known_accuracy_give_it_back(tmp_path: Path) -> None:
    study = make_study(tmp_path, methods=2, names=36, kind="which")
    rng = np.random.default_rng(4)
    for number in range(12):
        take_part(study, f"p{number}", guesser(rng, 0.7))
    found = results(study)
    assert found.precision and found.precision.deviation and found.precisions
    assert (found.participants, found.groups, study.training) == (12, 24, 12)
    assert abs(found.precision.mean - 0.7) < 2 * found.precision.deviation / math.sqrt(12)
    assert 0.5 * math.sqrt(0.21 / 24) < found.precision.deviation < 2 * math.sqrt(0.21 / 24)
    assert found.precisions == precisions_of(answers_of(study).all())


def test_exports_have_the_form_of_the_papers_table(tmp_path: Path) -> None:
    study = make_study(tmp_path, names=2)
    for participant, values in (("a", (1, 2, 3)), ("b", (1, 3, 2))):
        for question in questions(study, participant):
            given = [values[place] for place in question.shown]
            answer(study, participant, question.number, Answer(quality=given, fidelity=given))
    found = results(study)
    text = to_markdown(found)
    assert "| method-0 | 1.00 ± 0.00 | 1.00 ± 0.00 |" in text
    assert "| method-1 | 2.50 ± 0.71 | 2.50 ± 0.71 |" in text
    assert "2 participants, 2 groups: ranks, each once in a group, from 1 (worst) to 3 (best)" in text
    assert "| ControlNet | 4.22 ± 0.43 | 4.28 ± 0.45 |" in text
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    ours = [row for row in rows if row["source"] == "this study"]
    assert [(row["method"], row["judged"], float(row["mean"])) for row in ours[2:4]] == [
        ("method-1", "quality", 2.5), ("method-1", "fidelity", 2.5),
    ]  # fmt: skip
    assert len(rows) == len(ours) + len(RANKING) == 16
    assert json.loads(json.dumps(found.to_json()))["methods"][1]["quality"]["mean"] == 2.5
    answers = list(csv.DictReader(io.StringIO(answers_csv(answers_of(study).all()))))
    assert len(answers) == 12 and set(answers[0]) == {"participant", "group", "method", "quality", "fidelity", "chosen"}


def test_precision_is_printed_beside_the_papers(tmp_path: Path) -> None:
    study = make_study(tmp_path, methods=2, names=6, kind="which", controls=None)
    assert "No participant has answered all questions yet" in to_markdown(results(study))
    take_part(study, "a", guesser(np.random.default_rng(0), 1.0))
    text = to_markdown(results(study))
    assert "| one | 1.00 |" in text and "0.52 ± 0.17" in text
    assert "1 participant, 4 test pictures" in text
    assert "one,precision,1.0,,1,4,this study" in to_csv(results(study))


def test_orders_depend_on_study_and_participant_alone(tmp_path: Path) -> None:
    study = make_study(tmp_path, methods=5, names=20)
    first, again, other = (questions(study, name) for name in ("Ann", " ann ", "ben"))
    assert first == again
    assert [one.group.name for one in first] != [one.group.name for one in other]
    assert {one.group.name for one in first} == {group.name for group in study.groups}
    assert all(sorted(one.shown) == list(range(5)) for one in first)
    assert questions(find_study(study.folder.parent, "one"), "ann") == first
    at_first_place = Counter(one.shown[0] for name in range(60) for one in questions(study, str(name)))
    assert all(abs(count / 1200 - 0.2) < 0.04 for count in at_first_place.values())


def test_training_comes_first_and_the_test_has_as_many_of_each_model(tmp_path: Path) -> None:
    study = make_study(tmp_path, methods=2, names=9, kind="which", training=3)
    swapped = [lettered(study, str(number)) for number in range(40)]
    assert 8 < sum(letters == [0, 1] for letters in swapped) < 32
    for name in ("a", "b", "c"):
        asked = questions(study, name)
        assert [one.round for one in asked] == ["train"] * 3 + ["guess"] * 6
        assert {one.shown for one in asked[:3]} == {tuple(lettered(study, name))}
        assert Counter(one.shown[0] for one in asked[3:]) == {0: 3, 1: 3}
        assert {one.group.name for one in asked[:3]} == {group.name for group in study.groups[:3]}


def test_a_participant_goes_on_where_the_answers_end(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    for number in range(2):
        answer(study, "Ann", number, ORDER)
    following = next_question(find_study(study.folder.parent, "one"), "ann ")
    assert following and following.number == 2
    assert (results(study).participants, results(study).unfinished) == (0, 1)
    assert results(study, with_unfinished=True).participants == 1
    for number in (2, 3):
        answer(study, "ann", number, ORDER)
    assert next_question(study, "ann") is None
    assert results(study).participants == 1


def test_an_answer_is_final(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    answer(study, "a", 0, ORDER)
    kept = answers_of(study).all()
    answer(study, "a", 0, ORDER)  # such as a request that was sent twice
    with pytest.raises(InputError, match="answered already, and an answer is final"):
        answer(study, "a", 0, replace(ORDER, quality=[3, 2, 1]))
    with pytest.raises(InputError, match="Question 3 was answered before question 2"):
        answer(study, "a", 2, ORDER)
    assert answers_of(study).all() == kept


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (replace(ORDER, quality=[1, 2, 2]), "Rank 2 of quality is given twice; give each rank from 1 to 3 once"),
        (replace(ORDER, fidelity=[1, 2]), "2 of 3 pictures have a rank of fidelity; give one to each picture"),
        (replace(ORDER, fidelity=[0, 1, 2]), "A rank of fidelity is 0, but it must be from 1 to 3"),
        (Answer(), "0 of 3 pictures have a rank of quality"),
    ],
)
def test_ranks_that_cannot_be_are_refused(tmp_path: Path, given: Answer, message: str) -> None:
    study = make_study(tmp_path)
    with pytest.raises(InputError, match=message):
        answer(study, "a", 0, given)
    assert not answers_of(study).all()


def test_ratings_may_repeat_and_reach_five(tmp_path: Path) -> None:
    study = make_study(tmp_path, names=1, scale="ratings")
    answer(study, "a", 0, Answer(quality=[5, 5, 1], fidelity=[3, 3, 3]))
    assert [row.fidelity.mean for row in results(study).methods] == [3, 3, 3]
    with pytest.raises(InputError, match="A rating of quality is 6, but it must be from 1 to 5"):
        answer(study, "b", 0, Answer(quality=[6, 5, 1], fidelity=[3, 3, 3]))


def test_a_guess_is_one_of_two(tmp_path: Path) -> None:
    study = make_study(tmp_path, methods=2, kind="which")
    answer(study, "a", 0, Answer())
    with pytest.raises(InputError, match="The choice is None, but it must be model A or model B"):
        answer(study, "a", 1, Answer())
    with pytest.raises(InputError, match="Question 9 is asked for, but there are 4"):
        answer(study, "a", 8, Answer(chosen=0))


@pytest.mark.parametrize("text", ["", "  ", "x" * 41, "a\nb"])
def test_a_participant_needs_a_name(text: str) -> None:
    with pytest.raises(InputError, match="it must be a name or number of 1 to 40 characters"):
        participant_of(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": 1}, "1 methods are given, but a ranking has 2 to 5"),
        ({"methods": 6}, "6 methods are given, but a ranking has 2 to 5"),
        ({"methods": 3, "kind": "which"}, "3 methods are given, but a study of which model made a picture has 2"),
        ({"controls": None}, "A ranking needs the control images"),
        ({"controls": Path("nowhere")}, "There is no folder nowhere"),
        ({"groups": 9}, "groups is 9, but 4 names are common to all folders; it must be from 1 to 4"),
        ({"methods": 2, "kind": "which", "training": 4}, "training is 4, but with 4 groups it must be from 1 to 3"),
        ({"methods": 2, "kind": "which", "groups": 1}, "one is needed to teach and one to test"),
        ({"training": 1}, "training has no effect in a ranking"),
        ({"methods": 2, "kind": "which", "scale": "ratings"}, "scale has no effect"),
        ({"kind": "best"}, "kind is 'best', but it must be one of: ranking, which"),
        ({"seed": -1}, "seed is -1"),
        ({"name": "../x"}, "The name of the study is '../x', but it must be 1 to 64 letters"),
    ],
)
def test_studies_that_cannot_be_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_study(tmp_path, **changes)
    assert not list(tmp_path.glob("studies/*"))


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    methods = make_folders(tmp_path, 2, 3)
    strange = make_folders(tmp_path / "strange", 1, 1)[0]
    (strange.folder / "000.png").rename(strange.folder / "x.png")

    def create(*given: Method) -> Any:
        draft = StudyDraft(name="one", methods=given, controls=tmp_path / "controls", seed=0)
        return create_study(tmp_path / "studies", draft)

    with pytest.raises(InputError, match=r"No name is common to .*method-0.*controls; pictures of one group"):
        create(methods[0], Method("strange", strange.folder))
    with pytest.raises(InputError, match="There is no folder .*gone"):
        create(methods[0], Method("gone", tmp_path / "gone"))
    with pytest.raises(InputError, match="Two methods are named 'method-0'"):
        create(methods[0], Method("method-0", strange.folder))
    with pytest.raises(InputError, match="Two methods have the folder .*method-0"):
        create(methods[0], Method("again", tmp_path / "method-1" / ".." / "method-0"))
    (methods[1].folder / "000.jpg").write_bytes((methods[1].folder / "000.png").read_bytes())
    with pytest.raises(InputError, match=r"method-1: .*000.* have one name; move one of them away"):
        create(*methods)
    (methods[1].folder / "000.jpg").unlink()
    (methods[1].folder / "001.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"method-1/001\.png"):
        create(*methods)
    (methods[1].folder / "001.png").unlink()
    created = create(*methods)
    assert ({group.name for group in created.study.groups}, created.left_out) == ({"000", "002"}, 1)
    with pytest.raises(InputError, match="There is a study one already"):
        create(*methods)


def test_studies_are_found_by_name(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    studies = study.folder.parent
    assert [found.name for found in all_studies(studies)] == ["one"]
    with pytest.raises(InputError, match=r"There is no study 'onn' \(did you mean one\?\)"):
        find_study(studies, "onn")
    with pytest.raises(InputError, match="There is no study '../studies/one'"):
        find_study(studies, "../studies/one")
    (study.folder / "study.json").write_text('{"schema": 1, "kind": "ranking"')
    with pytest.raises(InputError, match=r"study\.json cannot be read as a study"):
        find_study(studies, "one")
    assert all_studies(studies) == []


def test_files_that_are_gone_are_counted(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    assert study.missing == 0
    (tmp_path / "method-1" / "002.png").unlink()
    assert study.missing == 1


WRITER = """
import sys
from pathlib import Path
from cnet_app.evaluation.study.answers import Answers, Row
answers = Answers(Path(sys.argv[1]))
for number in range(100_000):
    answers.add([Row("a", f"{number:06d}", method, 1, 2) for method in "xyz"])
    print(number, flush=True)
"""


def test_a_kill_loses_at_most_the_answer_being_written(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite3"
    for at_least in (3, 7):
        path.unlink(missing_ok=True)
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE) as writer:
            assert writer.stdout
            kept = [int(writer.stdout.readline()) for _ in range(at_least)]
            os.kill(writer.pid, signal.SIGKILL)
            kept += map(int, writer.stdout.read().split())
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            counts = dict(connection.execute("SELECT item, count(*) FROM answers GROUP BY item"))
        assert set(counts.values()) == {3}
        assert len(kept) <= len(counts) <= len(kept) + 1


def test_a_damaged_file_of_answers_is_named(tmp_path: Path) -> None:
    study: Study = make_study(tmp_path)
    (study.folder / "answers.sqlite3").write_bytes(b"no database" * 200)
    with pytest.raises(SaveError, match=r"The answers one/answers\.sqlite3 cannot be read or written"):
        answer(study, "a", 0, ORDER)
