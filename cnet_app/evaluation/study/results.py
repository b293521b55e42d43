"""Answers to numbers: the mean of each participant, then mean and standard deviation over the participants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

from cnet_app.evaluation.paper import RANKING, WHICH_MODEL
from cnet_app.evaluation.report import Reference
from cnet_app.evaluation.study.answers import Row
from cnet_app.evaluation.study.plan import Study
from cnet_app.evaluation.study.questions import answers_of


@dataclass(frozen=True)
class Spread:
    """Mean over the participants and its standard deviation (n - 1); None with a single participant."""

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class MethodResult:
    """How the pictures of one method were ranked."""

    method: str
    quality: Spread
    fidelity: Spread


@dataclass(frozen=True, kw_only=True)
class Results:
    """What a study found so far."""

    study: str
    kind: str
    scale: str
    best: int
    participants: int
    """Those who count."""
    unfinished: int
    """Those who began but have questions left; they count where that was asked for."""
    groups: int
    """Of each participant: groups that are ranked, or pictures whose model is guessed."""
    methods: tuple[MethodResult, ...] = ()
    precision: Spread | None = None
    """Share of pictures whose model was named, 0 to 1; a half is chance."""
    precisions: dict[str, float] | None = None
    """By participant."""
    references: tuple[Reference, ...] = ()
    """The paper's numbers of the same kind of study."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def results(study: Study, with_unfinished: bool = False) -> Results:
    """Return the results over everybody who has answered all; `with_unfinished` counts the others too. Raises SaveError."""
    rows = answers_of(study).all()
    progress = Counter(participant for participant, _ in {(row.participant, row.group) for row in rows})
    finished = {name for name, count in progress.items() if count == len(study.groups)}
    counted = [row for row in rows if row.method and (with_unfinished or row.participant in finished)]
    common: dict[str, Any] = {
        "study": study.name,
        "kind": study.kind,
        "scale": study.scale,
        "best": study.best,
        "participants": len({row.participant for row in counted}),
        "unfinished": len(progress) - len(finished),
        "groups": len(study.groups) - study.training,
    }
    if study.kind == "ranking":
        return Results(**common, methods=_methods(study, counted), references=RANKING)
    precisions = precisions_of(counted)
    spread = _spread(list(precisions.values())) if precisions else None
    return Results(**common, precision=spread, precisions=precisions, references=WHICH_MODEL)


def describe(study: Study) -> dict[str, Any]:
    """Return a study as JSON values, with the number of its participants."""
    found = results(study)
    return {
        "name": study.name,
        "kind": study.kind,
        "scale": study.scale,
        "methods": [method.name for method in study.methods],
        "groups": len(study.groups),
        "training": study.training,
        "finished": found.participants,
        "unfinished": found.unfinished,
        "missing": study.missing,
    }


def precisions_of(rows: Iterable[Row]) -> dict[str, float]:
    """Return the share of right guesses of each participant who made one."""
    right: dict[str, list[bool]] = {}
    for row in rows:
        if row.chosen is not None:
            right.setdefault(row.participant, []).append(row.chosen == row.method)
    return {participant: fmean(hits) for participant, hits in right.items()}


def _methods(study: Study, rows: Sequence[Row]) -> tuple[MethodResult, ...]:
    if not rows:
        return ()
    return tuple(
        MethodResult(
            method.name,
            _over_participants(rows, method.name, lambda row: row.quality),
            _over_participants(rows, method.name, lambda row: row.fidelity),
        )
        for method in study.methods
    )


def _over_participants(rows: Sequence[Row], method: str, value_of: Callable[[Row], int | None]) -> Spread:
    by_participant: dict[str, list[int]] = {}
    for row in rows:
        value = value_of(row)
        if row.method == method and value is not None:
            by_participant.setdefault(row.participant, []).append(value)
    return _spread(list(map(fmean, by_participant.values())))


def _spread(values: Sequence[float]) -> Spread:
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None)
