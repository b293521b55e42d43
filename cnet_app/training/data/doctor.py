"""The dataset doctor: what is wrong with a data set, with file, line and what to do. Loads no torch.

Whether a picture and a map belong together is seen by where their edges lie: no network judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from statistics import median
from types import MappingProxyType

import numpy as np

from annotators.kinds import KindId, MapKind
from cnet_app.registry.conditions import condition
from cnet_app.training.data.features import SIDE, Edges, Features, Half, Looks, features_of
from cnet_app.training.data.pairs import DataSet, Pair, Problem

WORKERS = 2
CHUNK = 32
"""Pairs that a process takes at once."""
BELONGS = 0.15
"""Correlation of a picture's and a map's edges from which they may belong together."""
CLEARER = 0.25
"""By how much another map must fit better than the own one."""
FARTHEST = 12
"""Largest shift that is looked for, in pixels of SIDE."""
LEAST_SHIFT = 2
BRIGHT = 0.6
"""Mean of a map of white lines above which its paper is white."""
FRONT = 0.1
"""Red minus blue of a normal map from which its channels are exchanged: surfaces face the viewer, which is blue."""
STEADY = 0.5
"""Correlation of depth and height from which a map counts as growing up- or downwards."""
OFF_PALETTE = 0.002
ASPECT = 0.03
"""Relative difference of the proportions of picture and map that is no rounding."""
SAME = 1.0
"""Mean difference of two thumbnails, in grey levels, up to which pictures are the same."""
EMPTY_SHARE = 0.5
"""Of pairs without a prompt above which it is said once."""

Report = Callable[[int, int], None]
Found = Iterator[Problem]


@dataclass(frozen=True)
class Examined:
    """A data set with the features of its pairs, in the same order."""

    data: DataSet
    kind: MapKind
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


@dataclass(frozen=True)
class Check:
    """One kind of fault."""

    id: str
    title: str
    find: Callable[[Examined], Found]


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
    """Return the faults of a data set for a condition, the reader's own first. Raises InputError for an unknown condition."""
    kind = condition(condition_id).kind
    features = read_features(data.pairs, kind.id, workers, report)
    held_out = read_features(validation.pairs, kind.id, workers) if validation else ()
    pairs_held_out = tuple(zip(validation.pairs, held_out, strict=True)) if validation else ()
    examined = Examined(data, kind, features, size, caption, pairs_held_out)
    return (*data.problems, *(problem for check in CHECKS for problem in check.find(examined)))


def read_features(
    pairs: Sequence[Pair], kind: KindId, workers: int, report: Report = lambda done, total: None
) -> tuple[Features, ...]:
    """Return the features of pairs, read by several processes where there are many."""
    read = partial(features_of, kind=kind)
    if len(pairs) < 4 * CHUNK or workers < 2:
        return tuple(_counted(map(read, pairs), len(pairs), report))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return tuple(_counted(pool.map(read, pairs, chunksize=CHUNK), len(pairs), report))


def _counted(features: Iterable[Features], total: int, report: Report) -> Iterator[Features]:
    for done, found in enumerate(features, 1):
        yield found
        if done % CHUNK == 0 or done == total:
            report(done, total)


# Faults of one pair


def _unreadable(examined: Examined) -> Found:
    for pair, found in zip(examined.data.pairs, examined.features, strict=True):
        if found.fault:
            yield Problem("unreadable", pair.where, f"{pair.where}: {found.fault}", pair.name)


def _blank(examined: Examined) -> Found:
    for pair, _, _, looks in examined.pairs:
        if looks.blank:
            yield _problem(
                "blank", pair, "has a map of one colour, which teaches nothing; build it again, or remove the pair"
            )


def _inverted(examined: Examined) -> Found:
    kind = examined.kind
    if kind.polarity == "white on black":
        for pair, _, _, looks in examined.pairs:
            if looks.brightness > BRIGHT and not looks.blank:
                yield _problem(
                    "inverted", pair, "has black lines on white, but a map has white lines on black; invert it"
                )
    elif kind.polarity == "near is white":
        yield from _inverted_depth(examined)


def _inverted_depth(examined: Examined) -> Found:
    """Near is at the bottom of most pictures: a map that grows the other way than all others is inverted."""
    steady = [looks.downwards for _, _, _, looks in examined.pairs if abs(looks.downwards) >= STEADY]
    if len(steady) < 8 or abs(median(steady)) < STEADY:
        return
    for pair, _, _, looks in examined.pairs:
        if looks.downwards * median(steady) < -STEADY * abs(median(steady)):
            yield _problem(
                "inverted",
                pair,
                "has a depth map that grows the other way than the others; near must be white: invert it",
            )


def _channels(examined: Examined) -> Found:
    for pair, _, _, looks in examined.pairs:
        wrong = examined.kind.id == "normal" and looks.red_over_blue > FRONT
        wrong = wrong or (looks.off_palette > OFF_PALETTE and looks.off_palette_as_bgr < OFF_PALETTE)
        if wrong:
            yield _problem("bgr", pair, "has a map with red and blue exchanged; write it as RGB")


def _palette(examined: Examined) -> Found:
    for pair, _, _, looks in examined.pairs:
        if looks.is_jpeg and examined.kind.nearest:
            yield _problem(
                "jpeg_labels", pair, "has a map as JPEG, which mixes its colours; store it as PNG from its source"
            )
        elif min(looks.off_palette, looks.off_palette_as_bgr) > OFF_PALETTE:
            share = f"{looks.off_palette:.1%}"
            yield _problem(
                "off_palette",
                pair,
                f"has {share} of its map in colours of no class; draw it in the exact palette of {examined.kind.palette}",
            )


def _sizes(examined: Examined) -> Found:
    for pair, image, control, _ in examined.pairs:
        ratio = (image.width / image.height) / (control.width / control.height)
        if abs(ratio - 1) > ASPECT:
            yield _problem(
                "size",
                pair,
                f"has a picture of {image.width}x{image.height} and a map of {control.width}x{control.height}; both must have the same proportions",
            )
        elif image.width * image.height < (examined.size / 2) ** 2:
            yield _problem(
                "size",
                pair,
                f"has a picture of {image.width}x{image.height}, far below the {examined.size} px that are trained at; use a larger one, or lower size",
            )


def _captions(examined: Examined) -> Found:
    if examined.caption:
        return
    empty = [pair for pair in examined.data.pairs if not pair.caption.strip()]
    if len(empty) > EMPTY_SHARE * len(examined.data.pairs):
        yield Problem(
            "caption",
            str(examined.data.folder),
            f"{len(empty)} of {len(examined.data.pairs)} pairs have no prompt; add captions, or give one caption for all.",
        )
        return
    for pair in empty:
        yield _problem("caption", pair, "has no prompt; add one, or give one caption for all")


# Faults between pairs


def _duplicates(examined: Examined) -> Found:
    for pair, other in _same(_images(examined), _images(examined)):
        yield _problem("duplicate", pair, f"has the same picture as {other.where}; remove one of the two")


def _leaks(examined: Examined) -> Found:
    held_out = [(pair, found.image) for pair, found in examined.validation if found.image is not None]
    for pair, other in _same(_images(examined), held_out, apart=True):
        yield _problem(
            "leak", pair, f"has the same picture as {other.where} of the validation data; remove one of the two"
        )


def _images(examined: Examined) -> list[tuple[Pair, Half]]:
    return [
        (pair, found.image) for pair, found in zip(examined.data.pairs, examined.features, strict=True) if found.image
    ]


def _same(
    ones: Sequence[tuple[Pair, Half]], others: Sequence[tuple[Pair, Half]], apart: bool = False
) -> Iterator[tuple[Pair, Pair]]:
    """Yield pairs with an earlier one, or with one of another set, of the same picture: by file, else by thumbnail."""
    if not ones or not others:
        return
    thumbnails = np.stack([half.thumbnail.ravel() for _, half in others]).astype(np.float32)
    order = np.argsort(thumbnails.mean(axis=1), kind="stable")
    means = thumbnails.mean(axis=1)[order]
    for place, (pair, half) in enumerate(ones):
        own = half.thumbnail.ravel().astype(np.float32)
        low, high = np.searchsorted(means, (own.mean() - SAME, own.mean() + SAME))
        near = order[low:high]
        near = near if apart else near[near < place]
        if not len(near):
            continue
        distances = np.abs(thumbnails[near] - own).mean(axis=1)
        best = int(near[int(np.argmin(distances))])
        if distances.min() <= SAME and (own.std() > 2 or others[best][1].sha256 == half.sha256):
            yield pair, others[best][0]


def _misplaced(examined: Examined) -> Found:
    """Maps of another picture, and maps that lie beside their own."""
    rows = [(pair, image.edges, control.edges) for pair, image, control, looks in examined.pairs if not looks.blank]
    if not rows:
        return
    images, controls = (np.stack([row[part].ravel() for row in rows]) for part in (1, 2))
    own = (images * controls).sum(axis=1)
    usual = float(np.median(own))
    if usual < BELONGS:  # edges of this condition's maps lie elsewhere than the pictures'
        return
    for place in np.flatnonzero(own < usual / 2):
        pair, image, control = rows[place]
        score, shift = best_shift(image, control)
        others = images @ controls[place]
        others[place] = -1
        other = int(np.argmax(others))
        if (
            score - own[place] > CLEARER
            and score >= max(usual / 2, float(others[other]))
            and max(map(abs, shift)) >= LEAST_SHIFT
        ):
            across, down = (round(100 * one / SIDE) for one in shift)
            yield _problem(
                "shifted",
                pair,
                f"has a map that lies {across} % across and {down} % down from its picture; cut both alike",
            )
        elif others[other] - own[place] > CLEARER and own[other] < usual:
            yield _problem(
                "swapped", pair, f"has a map that fits the picture of {rows[other][0].where}; exchange the maps"
            )


def best_shift(image: Edges, control: Edges) -> tuple[float, tuple[int, int]]:
    """Return the best correlation over shifts of a map against its picture, and how far the map lies right and down."""
    spectrum = np.fft.rfft2(control) * np.conj(np.fft.rfft2(image))
    scores = np.fft.irfft2(spectrum, s=image.shape)
    near = np.minimum(np.arange(SIDE), SIDE - np.arange(SIDE)) <= FARTHEST
    scores[~(near[:, None] & near[None, :])] = -1
    down, across = np.unravel_index(int(np.argmax(scores)), scores.shape)
    signed = [int(one) if one <= SIDE // 2 else int(one) - SIDE for one in (across, down)]
    return float(scores.max()), (signed[0], signed[1])


def _problem(kind: str, pair: Pair, text: str) -> Problem:
    return Problem(kind, pair.where, f"{pair.where} {text}.", pair.name)


CHECKS = (
    Check("unreadable", "files that cannot be read", _unreadable),
    Check("blank", "maps of one colour", _blank),
    Check("inverted", "maps with the wrong polarity", _inverted),
    Check("bgr", "maps with red and blue exchanged", _channels),
    Check("off_palette", "label maps in other colours, or as JPEG", _palette),
    Check("size", "sizes that do not fit", _sizes),
    Check("caption", "pairs without a prompt", _captions),
    Check("duplicate", "pictures that are there twice", _duplicates),
    Check("leak", "pictures in training and validation", _leaks),
    Check("misplaced", "maps of another picture, or beside their own", _misplaced),
)
TITLES: Mapping[str, str] = MappingProxyType(
    {"missing": "pairs of which a half is missing", **{check.id: check.title for check in CHECKS}}
)
