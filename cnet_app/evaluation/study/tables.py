"""Results of a study as Markdown and CSV, in the form of the paper's Table 1, with the paper's own rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple

from cnet_app.evaluation.report import Reference
from cnet_app.evaluation.study.answers import Row
from cnet_app.evaluation.study.results import Results, Spread
from cnet_app.evaluation.tables import markdown_rows

OURS = "this study"
HEADS = {
    "ranking": ("Method", "Result quality ↑", "Condition fidelity ↑"),
    "which": ("Comparison", "Precision"),
}
PARTS = {"ranking": ("quality", "fidelity"), "which": ("precision",)}
Published = tuple[str, tuple[Reference, ...]]
"""A method and its numbers, in the order of the parts."""


def to_markdown(found: Results) -> str:
    """Return the table, how it was made, and the paper's rows."""
    head = HEADS[found.kind]
    lines = [f"# Study: {found.study}", "", facts(found), "", *_table(head, own_rows(found))]
    if found.references:
        published = published_rows(found.references)
        rows: list[Sequence[str]] = [
            (name, *(number(row.value, row.deviation) for row in own)) for name, own in published
        ]
        lines += ["## Published", "", f"{found.references[0].source}.", "", *_table(head, rows)]
    return "\n".join(lines)


def facts(found: Results) -> str:
    """Return who answered what, on which scale."""
    people = "1 participant" if found.participants == 1 else f"{found.participants} participants"
    if found.kind == "which":
        scale = "share of pictures whose model was named; 0.5 is chance"
        counted = f"{people}, {found.groups} test pictures"
    else:
        word = "ranks, each once in a group," if found.scale == "ranks" else "ratings"
        scale, counted = f"{word} from 1 (worst) to {found.best} (best)", f"{people}, {found.groups} groups"
    left = f" {found.unfinished} began and have not finished." if found.unfinished else ""
    return f"{counted}: {scale}; mean ± standard deviation over participants.{left}"


def own_rows(found: Results) -> list[Sequence[str]]:
    """Return the rows of this study as text."""
    if found.kind == "which":
        return [(found.study, _spread(found.precision))] if found.precision else []
    return [(row.method, _spread(row.quality), _spread(row.fidelity)) for row in found.methods]


def published_rows(references: Iterable[Reference]) -> list[Published]:
    """Return the published numbers by method."""
    by_method: dict[str, list[Reference]] = {}
    for row in references:
        by_method.setdefault(row.method, []).append(row)
    return [(method, tuple(own)) for method, own in by_method.items()]


def number(value: float, deviation: float | None) -> str:
    """Return `4.22 ± 0.43`."""
    return f"{value:.2f}" + (f" ± {deviation:.2f}" if deviation is not None else "")


def _spread(spread: Spread | None) -> str:
    return number(spread.mean, spread.deviation) if spread else "–"


def _table(head: Sequence[str], rows: list[Sequence[str]]) -> list[str]:
    if not rows:
        return ["No participant has answered all questions yet.", ""]
    return markdown_rows((head, rows))


def to_csv(found: Results) -> str:
    """Return a row for each method and what was judged: this study's rows, then the paper's."""
    parts = PARTS[found.kind]
    rows: list[Sequence[object]] = []
    for method in found.methods:
        for part, spread in zip(parts, (method.quality, method.fidelity), strict=True):
            rows.append((method.method, part, spread.mean, spread.deviation, found.participants, found.groups, OURS))
    if found.precision:
        precision = found.precision
        rows.append((found.study, *parts, precision.mean, precision.deviation, found.participants, found.groups, OURS))
    for method, own in published_rows(found.references):
        rows += [
            (method, part, row.value, row.deviation, None, None, row.source)
            for part, row in zip(parts, own, strict=True)
        ]
    return _csv(("method", "judged", "mean", "deviation", "participants", "groups", "source"), rows)


def exports(found: Results, rows: Iterable[Row]) -> dict[str, str]:
    """Return the texts of the files that hold all of it, by their names."""
    return {
        "results.md": to_markdown(found),
        "results.csv": to_csv(found),
        "results.json": json.dumps(found.to_json(), indent=1) + "\n",
        "answers.csv": answers_csv(rows),
    }


def answers_csv(rows: Iterable[Row]) -> str:
    """Return every answer, a row for each picture."""
    return _csv(("participant", "group", "method", "quality", "fidelity", "chosen"), map(astuple, rows))


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return out.getvalue()
