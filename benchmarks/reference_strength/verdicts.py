"""Summary of the figures of a form: means with intervals, steps between strengths, and whether it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Literal

import numpy as np

from benchmarks.reference_strength.forms import FORMS, Form
from benchmarks.reference_strength.measures import Numbers
from benchmarks.reference_strength.study import BEYOND, LOW, STRENGTHS, Figures, is_shared
from cnet_app.evaluation.statistics import Means, Pairs, Settings, bootstrap

Step = Literal["rises", "level", "falls"]
LEAST_RISE = 0.2
"""Of adherence from strength 0 to 1, below which a form has nothing to spread."""
MOST_ERROR, LEAST_SHAPE = 0.02, 0.05
"""Pictures are ruined where colours or shapes are worse by more than this than the worse of plain base and s = 1."""
SAME = 0.01
"""Root mean square difference of pictures up to which they are the plain base's."""


@dataclass(frozen=True)
class Point:
    """A form at a strength, means over maps and trainings."""

    strength: float
    adherence: float
    interval: tuple[float, float]
    """95 %, by a bootstrap over the maps."""
    overlap: float
    colour_error: float
    shape: float
    from_base: float


@dataclass(frozen=True)
class Finding:
    """A form, judged."""

    form: Form
    points: tuple[Point, ...]
    """One for each strength."""
    low: tuple[Point, ...]
    """One for each strength of LOW; empty for a form that is not plain at 0."""
    drops: bool
    """At a strength of LOW adherence is below that at 0."""
    beyond: Point | None
    steps: tuple[Step, ...]
    """From each strength to the next; `level` where the interval of the difference holds 0."""
    runs: tuple[tuple[float, ...], ...]
    """Mean adherence of each training alone, by strength."""
    monotone_alone: tuple[bool, ...]
    """For each training: whether no step falls in it."""
    ruined_at: tuple[float, ...]
    """Strengths at which pictures are worse than at both ends."""

    @property
    def shares(self) -> tuple[float, ...]:
        """Return the share of each step in the rise from strength 0 to 1. They add up to 1; empty where there is no rise."""
        rise = self.points[-1].adherence - self.points[0].adherence
        if rise < LEAST_RISE:
            return ()
        return tuple((after.adherence - before.adherence) / rise for before, after in pairwise(self.points))

    @property
    def spread(self) -> float:
        """Largest difference of adherence between trainings at one strength."""
        return max(max(found) - min(found) for found in zip(*self.runs, strict=True))

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return why the form does not hold; empty where it does."""
        first, last = self.points[0], self.points[-1]
        found: list[str] = []
        if first.from_base > SAME:
            found.append("s = 0 is not the plain base")
        if "falls" in self.steps or not all(self.monotone_alone):
            found.append("adherence falls on the way")
        if self.drops:
            lowest = min(self.low, key=lambda point: point.adherence)
            found.append(
                f"near s = 0 adherence is below that of the plain base, {lowest.adherence:.3f} at s = {lowest.strength:g}"
            )
        if last.adherence - first.adherence < LEAST_RISE:
            found.append(f"adherence rises by less than {LEAST_RISE:g}")
        if self.ruined_at:
            found.append(f"pictures are ruined at s = {', '.join(f'{at:g}' for at in self.ruined_at)}")
        return tuple(found)


def judge(figures: Sequence[Figures]) -> list[Finding]:
    """Return the finding of every form; `figures` holds all settings of the same trainings."""
    seeds = sorted({row.seed for row in figures})
    table = {(row.form, row.strength, row.seed): row for row in figures}

    def rows(form: Form, strength: float) -> list[Figures]:
        id = FORMS[0].id if is_shared(form, strength) else form.id
        return [table[id, strength, seed] for seed in seeds if (id, strength, seed) in table]

    ends = (_point(rows(FORMS[0], 0), 0), _point(rows(FORMS[0], 1), 1))
    return [_judge(form, {s: rows(form, s) for s in (*STRENGTHS, *LOW, BEYOND)}, ends) for form in FORMS]


def _judge(form: Form, rows: dict[float, list[Figures]], ends: tuple[Point, Point]) -> Finding:
    points = tuple(_point(rows[strength], strength) for strength in STRENGTHS)
    alone = list(zip(*([_adherence([row]) for row in rows[strength]] for strength in STRENGTHS), strict=True))
    error, shape = max(end.colour_error for end in ends), min(end.shape for end in ends)
    return Finding(
        form=form,
        points=points,
        low=tuple(_point(rows[strength], strength) for strength in LOW if rows[strength]),
        drops=any(_step(_adherence(rows[0]), _adherence(rows[low])) == "falls" for low in LOW if rows[low]),
        beyond=_point(rows[BEYOND], BEYOND) if rows[BEYOND] else None,
        steps=tuple(_step(_adherence(rows[before]), _adherence(rows[after])) for before, after in pairwise(STRENGTHS)),
        runs=tuple(tuple(float(maps.mean()) for maps in run) for run in alone),
        monotone_alone=tuple(all(_step(*pair) != "falls" for pair in pairwise(run)) for run in alone),
        ruined_at=tuple(
            point.strength
            for point in points
            if point.colour_error > error + MOST_ERROR or point.shape < shape - LEAST_SHAPE
        ),
    )


def _point(rows: Sequence[Figures], strength: float) -> Point:
    adherence = _adherence(rows)
    return Point(
        strength,
        float(adherence.mean()),
        _interval(Means(adherence)),
        *(fmean(getattr(row, name) for row in rows) for name in ("overlap", "colour_error", "shape", "from_base")),
    )


def _adherence(rows: Sequence[Figures]) -> Numbers:
    """Return the adherence to each map, the mean over the trainings: the maps are the same for all."""
    return np.array([row.adherence for row in rows], np.float64).mean(axis=0, keepdims=True)[0]


def _step(before: Numbers, after: Numbers) -> Step:
    low, high = _interval(Pairs(Means(after), Means(before)))
    return "rises" if low > 0 else "falls" if high < 0 else "level"


def _interval(sample: Means | Pairs) -> tuple[float, float]:
    found = bootstrap(sample, Settings())
    if found is None:
        raise ValueError(f"An interval needs at least two maps, but there are {sample.size}.")
    return found
