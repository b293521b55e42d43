"""Drawings of the scores over the steps of training: an SVG an experiment, a line a run, a thick one the mean of an arm."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

from benchmarks.experiments.claims import Experiment, Values

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 300, 44, 16, 14, 34
LINE = 18
"""Height of a line of the legend in px."""
COLOURS = ("#0f766e", "#c2410c", "#4338ca", "#a16207", "#be185d", "#0369a1", "#65a30d", "#7c3aed", "#57534e")
GREY = "#888"
"""Readable on a white page and on a dark one."""
Look = Sequence[float]
"""Place on the axis, and score."""


def curves(experiment: Experiment, results: Mapping[str, Sequence[Values]]) -> str:
    """Return the drawing of an experiment; scores run from 0 to 1 upwards, steps to the right."""
    arms = {arm: [run["looks"] for run in runs] for arm, runs in results.items() if runs}
    last = max(look[-1][0] for looks in arms.values() for look in looks)
    lines = {experiment.arms[arm].title: looks for arm, looks in arms.items()}
    return drawing(lines, range(0, last + 1, max(1, last // 6)), last)


def drawing(lines: Mapping[str, Sequence[Sequence[Look]]], marks: Sequence[float], last: float) -> str:
    """Return an SVG: the runs of each title and their mean, with `marks` on the axis, which ends at `last`."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT + LINE * len(lines)}" font-family="sans-serif" '
        f'font-size="12" fill="{GREY}">',
        *_axes(marks, last),
    ]
    for number, (title, looks) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        parts += [_line(look, last, colour, 1, 0.4) for look in looks if len(looks) > 1]
        mean = [(step, statistics.fmean(look[place][1] for look in looks)) for place, (step, _) in enumerate(looks[0])]
        parts.append(_line(mean, last, colour, 2.5, 1))
        y = HEIGHT + LINE * number
        parts.append(f'<rect x="{LEFT}" y="{y - 6}" width="18" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + 26}" y="{y}">{escape(title)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _axes(marks: Sequence[float], last: float) -> Iterator[str]:
    for score in (0, 0.2, 0.4, 0.6, 0.8, 1):
        _, y = _place(0, score, last)
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GREY}" stroke-opacity="0.3"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{score:g}</text>'
    for mark in marks:
        x, _ = _place(mark, 0, last)
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{mark:g}</text>'


def _line(looks: Sequence[Look], last: float, colour: str, width: float, opacity: float) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_place(step, score, last) for step, score in looks))
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-opacity="{opacity}"/>'
    )


def _place(step: float, score: float, last: float) -> tuple[float, float]:
    """Return px from the left and from the top."""
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    return LEFT + wide * step / last, TOP + tall * (1 - score)
