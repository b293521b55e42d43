"""Reports as Markdown and CSV. Loads no torch."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from cnet_app.evaluation.report import Cell, Contrast, Distance, Reference, Report
from cnet_app.registry.conditions import condition
from cnet_app.registry.measures import measure

Table = tuple[Sequence[str], list[Sequence[str]]]
"""Head and rows."""
COMPARABLE = (
    "A number here compares with a published one only as far as base, detector, data and settings are the same; the notes "
    "name what differs."
)


def number(value: float | None) -> str:
    """Return a number with four digits, or a dash."""
    if value is None:
        return "–"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def main_table(report: Report) -> Table:
    """Return a row for each method: measures with their intervals."""
    head = ("Method", "n", *(f"{row.label} {'↑' if row.higher_is_better else '↓'}" for row in report.measures))
    rows: list[Sequence[str]] = []
    for method in report.methods:
        cells = [report.cell(method, row.id) for row in report.measures]
        rows.append((method, str(max(cell.count for cell in cells)), *map(_cell, cells)))
    return head, rows


def _cell(cell: Cell) -> str:
    interval = f" [{number(cell.low)}, {number(cell.high)}]" if cell.low is not None else ""
    return f"{number(cell.value)}{interval}" + (f" ({cell.note})" if cell.note else "")


def contrast_table(contrasts: Iterable[Contrast]) -> Table:
    """Return a row for each pair of methods and measure."""
    head = ("Measure", "Methods", "n", "Difference", "p", "p (Holm)", "Test")
    return head, [
        (
            measure(row.measure).label,
            f"{row.one} − {row.other}",
            str(row.count),
            (f"{number(row.difference)} [{number(row.low)}, {number(row.high)}]" if row.low is not None else number(row.difference))
            + (f" ({row.note})" if row.note else ""),
            number(row.p),
            number(row.corrected),
            row.test,
        )
        for row in contrasts
    ]  # fmt: skip


def distance_table(distances: Iterable[Distance]) -> Table:
    """Return a row for each number of a whole folder, with its facts."""
    head = ("Number", "Method", "Value", "n", "Made with")
    return head, [
        (
            row.title,
            row.method,
            row.note or number(row.value),
            str(row.count),
            "; ".join(f"{name} {text}" for name, text in row.facts.items()),
        )
        for row in distances
    ]


def reference_table(report: Report) -> Table:
    """Return a row for each published number, with ours beside it where the measure is the same."""
    return ("Method", "Number", "Published", f"{', '.join(report.methods)} here", "Source"), [
        (
            row.method,
            row.metric,
            f"{row.value:g}" + (f" ± {row.deviation:g}" if row.deviation else ""),
            _ours(report, row),
            row.source,
        )
        for row in report.references
    ]


def _ours(report: Report, reference: Reference) -> str:
    """Return our numbers of the same measure, one for each method."""
    known = {row.id for row in report.measures}
    if reference.measure in known:
        cells = [report.cell(method, reference.measure) for method in report.methods]
        return ", ".join(
            _scaled(cell.value, reference)
            + (f" ± {_scaled(cell.deviation, reference)}" if reference.deviation and cell.deviation else "")
            for cell in cells
        )
    values = [_scaled(row.value, reference) for row in report.distances if row.id == reference.measure]
    return ", ".join(values) or number(None)


def _scaled(value: float | None, reference: Reference) -> str:
    return number(None if value is None else value * reference.scale)


def to_markdown(report: Report) -> str:
    """Return the whole report."""
    row, settings = condition(report.condition), report.settings
    parts = [f"# Evaluation: {row.title}", "", *(f"- {name}: {text}" for name, text in report.facts.items()), ""]
    parts += [
        f"Means over control images, with intervals of {100 * settings.level:g} % ({settings.interval} bootstrap, "
        f"{settings.resamples:,} resamples, seed {settings.seed}).",
        "",
        *markdown_rows(main_table(report)),
    ]
    if report.contrasts:
        parts += ["## Differences between methods", "", *markdown_rows(contrast_table(report.contrasts))]
    if report.distances:
        parts += ["## Numbers of whole folders", "", *markdown_rows(distance_table(report.distances))]
    if report.references:
        parts += ["## Published numbers", "", COMPARABLE, "", *markdown_rows(reference_table(report))]
    if report.notes:
        parts += ["## Notes", "", *(f"- {note}" for note in report.notes), ""]
    if report.unpaired:
        parts += [f"## Without a partner ({len(report.unpaired)})", "", *(f"- {path}" for path in report.unpaired), ""]
    return "\n".join(parts)


def markdown_rows(table: Table) -> list[str]:
    """Return the lines of a Markdown table, and an empty one."""
    head, rows = table
    lines = [head, ["---"] * len(head), *rows]
    return [
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    ] + [""]


def to_csv(report: Report) -> str:
    """Return a row for each method and measure, then for each number of a whole folder."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("method", "measure", "value", "low", "high", "deviation", "control_images", "pictures", "note"))
    for cell in report.cells:
        writer.writerow((cell.method, cell.measure, cell.value, cell.low, cell.high, cell.deviation, cell.count, cell.pictures, cell.note))  # fmt: skip
    for row in report.distances:
        writer.writerow((row.method, row.id, row.value, None, None, None, None, row.count, row.note))
    return out.getvalue()


def contrasts_to_csv(report: Report) -> str:
    """Return a row for each pair of methods and measure."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ("measure", "one", "other", "difference", "low", "high", "p", "p_holm", "test", "control_images", "note")
    )
    for row in report.contrasts:
        writer.writerow((row.measure, row.one, row.other, row.difference, row.low, row.high, row.p, row.corrected, row.test, row.count, row.note))  # fmt: skip
    return out.getvalue()
