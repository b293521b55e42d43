"""Pictures that are the same, and maps that do not belong to their pictures: comparisons over a whole data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from cnet_app.training.data.features import SIDE, THUMBNAIL, Edges, Half
from cnet_app.training.data.pairs import Pair

BELONGS = 0.3
"""Median correlation of the edges of pictures and maps, below which such maps do not follow a picture's edges."""
RECOGNISED, CERTAIN = 0.6, 0.8
"""Shares of maps that fit their own picture best of a sample's: below the first, fitting means nothing; from the second, it
means something of one map, and not only of two that fit each other's picture."""
SAMPLE = 64
"""Pairs by which these are known."""
WORSE = 0.5
"""Of the median correlation: a map that fits no worse is not looked at; one that fits inversely belongs there too."""
FITS, FITS_BOTH = 0.6, 0.45
"""Of the median correlation, that a map must have at another place or with another picture; the latter, where two maps fit
each other's picture."""
CLEARER = 0.25
"""By how much it must fit better there."""
ONCE = 0.8
"""Of the best correlation, the most at any other shift; in a repeated pattern nothing is known."""
BORDER = 3
"""Width of the map's border that does not count there, in pixels of SIDE."""
APART = 4
"""Distance of another shift, in pixels of SIDE."""
FARTHEST = 12
"""Largest shift that is looked for, in pixels of SIDE."""
LEAST_SHIFT = 2
BLOCK = 256
"""Maps that are compared with all pictures at once."""
SAME, MOST = 5.0, 24
"""Differences of two thumbnails, in grey levels, up to which pictures may be the same: the mean, and the largest of any spot."""
ALIKE = 0.985
"""Least correlation of the thumbnails of one picture in two files."""
FLAT = 3.0
"""Deviation of a thumbnail, in grey levels, below which a picture is nearly one colour."""
NEARLY = 1.5
"""The mean difference of coarse thumbnails, up to which two are compared."""
SAME_MAP = 0.98
"""Least correlation of the edges of one map in two files."""
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
        low, high = np.searchsorted(sorted_means, (own.mean() - NEARLY, own.mean() + NEARLY))
        near = np.sort(order[low:high])
        near = near if others is not None else near[near < place]
        near = near[np.abs(rows[near] - own).mean(axis=1) <= 2 * NEARLY]
        found = next((among[int(one)] for one in near if _is_same(pair, half, *among[int(one)])), None)
        if found is not None:
            yield pair, found[0]


def _coarse(half: Half) -> Vector:
    cells = half.thumbnail.reshape(COARSE, THUMBNAIL // COARSE, COARSE, THUMBNAIL // COARSE, 3)
    return cells.mean(axis=(1, 3, 4), dtype=np.float32).ravel()


def _is_same(pair: Pair, half: Half, other: Pair, other_half: Half) -> bool:
    """A picture of nearly one colour is the same only as the same file."""
    smooth = cv2.absdiff(*(cv2.blur(each.thumbnail, (3, 3)) for each in (half, other_half)))
    one, two = (np.asarray(each.thumbnail, np.float32) for each in (half, other_half))
    if int(smooth.max()) > MOST or float(np.abs(one - two).mean()) > SAME:
        return False
    if min(float(each.std(axis=(0, 1)).max()) for each in (one, two)) < FLAT:
        return pair.image.read() == other.image.read()
    one, two = (each - each.mean(axis=(0, 1)) for each in (one, two))
    return float((one * two).sum()) >= ALIKE * float(np.linalg.norm(one) * np.linalg.norm(two))


@dataclass(frozen=True)
class Fits:
    """How well maps lie on the edges of their pictures, pair by pair."""

    images: Sequence[Edges]
    controls: Sequence[Edges]

    @cached_property
    def own(self) -> Vector:
        """Correlation of each map with its picture."""
        both = zip(self.images, self.controls, strict=True)
        return np.array([float((_unit(one) * _unit(two)).sum()) for one, two in both], np.float32)

    @cached_property
    def usual(self) -> float:
        """Return their median."""
        return float(np.median(self.own)) if len(self.own) else 0.0

    @cached_property
    def recognised(self) -> float:
        """Return the share of maps that fit their own picture best, of a sample."""
        places = np.unique(np.linspace(0, len(self.images) - 1, SAMPLE).astype(int))
        one, two = (np.stack([_halved(halves[place]) for place in places]) for halves in (self.images, self.controls))
        return float(np.mean(np.argmax(two @ one.T, axis=1) == np.arange(len(places))))

    @property
    def mean_something(self) -> bool:
        """Return whether maps of this kind follow the edges of their pictures at all, which shuffled ones do not."""
        return self.usual >= BELONGS and self.recognised >= RECOGNISED

    def of(self, control: int, image: int) -> float:
        """Return the correlation of a map with any picture."""
        return float((_unit(self.controls[control]) * _unit(self.images[image])).sum())


def misplaced(fits: Fits) -> Iterator[Misplaced]:
    """Yield the maps that clearly fit their picture elsewhere, or clearly another picture."""
    if not fits.mean_something:
        return
    suspects = np.flatnonzero(np.abs(fits.own) < WORSE * fits.usual)
    best = _exchanged(fits, dict(zip(map(int, suspects), _best_others(fits, suspects), strict=True)))
    for place, other in best.items():
        elsewhere, clearer = fits.of(place, other), float(fits.own[place]) + CLEARER
        score, shift = best_shift(_unit(fits.images[place]), _unit(fits.controls[place]))
        is_shifted = score >= max(FITS * fits.usual, clearer, elsewhere) and max(map(abs, shift)) >= LEAST_SHIFT
        if is_shifted and fits.recognised >= CERTAIN:
            yield Misplaced(place, shift, severity=0.8)
        elif elsewhere >= clearer and _belongs_to(fits, best, place, elsewhere):
            yield Misplaced(place, other=other)


def _exchanged(fits: Fits, best: Mapping[int, int]) -> Mapping[int, int]:
    """Return the best other pictures, where one that gave its own map in exchange goes before one that fits as well."""
    wanting = {other: place for place, other in best.items() if other in best}
    nearly = {
        place: wanting[place]
        for place, other in best.items()
        if place in wanting and fits.of(place, wanting[place]) >= ONCE * fits.of(place, other)
    }
    return {**best, **nearly}


def _belongs_to(fits: Fits, best: Mapping[int, int], place: int, elsewhere: float) -> bool:
    """Return whether a map is that of the picture that it fits best."""
    other = best[place]
    if best.get(other) == place:
        return min(elsewhere, fits.of(other, place)) >= FITS_BOTH * fits.usual
    same_map = float((_unit(fits.controls[other]) * _unit(fits.controls[place])).sum()) > SAME_MAP
    return fits.recognised >= CERTAIN and elsewhere >= FITS * fits.usual and (other in best or same_map)


def _best_others(fits: Fits, places: NDArray[np.intp]) -> Iterator[int]:
    """Yield, for the map at each place, the other picture that it fits best, at half the resolution."""
    if not len(places):
        return
    images = np.stack([_halved(one) for one in fits.images])
    for start in range(0, len(places), BLOCK):
        block = places[start : start + BLOCK]
        scores = np.stack([_halved(fits.controls[place]) for place in block]) @ images.T
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
    """Return how far a map lies right and down of its picture, and the correlation of what overlaps then.

    It is -1 where another shift is nearly as good.
    """
    spectrum = np.fft.rfft2(control) * np.conj(np.fft.rfft2(image))
    scores = np.fft.irfft2(spectrum, s=image.shape)
    distances = np.minimum(np.arange(SIDE), SIDE - np.arange(SIDE))
    scores[np.maximum.outer(distances, distances) > FARTHEST] = -1
    best = float(scores.max())
    down, across = (int(one) for one in np.unravel_index(int(np.argmax(scores)), scores.shape))
    near = np.maximum.outer(np.roll(distances, down), np.roll(distances, across)) < APART
    shift = (_signed(across), _signed(down))
    if float(scores[~near].max()) > ONCE * best:
        return -1.0, shift
    return _overlap(image, control, shift), shift


def _signed(shift: int) -> int:
    return shift if shift <= SIDE // 2 else shift - SIDE


def _overlap(image: Vector, control: Vector, shift: tuple[int, int]) -> float:
    """Without the border of the map, which may be an edge itself."""
    rows, columns = (slice(max(one, 0) + BORDER, SIDE + min(one, 0) - BORDER) for one in (shift[1], shift[0]))
    same = tuple(slice(part.start - one, part.stop - one) for part, one in ((rows, shift[1]), (columns, shift[0])))
    return float((_unit(control[rows, columns]) * _unit(image[same])).sum())
