"""Evaluation of pictures that any method made: measured, tested and written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from annotators.base import create
from annotators.base import parameters as parameters_of
from annotators.registry import annotator
from cnet_app.evaluation.distances import Folders, WholeFolder
from cnet_app.evaluation.page import to_html
from cnet_app.evaluation.pairing import Item, Method, Pairing, pair
from cnet_app.evaluation.report import Distance, Reference, Report, build_cells, build_contrasts
from cnet_app.evaluation.scores import FILE, Judging, PictureScore, ScoreFile, score_item
from cnet_app.evaluation.statistics import Settings
from cnet_app.evaluation.tables import contrasts_to_csv, to_csv, to_markdown
from models.errors import SaveError

Progress = Callable[[int, int], None]
"""Pictures done, and in all."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is evaluated, and how."""

    controls: Path
    methods: tuple[Method, ...]
    judging: Judging
    prompts: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    output: Path | None = None
    """Folder of the scores and the report; None keeps nothing."""
    distances: tuple[WholeFolder, ...] = ()
    reference: Path | None = None
    """Real pictures."""
    published: tuple[Reference, ...] = ()
    notes: tuple[str, ...] = ()


def evaluate_pictures(plan: Evaluation, progress: Progress = lambda done, total: None) -> Report:
    """Measure all pictures that pair, and write the report where there is an output folder.

    Scores that are there already are used again where their files have not changed. Raises InputError and SaveError.
    """
    pairing = pair(plan.controls, plan.methods, plan.prompts)
    if plan.output is not None:
        _make_folder(plan.output)
    file = ScoreFile(plan.output / FILE if plan.output else None, plan.judging.facts)
    scores = _score_all(pairing, plan.judging, file, progress)
    measures = plan.judging.row.evaluated
    report = Report(
        condition=plan.judging.row.id,
        annotator=plan.judging.annotator or "the condition's default",
        methods=tuple(method.name for method in plan.methods if any(score.method == method.name for score in scores)),
        cells=build_cells(scores, measures, plan.settings),
        contrasts=build_contrasts(scores, measures, plan.settings),
        settings=plan.settings,
        scores=scores,
        unpaired=pairing.unpaired,
        distances=_distances(plan, pairing),
        references=plan.published,
        notes=(*plan.notes, *_gaps(pairing, plan.methods), *_failures(scores)),
        facts=_facts(plan, pairing),
    )
    if plan.output is not None:
        write_report(report, pairing.items, plan.output)
    return report


def _score_all(pairing: Pairing, judging: Judging, file: ScoreFile, progress: Progress) -> tuple[PictureScore, ...]:
    total = sum(len(paths) for item in pairing.items for paths in item.pictures.values())
    scores: list[PictureScore] = []
    for item in pairing.items:
        for score in score_item(item, judging, file.known):
            file.add(score)
            scores.append(score)
            progress(len(scores), total)
    return tuple(scores)


def _distances(plan: Evaluation, pairing: Pairing) -> tuple[Distance, ...]:
    folders = [
        Folders(
            method=method.name,
            pictures=tuple(path for item in pairing.items for path in item.pictures.get(method.name, ())),
            prompts=tuple(item.prompt for item in pairing.items for _ in item.pictures.get(method.name, ())),
            reference=plan.reference,
        )
        for method in plan.methods
    ]
    return tuple(distance.measure(one) for distance in plan.distances for one in folders if one.pictures)


def _facts(plan: Evaluation, pairing: Pairing) -> dict[str, str]:
    id = plan.judging.annotator
    parameters = ""
    if id is not None:
        used = create(annotator(id), plan.judging.parameters)
        parameters = ", ".join(f"{name} {getattr(used, name)}" for name in parameters_of(type(used)))
    facts = {
        "control images": f"{plan.controls}, {len(pairing.items)} with pictures",
        "annotator of the pictures": f"{id} ({parameters})" if parameters else id or "the condition's default",
    }
    return facts | {f"pictures of {method.name}": str(method.folder) for method in plan.methods}


def _failures(scores: Sequence[PictureScore]) -> list[str]:
    """Return a note for each reason that kept pictures from being measured, and for those of other proportions."""
    reasons: dict[str, list[str]] = {}
    for score in scores:
        if score.reason:
            reasons.setdefault(score.reason, []).append(score.picture)
    notes = [f"{_some(paths, 'picture')} not measured in full: {reason}" for reason, paths in reasons.items()]
    if other := [score.picture for score in scores if not score.fits]:
        notes.append(
            f"{_some(other, 'picture')} of other proportions than the control image, which is cropped to them."
        )
    return notes


def _gaps(pairing: Pairing, methods: Sequence[Method]) -> list[str]:
    """Return a note for each method that has no picture of some control images, which others have."""
    found = (
        (method, [str(item.control) for item in pairing.items if method.name not in item.pictures])
        for method in methods
    )
    return [f"{_some(paths, 'control image')} without a picture of {method.name}." for method, paths in found if paths]


def _some(paths: Sequence[str], what: str) -> str:
    """Return the number of paths with the first of them, as the subject of a sentence."""
    if len(paths) == 1:
        return f"1 {what} ({paths[0]}) is"
    return f"{len(paths)} {what}s (the first is {paths[0]}) are"


def write_report(report: Report, items: Sequence[Item], output: Path) -> None:
    """Write report.md, report.csv, report.json and report.html, and the tests between methods. Raises SaveError."""
    texts = {
        "report.md": to_markdown(report),
        "report.csv": to_csv(report),
        "report.json": json.dumps(report.to_json(), indent=2, ensure_ascii=False),
        "report.html": to_html(report, items),
    }
    if report.contrasts:
        texts["differences.csv"] = contrasts_to_csv(report)
    try:
        for name, text in texts.items():
            (output / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SaveError(
            f"{output} cannot be written ({error.strerror}); make room, or choose another folder."
        ) from error


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"{path} cannot be made a folder ({error.strerror}); choose another one.") from error
