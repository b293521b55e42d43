"""The table of a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.fuzz.attempt import Kind, Outcome

HEAD = "| Kind | Inputs | Answered | Refused | Findings | Slowest (ms) | Peak (MB) |\n| --- | --- | --- | --- | --- | --- | --- |"


def table(kinds: Iterable[Kind], outcomes: Sequence[Outcome]) -> str:
    """Return a row for each kind and one for all, as Markdown."""
    rows = [_row(kind.title, [one for one in outcomes if one.kind == kind.id]) for kind in kinds]
    return "\n".join([HEAD, *rows, _row("All", outcomes)])


def _row(title: str, outcomes: Sequence[Outcome]) -> str:
    ends = [sum(one.end == end for one in outcomes) for end in ("answered", "refused", "finding")]
    slowest = max(outcomes, key=lambda one: one.seconds, default=None)
    slow = f"{slowest.seconds * 1000:,.0f} ({slowest.kind} {slowest.number})" if slowest else "0"
    peak = max((one.megabytes for one in outcomes), default=0.0)
    cells = (len(outcomes), *ends)
    return f"| {title} | {' | '.join(f'{cell:,}' for cell in cells)} | {slow} | {peak:,.0f} |"
