"""Folders for a study, and participants who are simulated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from cnet_app.evaluation.pairing import Method
from cnet_app.evaluation.study.create import StudyDraft, create_study
from cnet_app.evaluation.study.plan import Study
from cnet_app.evaluation.study.questions import LETTERS, Answer, Question, answer, lettered, questions
from tests.evaluation.conftest import write


def make_folders(folder: Path, methods: int, names: int) -> tuple[Method, ...]:
    """Write pictures of methods, and control images; the grey value tells which one a picture is."""
    for number in range(names):
        for place in range(methods):
            pixels = np.full((16, 24, 3), 20 + 40 * place, np.uint8)
            pixels[0, 0] = number
            write(folder / f"method-{place}" / f"{number:03d}.png", pixels)
        write(folder / "controls" / f"{number:03d}.png", np.full((16, 24, 3), 250, np.uint8))
    return tuple(Method(f"method-{place}", folder / f"method-{place}") for place in range(methods))


def make_study(folder: Path, methods: int = 3, names: int = 4, name: str = "one", **draft: object) -> Study:
    """Create a ranking of tiny pictures, or another kind of study."""
    made = make_folders(folder, methods, names)
    values = {"controls": folder / "controls", "seed": 5} | draft
    return create_study(folder / "studies", StudyDraft(name=name, methods=made, **values)).study  # type: ignore[arg-type]


Judge = Callable[[Study, str, Question], Answer]


def take_part(study: Study, participant: str, judge: Judge) -> None:
    """Answer all questions."""
    for question in questions(study, participant):
        answer(study, participant, question.number, judge(study, participant, question))


def ranker(rng: np.random.Generator, quality: np.ndarray, fidelity: np.ndarray, noise: float) -> Judge:
    """Return who ranks by a method's true worth and noise, the same for all participants."""

    def ranks(worth: np.ndarray, question: Question) -> list[int]:
        felt = worth[list(question.shown)] + rng.normal(0, noise, len(worth))
        return [int(rank) + 1 for rank in felt.argsort().argsort()]

    return lambda study, participant, question: Answer(
        quality=ranks(quality, question), fidelity=ranks(fidelity, question)
    )


def guesser(rng: np.random.Generator, accuracy: float) -> Judge:
    """Return who names the right model with a probability."""

    def guess(study: Study, participant: str, question: Question) -> Answer:
        if question.round == "train":
            return Answer()
        right = lettered(study, participant).index(question.shown[0])
        return Answer(chosen=right if rng.random() < accuracy else len(LETTERS) - 1 - right)

    return guess
