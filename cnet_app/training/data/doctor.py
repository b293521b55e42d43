"""The dataset doctor: what is wrong with a data set, with file, line and what to do. Loads no torch.

Whether a picture and a map belong together is seen by where their edges lie: no network judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing import get_context
from statistics import median
from types import MappingProxyType

import cv2

from annotators.maps.kinds import KindId, MapKind
from cnet_app.registry.conditions import CONDITIONS, Condition, condition
from cnet_app.training.data.features import SIDE, Features, Half, Looks, features_of
from cnet_app.training.data.likeness import WORSE, Fits, misplaced, same_pictures
from cnet_app.training.data.pairs import DataSet, Pair, Problem
from cnet_app.training.data.readers import FACTS, PICTURES, without_maps

WORKERS = 2
CHUNK = 32
"""Pairs that a process takes at once."""
BRIGHT = 0.55
"""Mean of a map of white lines above which its paper may be white."""
PAPER = 0.95
"""Mean of a map whose dark strokes are filled, above which its paper is white."""
AREA = 0.2
"""Mean of a map whose dark strokes are widened, above which white is its paper and no stroke."""
STEADY = 0.5
"""Share of columns by which a depth map counts as growing up- or downwards."""
ENOUGH = 8
"""Steady depth maps from which their usual direction is known."""
SWAPPED: Mapping[KindId, float] = MappingProxyType({"normal": 0.0, "pose": 0.5})
"""For kinds that show it, the `Looks.swapped_channels` above which they are."""
OFF_PALETTE = 0.002
ASPECT = 0.03
"""Relative difference of the proportions of picture and map that is no rounding."""
EMPTY_SHARE = 0.5
"""Of pairs without a prompt above which it is said once."""

Report = Callable[[int, int], None]
Found = Iterator[Problem]


@dataclass(frozen=True)
class Examined:
    """A data set with the features of its pairs, in the same order."""

    data: DataSet
    condition: Condition
    """That it is checked for."""
    kind: MapKind
    """By which its maps are judged: of the condition that they were built for, where that is known."""
    features: tuple[Features, ...]
    size: int
    """Side that is trained at, in px."""
    caption: str
    """Prompt of pairs without one."""
    validation: tuple[tuple[Pair, Features], ...] = ()

    @property
    def pairs(self) -> Iterator[tuple[Pair, Half, Half, Looks]]:
        """Yield the pairs of which both halves can be read."""
        for pair, found in zip(self.data.pairs, self.features, strict=True):
            if found.image is not None and found.control is not None and found.looks is not None:
                yield pair, found.image, found.control, found.looks

    @cached_property
    def drawn(self) -> Sequence[tuple[Pair, Half, Half, Looks]]:
        """The pairs whose map shows anything, in its picture's proportions."""
        return [row for row in self.pairs if not row[3].blank and _same_proportions(row[1], row[2])]

    @cached_property
    def fits(self) -> Fits:
        """How well their maps lie on their pictures."""
        return Fits([row[1].edges for row in self.drawn], [row[2].edges for row in self.drawn])

    def fits_inversely(self, place: int) -> bool:
        """Return whether the map there is dark where maps of this kind are bright."""
        return self.fits.mean_something and float(self.fits.own[place]) < -WORSE * self.fits.usual


@dataclass(frozen=True)
class Check:
    """A search for one or more kinds of faults."""

    find: Callable[[Examined], Found]
    titles: Mapping[str, str]
    """Of the kinds."""


def check_data(
    data: DataSet,
    condition_id: str,
    *,
    validation: DataSet | None = None,
    size: int = 512,
    caption: str = "",
    workers: int = WORKERS,
    report: Report = lambda done, total: None,
) -> tuple[Problem, ...]:
    """Return the faults of a data set for a condition: of the whole, the reader's, and then of pairs. Raises InputError for an unknown condition."""
    row = condition(condition_id)
    kind = (built_for(data, row.id) or row).kind
    features = read_features(data.pairs, kind.id, workers, report)
    held_out = read_features(validation.pairs, kind.id, workers) if validation else ()
    pairs_held_out = tuple(zip(validation.pairs, held_out, strict=True)) if validation else ()
    examined = Examined(data, row, kind, features, size, caption, pairs_held_out)
    whole, single = ([problem for check in some for problem in check.find(examined)] for some in (WHOLE, CHECKS))
    return (*whole, *data.problems, *single)


def read_features(
    pairs: Sequence[Pair], kind: KindId, workers: int, report: Report = lambda done, total: None
) -> tuple[Features, ...]:
    """Return the features of pairs, read by several processes where there are many."""
    read = partial(features_of, kind=kind)
    if len(pairs) < 4 * CHUNK or workers < 2:
        return tuple(_counted(map(read, pairs), len(pairs), report))
    with ProcessPoolExecutor(workers, get_context("spawn"), cv2.setNumThreads, (1,)) as pool:
        return tuple(_counted(pool.map(read, pairs, chunksize=CHUNK), len(pairs), report))


def _counted(features: Iterable[Features], total: int, report: Report) -> Iterator[Features]:
    for done, found in enumerate(features, 1):
        yield found
        if done % CHUNK == 0 or done == total:
            report(done, total)


# Faults of the whole data set


def built_for(data: DataSet, condition_id: str) -> Condition | None:
    """Return the condition that a data set was built for, where it is known and another one."""
    if data.condition == condition_id:
        return None
    return next((row for row in CONDITIONS if row.id == data.condition), None)


def _pictures_alone(examined: Examined) -> Found:
    data = examined.data
    if data.form == PICTURES:
        yield Problem("missing", str(data.folder), without_maps(data, examined.condition.id))


def _other_condition(examined: Examined) -> Found:
    if built := built_for(examined.data, examined.condition.id):
        yield Problem("condition", str(examined.data.folder), other_condition(examined.data, built, examined.condition))


def other_condition(data: DataSet, built: Condition, wanted: Condition) -> str:
    """Return the sentence about data that were built for another condition."""
    return (
        f"{data.folder} was built for {built.id}, not for {wanted.id}, as its {FACTS} says, and is judged as {built.title} here; "
        f"use it for {built.id}, or build maps for {wanted.id}."
    )


# Faults of one pair


def _unreadable(examined: Examined) -> Found:
    for pair, found in zip(examined.data.pairs, examined.features, strict=True):
        if found.fault:
            yield Problem("unreadable", pair.where, f"{pair.where}: {found.fault}", pair.name)


def _blank(examined: Examined) -> Found:
    for pair, _, _, looks in examined.pairs:
        if looks.blank:
            text = "has a map of one colour, which teaches nothing; build it again, or remove the pair"
            yield _problem("blank", pair, text, 1.0)


def _inverted(examined: Examined) -> Found:
    kind = examined.kind
    if kind.polarity == "white on black":
        text = "has black lines on white, but a map has white lines on black; invert it"
        for place, (pair, _, _, looks) in enumerate(examined.drawn):
            bright = looks.brightness > BRIGHT and looks.brightness_without_strokes > PAPER
            if bright and (looks.brightness_off_strokes > AREA or examined.fits_inversely(place)):
                yield _problem("inverted", pair, text, looks.brightness)
    elif kind.polarity == "near is white":
        yield from _inverted_depth(examined)


def _inverted_depth(examined: Examined) -> Found:
    """Near is at the bottom of most pictures: a map that grows the other way than the others is inverted."""
    steady = [looks.downwards for _, _, _, looks in examined.pairs if abs(looks.downwards) >= STEADY]
    if len(steady) < ENOUGH:
        return
    usual = median(steady)
    if usual <= -STEADY:
        text = "Most depth maps are brighter at the top, where pictures are far; if near is black in them, invert all."
        yield Problem("inverted", str(examined.data.folder), text, severity=0.9)
    for pair, _, _, looks in examined.pairs:
        if looks.downwards * usual < -STEADY * abs(usual):
            text = "has a depth map that grows the other way than the others; near must be white: invert it"
            yield _problem("inverted", pair, text, abs(looks.downwards))


def _channels(examined: Examined) -> Found:
    for pair, _, _, looks in examined.pairs:
        labels = looks.off_palette > OFF_PALETTE >= looks.off_palette_as_bgr and not looks.is_jpeg
        if labels or looks.swapped_channels > SWAPPED.get(examined.kind.id, 1.0):
            yield _problem("bgr", pair, "has a map with red and blue exchanged; write it as RGB", 0.9)


def _palette(examined: Examined) -> Found:
    for pair, _, _, looks in examined.pairs:
        if looks.is_jpeg and examined.kind.nearest:
            text = "has a map as JPEG, which mixes its colours; store it as PNG from its source"
            yield _problem("jpeg_labels", pair, text, 0.4 + looks.off_palette / 2)
        elif min(looks.off_palette, looks.off_palette_as_bgr) > OFF_PALETTE:
            text = (
                f"has {looks.off_palette:.1%} of its map in colours of no class; draw it in the exact palette of "
                f"{examined.kind.palette}"
            )
            yield _problem("off_palette", pair, text, 0.4 + looks.off_palette / 2)


def _sizes(examined: Examined) -> Found:
    least = (examined.size / 2) ** 2
    for pair, image, control, _ in examined.pairs:
        sizes = f"a picture of {image.width}x{image.height} and a map of {control.width}x{control.height}"
        if not _same_proportions(image, control):
            yield _problem("size", pair, f"has {sizes}; both must have the same proportions", 0.8)
        elif min(image.width * image.height, control.width * control.height) < least:
            text = f"has {sizes}, far below the {examined.size} px that are trained at; use larger ones, or lower size"
            yield _problem("size", pair, text, 0.3)


def _same_proportions(image: Half, control: Half) -> bool:
    return abs(image.width * control.height / (image.height * control.width) - 1) <= ASPECT


def _captions(examined: Examined) -> Found:
    if examined.caption:
        return
    empty = [pair for pair in examined.data.pairs if not pair.caption.strip()]
    if len(empty) > EMPTY_SHARE * len(examined.data.pairs):
        yield Problem(
            "caption",
            str(examined.data.folder),
            f"{len(empty)} of {len(examined.data.pairs)} pairs have no prompt; add captions, or give one caption for all.",
            severity=0.2,
        )
        return
    for pair in empty:
        yield _problem("caption", pair, "has no prompt; add one, or give one caption for all", 0.1)


# Faults between pairs


def _duplicates(examined: Examined) -> Found:
    for pair, other in same_pictures(_images(examined)):
        yield _problem("duplicate", pair, f"has the same picture as {other.title}; remove one of the two", 0.3)


def _leaks(examined: Examined) -> Found:
    held_out = [(pair, found.image) for pair, found in examined.validation if found.image is not None]
    for pair, other in same_pictures(_images(examined), held_out):
        text = f"has the same picture as {other.title} of the validation data; remove one of the two"
        yield _problem("leak", pair, text, 0.7)


def _images(examined: Examined) -> list[tuple[Pair, Half]]:
    both = zip(examined.data.pairs, examined.features, strict=True)
    return [(pair, found.image) for pair, found in both if found.image]


def _misplaced(examined: Examined) -> Found:
    """Maps of another picture, and maps that lie beside their own."""
    pairs = [row[0] for row in examined.drawn]
    for found in misplaced(examined.fits):
        pair = pairs[found.place]
        if found.other is None:
            text = f"has a map that lies {_shift(*found.shift)} from its picture; cut both alike"
            yield _problem("shifted", pair, text, found.severity)
        else:
            text = f"has a map that fits the picture of {pairs[found.other].title}; exchange the maps"
            yield _problem("swapped", pair, text, found.severity)


def _shift(right: int, down: int) -> str:
    """Return a shift in pixels of SIDE in words."""
    parts = ((right, "to the right", "to the left"), (down, "down", "up"))
    named = [f"{round(100 * abs(by) / SIDE)} % {ahead if by > 0 else back}" for by, ahead, back in parts if by]
    return " and ".join(named)


def _problem(kind: str, pair: Pair, text: str, severity: float) -> Problem:
    return Problem(kind, pair.where, f"{pair.title} {text}.", pair.name, severity)


WHOLE = (
    Check(_pictures_alone, {}),
    Check(_other_condition, {"condition": "data that were built for another condition"}),
)
"""Said first: what is wrong with the whole data set explains much of the rest."""
CHECKS = (
    Check(_unreadable, {"unreadable": "files that cannot be read"}),
    Check(_blank, {"blank": "maps of one colour"}),
    Check(_inverted, {"inverted": "maps with the wrong polarity"}),
    Check(_channels, {"bgr": "maps with red and blue exchanged"}),
    Check(_palette, {"off_palette": "label maps in other colours", "jpeg_labels": "maps of exact colours as JPEG"}),
    Check(_sizes, {"size": "sizes that do not fit"}),
    Check(_captions, {"caption": "pairs without a prompt"}),
    Check(_duplicates, {"duplicate": "pictures that are there twice"}),
    Check(_leaks, {"leak": "pictures in training and validation"}),
    Check(_misplaced, {"swapped": "maps of another picture", "shifted": "maps that lie beside their picture"}),
)
TITLES: Mapping[str, str] = MappingProxyType(
    {"missing": "pairs of which a half is missing"}
    | {id: title for row in (*WHOLE, *CHECKS) for id, title in row.titles.items()}
)
"""Of every kind of problem, the readers' too."""
