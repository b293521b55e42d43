"""Pictures that are the same, and maps that do not belong to their pictures: comparisons over a whole data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnet_app.training.data.features import SIDE, THUMBNAIL, Edges, Half
from cnet_app.training.data.pairs import Pair

BELONGS = 0.3
"""Median correlation of the edges of pictures and maps, below which such maps do not follow a picture's edges."""
RECOGNISED = 0.8
"""Share of maps that fit their own picture best of a sample's, below which fitting means nothing."""
SAMPLE = 64
"""Pairs by which this is known."""
WORSE = 0.5
"""Of the median correlation: a map that fits no worse is not looked at; one that fits inversely belongs there too."""
FITS = 0.7
"""Of the median correlation, that a map must have at another place, or with another picture."""
CLEARER = 0.25
"""By how much it must fit better there."""
ONCE = 0.75
"""Of the best correlation, the most at any other shift; in a repeated pattern nothing is known."""
APART = 4
"""Distance of another shift, in pixels of SIDE."""
FARTHEST = 12
"""Largest shift that is looked for, in pixels of SIDE."""
LEAST_SHIFT = 2
BLOCK = 256
"""Maps that are compared with all pictures at once."""
SAME = 1.5
"""Mean difference of two thumbnails, in grey levels, up to which pictures may be the same."""
ALIKE = 0.98
"""Least correlation of the thumbnails of one picture in two files."""
COARSE = 8
"""Side of the grey thumbnails by which most pictures are ruled out."""

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Misplaced:
    """A map that does not belong where it is."""

    place: int
    """Of the pair."""
    shift: tuple[int, int] = (0, 0)
    """Right and down, in pixels of SIDE; where the map is its own picture's."""
    other: int | None = None
    """Place of the pair whose picture the map fits; None for a shifted map."""
    severity: float = 1.0


def same_pictures(
    ones: Sequence[tuple[Pair, Half]], others: Sequence[tuple[Pair, Half]] | None = None
) -> Iterator[tuple[Pair, Pair]]:
    """Yield pairs with an earlier one of the same picture; with `others`, with one of those."""
    among = ones if others is None else others
    if not ones or not among:
        return
    rows = np.stack([_coarse(half) for _, half in among])
    means = rows.mean(axis=1)
    order = np.argsort(means, kind="stable")
    sorted_means = means[order]
    for place, (pair, half) in enumerate(ones):
        own = _coarse(half)
        low, high = np.searchsorted(sorted_means, (own.mean() - SAME, own.mean() + SAME))
        near = np.sort(order[low:high])
        near = near if others is not None else near[near < place]
        near = near[np.abs(rows[near] - own).mean(axis=1) <= 2 * SAME]
        found = next((among[int(one)] for one in near if _is_same(pair, half, *among[int(one)])), None)
        if found is not None:
            yield pair, found[0]


def _coarse(half: Half) -> Vector:
    cells = half.thumbnail.reshape(COARSE, THUMBNAIL // COARSE, COARSE, THUMBNAIL // COARSE, 3)
    return cells.mean(axis=(1, 3, 4), dtype=np.float32).ravel()


def _is_same(pair: Pair, half: Half, other: Pair, other_half: Half) -> bool:
    """A picture of nearly one colour is the same only as the same file."""
    one, two = (np.asarray(each.thumbnail, np.float32) for each in (half, other_half))
    if float(np.abs(one - two).mean()) > SAME:
        return False
    if min(float(one.std(axis=(0, 1)).max()), float(two.std(axis=(0, 1)).max())) < 2 * SAME:
        return pair.image.read() == other.image.read()
    one, two = (each - each.mean(axis=(0, 1)) for each in (one, two))
    return float((one * two).sum()) >= ALIKE * float(np.linalg.norm(one) * np.linalg.norm(two))


def misplaced(images: Sequence[Edges], controls: Sequence[Edges]) -> Iterator[Misplaced]:
    """Yield the maps that clearly fit their picture elsewhere, or another picture whose own map does not fit or is the same.

    Of maps that do not follow the edges of their pictures, such as shuffled ones, nothing is known, and none is yielded.
    """
    if not images:
        return
    own = np.array([float((_unit(one) * _unit(two)).sum()) for one, two in zip(images, controls, strict=True)])
    usual = float(np.median(own))
    if usual < BELONGS or _recognised(images, controls) < RECOGNISED:
        return
    suspects = np.flatnonzero(np.abs(own) < WORSE * usual)
    for place, other in zip(suspects, _best_others(images, controls, suspects), strict=True):
        unit = _unit(controls[place])
        elsewhere = float((_unit(images[other]) * unit).sum())
        least = max(FITS * usual, own[place] + CLEARER)
        score, shift = best_shift(_unit(images[place]), unit)
        if score >= max(least, elsewhere) and max(map(abs, shift)) >= LEAST_SHIFT:
            yield Misplaced(int(place), shift, severity=0.8)
        elif elsewhere >= least and (other in suspects or float((_unit(controls[other]) * unit).sum()) > ALIKE):
            yield Misplaced(int(place), other=other)


def _recognised(images: Sequence[Edges], controls: Sequence[Edges]) -> float:
    """Return the share of maps that fit their own picture best, of a sample."""
    places = np.unique(np.linspace(0, len(images) - 1, SAMPLE).astype(int))
    one, two = (np.stack([_halved(halves[place]) for place in places]) for halves in (images, controls))
    return float(np.mean(np.argmax(two @ one.T, axis=1) == np.arange(len(places))))


def _best_others(images: Sequence[Edges], controls: Sequence[Edges], places: NDArray[np.intp]) -> Iterator[int]:
    """Yield, for the map at each place, the other picture that it fits best, at half the resolution."""
    if not len(places):
        return
    all_images = np.stack([_halved(one) for one in images])
    for start in range(0, len(places), BLOCK):
        block = places[start : start + BLOCK]
        scores = np.stack([_halved(controls[place]) for place in block]) @ all_images.T
        scores[np.arange(len(block)), block] = -1
        yield from map(int, np.argmax(scores, axis=1))


def _unit(edges: NDArray[np.generic]) -> Vector:
    """Of mean 0 and length 1; zeros where there is nothing."""
    centred = edges.astype(np.float32) - np.float32(edges.mean())
    length = float(np.linalg.norm(centred))
    return centred / np.float32(length) if length > 1e-3 else np.zeros_like(centred)


def _halved(edges: Edges) -> Vector:
    return _unit(edges.reshape(SIDE // 2, 2, SIDE // 2, 2).mean(axis=(1, 3))).ravel()


def best_shift(image: Vector, control: Vector) -> tuple[float, tuple[int, int]]:
    """Return the best correlation over shifts of a map against its picture, and how far the map lies right and down.

    It is -1 where another shift is nearly as good.
    """
    spectrum = np.fft.rfft2(control) * np.conj(np.fft.rfft2(image))
    scores = np.fft.irfft2(spectrum, s=image.shape)
    distances = np.minimum(np.arange(SIDE), SIDE - np.arange(SIDE))
    scores[np.maximum.outer(distances, distances) > FARTHEST] = -1
    best = float(scores.max())
    down, across = (int(one) for one in np.unravel_index(int(np.argmax(scores)), scores.shape))
    near = np.maximum.outer(np.roll(distances, down), np.roll(distances, across)) < APART
    signed = [one if one <= SIDE // 2 else one - SIDE for one in (across, down)]
    unique = float(scores[~near].max()) <= ONCE * best
    return best if unique else -1.0, (signed[0], signed[1])
