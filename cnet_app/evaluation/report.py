"""Scores of pictures to the tables of an evaluation: a cell a method and measure, and tests between methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from cnet_app.evaluation.scores import OVERLAPS, PictureScore
from cnet_app.evaluation.statistics import (
    LEAST,
    Means,
    Overlaps,
    Pairs,
    Settings,
    bootstrap,
    holm,
    paired_test,
    value_of,
)
from cnet_app.registry.measures import Measure, measure

Sampled = Means | Overlaps
TOO_FEW = "not enough pictures (needs {least}, has {count})"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One measure of one method."""

    method: str
    measure: str
    """Id in cnet_app.registry.measures."""
    value: float | None
    """Mean over the control images; None where no picture could be measured."""
    low: float | None
    high: float | None
    """The interval; None where there are too few control images."""
    deviation: float | None
    """Standard deviation over the control images."""
    count: int
    """Control images that were measured."""
    pictures: int
    """Pictures that were measured."""
    note: str = ""
    """Why a number is missing."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """Two methods by one measure, on the control images that both have pictures of."""

    measure: str
    one: str
    other: str
    difference: float | None
    """Value of `one` less that of `other`; None where they share no control image."""
    low: float | None
    high: float | None
    p: float | None
    corrected: float | None
    """The p value by Holm's correction over all contrasts of the measure."""
    test: str
    count: int
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Distance:
    """A number of a whole folder of pictures, with all that it depends on."""

    id: str
    title: str
    method: str
    value: float | None
    count: int
    facts: Mapping[str, str]
    """Model, sha256 of its weights, resizing, cropping, number of references …, as they are printed."""
    note: str = ""
    """Why there is no number."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A published number."""

    method: str
    metric: str
    value: float
    deviation: float | None = None
    source: str
    measure: str = ""
    """Id of the measure or distance here that is the same; empty where none is."""
    scale: float = 1.0
    """Our numbers are multiplied by it, to be in the unit of the published one."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """One evaluation."""

    condition: str
    annotator: str
    methods: tuple[str, ...]
    cells: tuple[Cell, ...]
    contrasts: tuple[Contrast, ...]
    settings: Settings
    scores: tuple[PictureScore, ...]
    unpaired: tuple[str, ...] = ()
    distances: tuple[Distance, ...] = ()
    references: tuple[Reference, ...] = ()
    """Published numbers of the same task."""
    notes: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Return the rows of the measures, the main one first."""
        return tuple(measure(id) for id in dict.fromkeys(cell.measure for cell in self.cells))

    def cell(self, method: str, measure_id: str) -> Cell:
        """Return the cell of a method and a measure."""
        return next(cell for cell in self.cells if (cell.method, cell.measure) == (method, measure_id))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; the scores of single pictures are in their own file."""
        values = asdict(self)
        values["pictures"] = len(values.pop("scores"))
        return values


def build_cells(scores: Sequence[PictureScore], measures: Sequence[str], settings: Settings) -> tuple[Cell, ...]:
    """Return a cell for each method and measure."""
    methods = dict.fromkeys(score.method for score in scores)
    return tuple(_cell(scores, method, id, settings) for method in methods for id in measures)


def _cell(scores: Sequence[PictureScore], method: str, id: str, settings: Settings) -> Cell:
    own = [score for score in scores if score.method == method and score.values.get(id) is not None]
    names = list(dict.fromkeys(score.name for score in own))
    failed = sum(score.method == method for score in scores) - len(own)
    notes = [f"{failed} could not be measured"] * (failed > 0)
    if not names:
        return Cell(
            method=method, measure=id, value=None, low=None, high=None, deviation=None, count=0, pictures=0,
            note=notes[0] if notes else TOO_FEW.format(least=1, count=0),
        )  # fmt: skip
    sample = _sample(own, names, id)
    interval = bootstrap(sample, settings)
    if interval is None:
        notes.append(TOO_FEW.format(least=LEAST, count=len(names)))
    single = _means(own, names, id).values
    return Cell(
        method=method,
        measure=id,
        value=value_of(sample),
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        deviation=float(single.std(ddof=1)) if len(names) >= LEAST else None,
        count=len(names),
        pictures=len(own),
        note="; ".join(notes),
    )


def _sample(scores: Sequence[PictureScore], names: Sequence[str], id: str) -> Sampled:
    return _overlaps(scores, names, None) if id == OVERLAPS else _means(scores, names, id)


def _means(scores: Sequence[PictureScore], names: Sequence[str], id: str) -> Means:
    """Return, for each control image, the mean over its pictures."""
    by_name: dict[str, list[float]] = {name: [] for name in names}
    for score in scores:
        value = score.values.get(id)
        if value is not None and score.name in by_name:
            by_name[score.name].append(value)
    return Means(np.array([np.mean(values) for values in by_name.values()], np.float64))


def _overlaps(scores: Sequence[PictureScore], names: Sequence[str], colours: Sequence[str] | None) -> Overlaps:
    """Return, for each control image, the pixel counts of its pictures together."""
    columns = colours if colours is not None else _colours(scores)
    place, row = {colour: index for index, colour in enumerate(columns)}, {name: n for n, name in enumerate(names)}
    both, either = (np.zeros((len(names), len(columns))) for _ in range(2))
    for score in scores:
        if score.name in row:
            for colour, (inner, outer) in score.overlaps.items():
                both[row[score.name], place[colour]] += inner
                either[row[score.name], place[colour]] += outer
    return Overlaps(both, either)


def _colours(scores: Sequence[PictureScore]) -> list[str]:
    return sorted({colour for score in scores for colour in score.overlaps})


def build_contrasts(
    scores: Sequence[PictureScore], measures: Sequence[str], settings: Settings
) -> tuple[Contrast, ...]:
    """Return the tests between all pairs of methods, corrected within each measure."""
    methods = list(dict.fromkeys(score.method for score in scores))
    found: list[Contrast] = []
    for id in measures:
        rows = [_contrast(scores, id, one, other, settings) for one, other in combinations(methods, 2)]
        corrected = holm([row.p for row in rows])
        found += [replace(row, corrected=p) for row, p in zip(rows, corrected, strict=True)]
    return tuple(found)


def _contrast(scores: Sequence[PictureScore], id: str, one: str, other: str, settings: Settings) -> Contrast:
    known = [score for score in scores if score.values.get(id) is not None and score.method in (one, other)]
    mine, theirs = ([score for score in known if score.method == method] for method in (one, other))
    shared = {score.name for score in theirs}
    names = list(dict.fromkeys(score.name for score in mine if score.name in shared))
    note = "" if len(names) >= LEAST else TOO_FEW.format(least=LEAST, count=len(names))
    test = "permutation" if id == OVERLAPS else settings.test
    if not names:
        return Contrast(
            measure=id, one=one, other=other, difference=None, low=None, high=None, p=None, corrected=None,
            test=test, count=0, note=note,
        )  # fmt: skip
    samples = _pair(mine, theirs, names, id)
    chosen = settings if settings.test == test else Settings(resamples=settings.resamples, seed=settings.seed)
    interval = bootstrap(Pairs(*samples), settings)
    return Contrast(
        measure=id,
        one=one,
        other=other,
        difference=value_of(Pairs(*samples)),
        low=interval[0] if interval else None,
        high=interval[1] if interval else None,
        p=paired_test(*samples, chosen),
        corrected=None,
        test=test,
        count=len(names),
        note=note,
    )


def _pair(
    mine: Sequence[PictureScore], theirs: Sequence[PictureScore], names: Sequence[str], id: str
) -> tuple[Sampled, Sampled]:
    if id != OVERLAPS:
        return _means(mine, names, id), _means(theirs, names, id)
    colours = _colours([*mine, *theirs])
    return _overlaps(mine, names, colours), _overlaps(theirs, names, colours)
