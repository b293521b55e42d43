"""User studies: participants answer by a link, the owner of the app makes studies and reads their results.

A participant's page is given numbers and pixels alone: no path, no file's metadata, no method's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from annotators.base import shown
from annotators.sources.images import fit_inside, load_image, resize
from cnet_app.evaluation.pairing import Method
from cnet_app.evaluation.study import create
from cnet_app.evaluation.study.create import StudyDraft
from cnet_app.evaluation.study.plan import Study, all_studies, find_study, participant_of
from cnet_app.evaluation.study.questions import (
    LETTERS,
    Answer,
    answer,
    answers_of,
    next_question,
    question_of,
    questions,
)
from cnet_app.evaluation.study.results import describe, precisions_of, results
from cnet_app.evaluation.study.tables import HEADS, exports, facts, number, own_rows, published_rows
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.draft.maps import quick_png
from cnet_app.ui.calls.draft.pictures import data_url
from models.errors import InputError

ONLY_OWNER = (
    "Only the one who runs this app may make studies and read their results; start the app on your own machine."
)
NO_STUDY = "There is no such study; check the link, or ask the one who sent it."
MOST_PIXELS = 1024
"""Longest side of a picture that is shown."""


def study(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Describe a study to whomever has its link: {study} → {name, kind, scale, best, places, questions, training}."""
    found = _study(context, values)
    return {
        "name": found.name,
        "kind": found.kind,
        "scale": found.scale,
        "best": found.best,
        "places": len(found.methods),
        "questions": len(found.groups),
        "training": found.training,
    }


def study_question(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Return the next question: {study, participant} → {round, question, answered, of, places, control, participant}.

    After the last one: {round: "done", answered, of, participant}, and of guesses {right, tests}.
    """
    return _next(_study(context, values), participant_of(values["participant"]))


def study_answer(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Keep an answer and return what `study_question` does: {study, participant, question} and what the round asks for.

    rank: quality and fidelity, a list each, by places. guess: chosen, 0 or 1. train: nothing.
    """
    found, participant = _study(context, values), participant_of(values["participant"])
    given = Answer(
        quality=_whole_numbers(values.get("quality")),
        fidelity=_whole_numbers(values.get("fidelity")),
        chosen=_whole(values.get("chosen")),
    )
    answer(found, participant, int(values["question"]), given)
    return _next(found, participant)


def study_picture(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Return a picture of a question: {study, participant, question, place} → {image}; the control image without a place."""
    found, participant = _study(context, values), participant_of(values["participant"])
    question, place = question_of(found, participant, int(values["question"])), values.get("place")
    if place is None:
        path, name = question.group.control, "The control image"
    elif 0 <= place < len(question.shown):
        path, name = question.group.pictures[question.shown[int(place)]], f"Picture {place + 1:g}"
    else:
        raise InputError(
            f"This question has {len(question.shown)} pictures, and none at place {place:g}; reload the page."
        )
    if path is None:
        raise InputError("This study has no control images; reload the page.")
    try:
        image = load_image(path, name)
    except InputError as error:
        raise InputError(
            f"{name} of this question is gone or cannot be read; tell the one who runs the study. Your answers so far are kept."
        ) from error
    width, height = image.shape[1], image.shape[0]
    if max(width, height) > MOST_PIXELS:
        image = resize(image, *fit_inside(width, height, MOST_PIXELS, MOST_PIXELS), "stretch")
    return {"image": data_url(quick_png(image))}


def studies(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """List the studies of this machine, in local mode: {studies: [{name, kind, methods, groups, finished, unfinished, …}]}."""
    _check_owner(context)
    return {"studies": [describe(found) for found in all_studies(context.settings.studies_dir)]}


def create_study(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Make a study, in local mode: {name, kind, scale, methods: [{name, folder}], controls, groups, training}.

    → {study, left_out}: what `studies` lists, and how many names were left out because not every folder has them.
    """
    _check_owner(context)
    methods = [_method(one) for one in cast("list[Mapping[str, Any]]", values.get("methods") or [])]
    controls = str(values.get("controls") or "").strip()
    draft = StudyDraft(
        name=str(values.get("name") or "").strip(),
        methods=tuple(methods),
        kind=values.get("kind") or "ranking",
        controls=_folder(controls) if controls else None,
        scale=values.get("scale") or "ranks",
        groups=_whole(values.get("groups")),
        training=_whole(values.get("training")),
    )
    created = create.create_study(context.settings.studies_dir, draft)
    return {"study": describe(created.study), "left_out": created.left_out}


def study_results(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Return what a study found, in local mode: {study, unfinished} → {facts, head, rows, published, source, files}.

    `rows` and `published` are rows of text below `head`; `files` are texts by the names of the files to save.
    """
    _check_owner(context)
    chosen = _study(context, values)
    found = results(chosen, bool(values.get("unfinished")))
    published = published_rows(found.references)
    return {
        "facts": facts(found),
        "head": list(HEADS[found.kind]),
        "rows": [list(row) for row in own_rows(found)],
        "published": [[name, *(number(row.value, row.deviation) for row in own)] for name, own in published],
        "source": found.references[0].source,
        "files": exports(found, answers_of(chosen).all()),
    }


def _check_owner(context: Context) -> None:
    if not context.settings.is_local:
        raise InputError(ONLY_OWNER)


def _study(context: Context, values: Mapping[str, Any]) -> Study:
    """Return the study of {study}; in public mode a refusal names no other one and no path."""
    try:
        return find_study(context.settings.studies_dir, str(values.get("study")))
    except InputError as error:
        raise error if context.settings.is_local else InputError(NO_STUDY) from error


def _next(found: Study, participant: str) -> Object:
    asked, rows = next_question(found, participant), answers_of(found).of(participant)
    progress = {
        "participant": participant,
        "answered": len({row.group for row in rows}),
        "of": len(questions(found, participant)),
    }
    if asked is None:
        hits = precisions_of(rows)
        tests = len(found.groups) - found.training
        own = {"right": round(hits[participant] * tests), "tests": tests} if hits else {}
        return progress | {"round": "done"} | own
    return progress | {
        "round": asked.round,
        "question": asked.number,
        "places": len(asked.shown),
        "control": asked.group.control is not None,
        "letters": list(LETTERS) if asked.round != "rank" else [],
    }


def _method(given: Mapping[str, Any]) -> Method:
    """Return a method; one without a name is called as its folder."""
    folder = _folder(str(given.get("folder") or "").strip())
    return Method(str(given.get("name") or "").strip() or folder.name, folder)


def _folder(text: str) -> Path:
    if not text:
        raise InputError("A method has no folder yet; type the folder of its pictures.")
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"There is no folder {shown(text)}; check its name, and give a folder of pictures.") from error


def _whole(value: object) -> int | None:
    return None if value is None else int(cast(float, value))


def _whole_numbers(values: object) -> tuple[int, ...]:
    return tuple(int(value) for value in cast("list[float]", values or []))
