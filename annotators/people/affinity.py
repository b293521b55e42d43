"""Heat maps and part affinity fields to bodies (Cao et al., 2017, section 2).

The maps are enlarged to the size of the network's input, not of the picture, and the fields are read only where a limb may
be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.people.sticks import LIMBS

JOINTS = 18
STRIDE = 8
"""Pixels of the network's input in a cell of its maps."""
# Two links from shoulder to ear help to group joints; they are not drawn.
LINKS = (*LIMBS, (2, 16), (5, 17))
FIELDS = (12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26)
"""Channel of each link's x in the network's output; its y is the next channel."""

# Constants of pytorch-openpose, which ControlNet's code uses.
BLUR = 3 * 184 / 512
"""Standard deviation in pixels of the network's input: theirs is 3 px of a picture 512 px high, an input of 184 px."""
PEAK, FIELD = 0.1, 0.05
"""Lower bounds of a joint's heat, and of the field along a limb."""
SAMPLES, SHARE = 10, 0.8
"""Points on a limb, and the share of them at which the field must exceed FIELD."""
FEWEST_JOINTS, MEAN_SCORE = 4, 0.4
"""Lower bounds of a body's count and of its mean score."""
MOST_PEAKS = 100
"""Limit for each joint, which bounds the time on maps full of peaks."""


@dataclass(eq=False)
class _Body:
    """Joints grouped so far: the number of a peak by joint."""

    peaks: dict[int, int]
    score: float
    count: int = field(default=2)
    """Joints as the original counts them: one that replaces another counts again."""


def bodies_from_fields(heat: NDArray[Any], fields: NDArray[Any], height: int, width: int) -> list[NDArray[np.float64]]:
    """Heat (h, w, 19 or 18) and fields (h, w, 38) of an input of this size → bodies.

    Each is (18, 3): x, y in pixels of the input from its corner, and the heat there; zeros where a joint was not found.
    """
    peaks = find_peaks(heat, height, width)
    fields = np.ascontiguousarray(fields, np.float32)
    bodies: list[_Body] = []
    for number, (start, end) in enumerate(LINKS):
        flow = np.ascontiguousarray(fields[..., FIELDS[number] : FIELDS[number] + 2])
        for first, second, score in _connections(peaks[start], peaks[end], flow, height):
            _join(bodies, (start, first), (end, second), score, peaks, may_begin=number < len(LIMBS))
    return [_points(body, peaks) for body in bodies if _is_complete(body)]


def find_peaks(heat: NDArray[Any], height: int, width: int) -> list[NDArray[np.float64]]:
    """Return the (n, 3) local maxima of every joint's heat: x, y and the heat."""
    cells = np.ascontiguousarray(heat[..., :JOINTS], np.float32)
    size = cells.shape[1] * STRIDE, cells.shape[0] * STRIDE
    large = np.asarray(cv2.resize(cells, size, interpolation=cv2.INTER_LANCZOS4))[:height, :width]
    smooth = np.asarray(cv2.GaussianBlur(large, (0, 0), BLUR, borderType=cv2.BORDER_REFLECT))
    padded = np.pad(smooth, ((1, 1), (1, 1), (0, 0)), constant_values=0)
    # Of two equal neighbours only the first is a peak.
    highest = (smooth > PEAK) & (smooth > padded[:-2, 1:-1]) & (smooth >= padded[2:, 1:-1])
    highest &= (smooth > padded[1:-1, :-2]) & (smooth >= padded[1:-1, 2:])
    found: list[NDArray[np.float64]] = []
    for joint in range(JOINTS):
        rows, columns = np.nonzero(highest[..., joint])
        order = np.argsort(-large[rows, columns, joint], kind="stable")[:MOST_PEAKS]
        rows, columns = rows[order], columns[order]
        around = np.pad(smooth[..., joint], 1, mode="edge")  # a slope that rises to the border has its top there
        x = columns + 0.5 + _summit(*(around[rows + 1, columns + step] for step in range(3)))
        y = rows + 0.5 + _summit(*(around[rows + step, columns + 1] for step in range(3)))
        found.append(np.column_stack([x, y, large[rows, columns, joint]]).astype(np.float64))
    return found


def _summit(before: NDArray[Any], peak: NDArray[Any], after: NDArray[Any]) -> NDArray[Any]:
    """Return the top of the parabola through three neighbours, from -0.5 to 0.5."""
    bend = before + after - 2 * peak
    return np.clip((before - after) / (2 * np.where(bend < -1e-9, bend, -np.inf)), -0.5, 0.5)


def _connections(
    starts: NDArray[np.float64], ends: NDArray[np.float64], flow: NDArray[np.float32], height: int
) -> list[tuple[int, int, float]]:
    """Return the pairs of peaks that a limb joins and their scores, best first; a peak is in one pair only."""
    if not len(starts) or not len(ends):
        return []
    way = ends[None, :, :2] - starts[:, None, :2]
    length = np.maximum(np.linalg.norm(way, axis=2), 1e-3)
    steps = np.linspace(0, 1, SAMPLES)[:, None, None, None]
    along = _read(flow, (starts[:, None, :2] + steps * way).astype(np.float32))
    agree = (along * (way / length[..., None])).sum(axis=-1)
    too_long = np.minimum(0.5 * height / length - 1, 0)  # a penalty for limbs longer than half the picture
    score = agree.mean(axis=0) + too_long
    possible = ((agree > FIELD).sum(axis=0) > SHARE * SAMPLES) & (score > 0)
    found: list[tuple[int, int, float]] = []
    taken: tuple[set[int], set[int]] = set(), set()
    for index in np.argsort(-score, axis=None, kind="stable"):
        first, second = (int(place) for place in np.unravel_index(index, score.shape))
        if possible[first, second] and first not in taken[0] and second not in taken[1]:
            found.append((first, second, float(score[first, second])))
            taken[0].add(first)
            taken[1].add(second)
    return found


def _read(flow: NDArray[np.float32], places: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the vectors of (h, w, 2) at places (…, 2) of the network's input."""
    cells = (places / STRIDE - 0.5).reshape(SAMPLES * places.shape[1], -1, 2)
    read = cv2.remap(flow, cells, None, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return np.asarray(read, np.float32).reshape(places.shape)


def _join(
    bodies: list[_Body],
    first: tuple[int, int],
    second: tuple[int, int],
    score: float,
    peaks: list[NDArray[np.float64]],
    may_begin: bool,
) -> None:
    """Add a limb between two joints, each given with its peak, to the body that has one of them, or begin a new body."""
    (start, a), (end, b) = first, second
    heat = float(peaks[end][b, 2])
    owners = [body for body in bodies if body.peaks.get(start) == a or body.peaks.get(end) == b]
    if not owners:
        if may_begin:
            bodies.append(_Body({start: a, end: b}, float(peaks[start][a, 2]) + heat + score))
        return
    body = owners[0]
    if len(owners) > 1 and not body.peaks.keys() & owners[1].peaks.keys():
        body.peaks |= owners[1].peaks
        body.score += owners[1].score + score
        body.count += owners[1].count
        bodies.remove(owners[1])
    elif len(owners) > 1 or body.peaks.get(end) != b:
        body.peaks[end] = b
        body.score += heat + score
        body.count += 1


def _is_complete(body: _Body) -> bool:
    return body.count >= FEWEST_JOINTS and body.score / body.count >= MEAN_SCORE


def _points(body: _Body, peaks: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    points = np.zeros((JOINTS, 3))
    for joint, number in body.peaks.items():
        points[joint] = peaks[joint][number]
    return points
