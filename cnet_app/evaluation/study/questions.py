"""The questions of a participant: the order of groups, and of methods within a group, follow from study and participant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from annotators.base import shown
from cnet_app.evaluation.study.answers import Answers, Row
from cnet_app.evaluation.study.plan import ANSWERS, Group, Study, participant_of, shuffled
from models.errors import InputError

Round = Literal["rank", "train", "guess"]
"""Rank all pictures of a group; look at two with their letters; guess the letter of one."""
LETTERS = ("A", "B")


@dataclass(frozen=True)
class Question:
    """One screen."""

    number: int
    """Its place in the participant's order, from 0."""
    round: Round
    group: Group
    shown: tuple[int, ...]
    """The methods whose pictures are shown, by their places in the study, in the order of the places on the screen."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a participant says to a question, by places on the screen."""

    quality: Sequence[int] = field(default=())
    fidelity: Sequence[int] = field(default=())
    chosen: int | None = None
    """0 for model A, 1 for model B."""


def answers_of(study: Study) -> Answers:
    """Return the file of a study's answers."""
    return Answers(study.folder / ANSWERS)


def lettered(study: Study, participant: str) -> list[int]:
    """Return the methods that are models A and B to a participant."""
    return shuffled(range(len(study.methods)), study.seed, participant, "letters")


def questions(study: Study, participant: str) -> tuple[Question, ...]:
    """Return all questions in the participant's order; those that teach come first."""
    participant = participant_of(participant)
    if study.kind == "ranking":
        asked = [_ranked(study, participant, group) for group in _order(study, participant, study.groups)]
    else:
        asked = [*_taught(study, participant), *_tested(study, participant)]
    return tuple(Question(number, *rest) for number, rest in enumerate(asked))


Asked = tuple[Round, Group, tuple[int, ...]]


def _order(study: Study, participant: str, groups: Sequence[Group]) -> list[Group]:
    return shuffled(groups, study.seed, participant, "order", groups[0].name)


def _ranked(study: Study, participant: str, group: Group) -> Asked:
    methods = range(len(study.methods))
    return "rank", group, tuple(shuffled(methods, study.seed, participant, "methods", group.name))


def _taught(study: Study, participant: str) -> list[Asked]:
    letters = tuple(lettered(study, participant))
    return [("train", group, letters) for group in _order(study, participant, study.groups[: study.training])]


def _tested(study: Study, participant: str) -> list[Asked]:
    """Each method has half of the pictures, in an order by chance."""
    tests = study.groups[study.training :]
    makers = [place % 2 for place in range(len(tests))]
    drawn = shuffled(makers, study.seed, participant, "makers")
    letters = lettered(study, participant)  # the odd picture is of either by chance
    order = _order(study, participant, tests)
    return [("guess", group, (letters[maker],)) for group, maker in zip(order, drawn, strict=True)]


def next_question(study: Study, participant: str) -> Question | None:
    """Return the first question without an answer; None where all are answered."""
    return _next(questions(study, participant), answers_of(study).of(participant_of(participant)))


def _next(asked: Sequence[Question], rows: Sequence[Row]) -> Question | None:
    done = {row.group for row in rows}
    return next((one for one in asked if one.group.name not in done), None)


def question_of(study: Study, participant: str, number: int) -> Question:
    """Return a question by its place. Raises InputError where there is none."""
    return _at(questions(study, participant), number)


def _at(asked: Sequence[Question], number: int) -> Question:
    if not 0 <= number < len(asked):
        raise InputError(f"Question {number + 1} is asked for, but there are {len(asked)}; reload the page.")
    return asked[number]


def answer(study: Study, participant: str, number: int, given: Answer) -> None:
    """Keep the answer to the next question; it is on the disk when this returns.

    An answer is final: the same one again changes nothing. Raises InputError for an answer that cannot be, for another
    answer to a question that has one, and for a question that is not the next; SaveError where it cannot be written.
    """
    participant, answers = participant_of(participant), answers_of(study)
    asked = questions(study, participant)
    rows = _rows(study, participant, _at(asked, number), given)
    following = _next(asked, answers.of(participant))
    if following is not None and number > following.number:
        raise InputError(f"Question {number + 1} was answered before question {following.number + 1}; reload the page.")
    answers.add(rows)


def _rows(study: Study, participant: str, question: Question, given: Answer) -> list[Row]:
    name = question.group.name
    made = [study.methods[place].name for place in question.shown]
    if question.round == "train":
        return [Row(participant, name, "")]
    if question.round == "guess":
        if given.chosen not in (0, 1):
            raise InputError(f"The choice is {shown(given.chosen)}, but it must be model A or model B; choose one.")
        chosen = study.methods[lettered(study, participant)[given.chosen]].name
        return [Row(participant, name, made[0], chosen=chosen)]
    for what, values in (("quality", given.quality), ("fidelity", given.fidelity)):
        _check_values(study, what, values)
    each = zip(made, given.quality, given.fidelity, strict=True)
    return [Row(participant, name, method, quality, fidelity) for method, quality, fidelity in each]


def _check_values(study: Study, what: str, values: Sequence[int]) -> None:
    """Raise InputError unless there is a rank or rating for each picture, and each rank once."""
    count, word = len(study.methods), study.scale.removesuffix("s")
    if len(values) != count:
        raise InputError(f"{len(values)} of {count} pictures have a {word} of {what}; give one to each picture.")
    for value in values:
        if not 1 <= value <= study.best:
            raise InputError(f"A {word} of {what} is {shown(value)}, but it must be from 1 to {study.best}.")
        if study.scale == "ranks" and list(values).count(value) > 1:
            raise InputError(f"Rank {value} of {what} is given twice; give each rank from 1 to {study.best} once.")
