"""Heat maps and part affinity fields to bodies, as Cao et al. (2017, section 2) group them.

Works on the maps as the network gives them: they are enlarged once, to the network's own input, and never to the picture's
size, and the fields are read only where a limb may be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.sticks import LIMBS

JOINTS = 18
STRIDE = 8
"""Pixels of the network's input in a cell of its maps."""
# Two lines from shoulder to ear hold people together; they are not drawn.
LINKS = (*LIMBS, (2, 16), (5, 17))
FIELDS = (12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26)
"""The channel of each link's x; its y comes next. The order of the trained network."""

# The numbers of the original demo (pytorch-openpose), which ControlNet's authors took over.
BLUR = 3 * 184 / 512
"""Pixels of the network's input: theirs is 3 of a picture 512 px high, which the network sees at 184."""
PEAK, FIELD = 0.1, 0.05
"""What a joint's heat, and a field along its limb, must exceed."""
SAMPLES, SHARE = 10, 0.8
"""Points on a limb, and the share of them at which the field must agree."""
FEWEST_JOINTS, MEAN_SCORE = 4, 0.4
"""Of a body; less is nobody."""
MOST_PEAKS = 100
"""The highest of each joint: bounds the time on maps that are all peaks."""


@dataclass(eq=False)
class _Body:
    """Joints that belong together: the number of the peak for each joint that is known."""

    peaks: dict[int, int]
    score: float
    count: int = field(default=2)
    """As the original counts: a joint that takes another's place counts again."""


def bodies_from_fields(heat: NDArray[Any], fields: NDArray[Any], height: int, width: int) -> list[NDArray[np.float64]]:
    """Heat (h, w, 19 or 18) and fields (h, w, 38) of an input of this size → bodies.

    Each is (18, 3): x, y in pixels of the input, counted from its corner, and the heat there; zeros where a joint was not
    found.
    """
    peaks = find_peaks(heat, height, width)
    fields = np.ascontiguousarray(fields, np.float32)
    bodies: list[_Body] = []
    for number, (start, end) in enumerate(LINKS):
        flow = np.ascontiguousarray(fields[..., FIELDS[number] : FIELDS[number] + 2])
        for first, second, score in _connections(peaks[start], peaks[end], flow, height):
            _join(bodies, (start, first), (end, second), score, peaks, may_begin=number < len(LIMBS))
    return [_points(body, peaks) for body in bodies if _is_somebody(body)]


def find_peaks(heat: NDArray[Any], height: int, width: int) -> list[NDArray[np.float64]]:
    """Of every joint the (n, 3) places where its heat is highest around: x, y and the heat."""
    cells = np.ascontiguousarray(heat[..., :JOINTS], np.float32)
    size = cells.shape[1] * STRIDE, cells.shape[0] * STRIDE
    large = np.asarray(cv2.resize(cells, size, interpolation=cv2.INTER_LANCZOS4))[:height, :width]
    smooth = np.asarray(cv2.GaussianBlur(large, (0, 0), BLUR, borderType=cv2.BORDER_REFLECT))
    around = np.pad(smooth, ((1, 1), (1, 1), (0, 0)), constant_values=0)
    # Of two equal neighbours only the first is a peak.
    highest = (smooth > PEAK) & (smooth > around[:-2, 1:-1]) & (smooth >= around[2:, 1:-1])
    highest &= (smooth > around[1:-1, :-2]) & (smooth >= around[1:-1, 2:])
    found: list[NDArray[np.float64]] = []
    for joint in range(JOINTS):
        rows, columns = np.nonzero(highest[..., joint])
        order = np.argsort(-large[rows, columns, joint], kind="stable")[:MOST_PEAKS]
        rows, columns = rows[order], columns[order]
        beside = np.pad(smooth[..., joint], 1, mode="edge")  # what rises up to the border has its top there
        x = columns + 0.5 + _summit(*(beside[rows + 1, columns + step] for step in range(3)))
        y = rows + 0.5 + _summit(*(beside[rows + step, columns + 1] for step in range(3)))
        found.append(np.column_stack([x, y, large[rows, columns, joint]]).astype(np.float64))
    return found


def _summit(before: NDArray[Any], peak: NDArray[Any], after: NDArray[Any]) -> NDArray[Any]:
    """Top of the parabola through three neighbours, from -0.5 to 0.5."""
    bend = before + after - 2 * peak
    return np.clip((before - after) / (2 * np.where(bend < -1e-9, bend, -np.inf)), -0.5, 0.5)


def _connections(
    starts: NDArray[np.float64], ends: NDArray[np.float64], flow: NDArray[np.float32], height: int
) -> list[tuple[int, int, float]]:
    """Pairs of peaks that one limb joins, the surest first; no peak is in two of them."""
    if not len(starts) or not len(ends):
        return []
    way = ends[None, :, :2] - starts[:, None, :2]
    length = np.maximum(np.linalg.norm(way, axis=2), 1e-3)
    steps = np.linspace(0, 1, SAMPLES)[:, None, None, None]
    along = _read(flow, (starts[:, None, :2] + steps * way).astype(np.float32))
    agree = (along * (way / length[..., None])).sum(axis=-1)
    score = agree.mean(axis=0) + np.minimum(0.5 * height / length - 1, 0)  # limbs longer than half the picture lose
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
    """(h, w, 2) vectors at places (…, 2) of the network's input."""
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
    """A limb from joint and peak to joint and peak goes to the body that has one of them, or begins a new one."""
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


def _is_somebody(body: _Body) -> bool:
    return body.count >= FEWEST_JOINTS and body.score / body.count >= MEAN_SCORE


def _points(body: _Body, peaks: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    points = np.zeros((JOINTS, 3))
    for joint, number in body.peaks.items():
        points[joint] = peaks[joint][number]
    return points
