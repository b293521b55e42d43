"""The functions behind cnet_app.registry.measures, by the same ids: two maps, or the people of two pictures, to a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image
from annotators.maps.encoders import colour_codes
from models.errors import InputError

Mask = NDArray[np.bool_]
"""(H, W): True where a map counts. At least one pixel does."""
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the five scales, from Wang, Simoncelli and Bovik 2003."""
WINDOW_MARGIN = 5
"""Pixels by which a window of MS-SSIM reaches around its middle."""
LEAST_SIDE = (2 * WINDOW_MARGIN + 1) * 2 ** (len(MS_SSIM_WEIGHTS) - 1)
"""Of a map in px that holds a whole window at all scales."""
JOINT_SIGMAS = (0.026, 0.0, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089, 0.107, 0.087, 0.089, 0.025, 0.025, 0.035, 0.035)  # fmt: skip
"""Spread of each of the 18 joints, from the COCO keypoint challenge, which knows no neck: it does not count."""
BODY_SHARE = 0.53
"""Area of a body as a share of the box around its joints, where no outline is known."""
LINE = 127
"""Grey level above which a pixel is of a line."""
TOLERANCE = 2
"""Pixels by which a line may be moved and still be the same."""


class MapMeasure(Protocol):
    """A measure of two maps of the same size: the control image, and the map of the result."""

    def __call__(self, control_image: Image, result: Image, *, where: Mask | None = None) -> float:
        """Return the number; with `where`, of that part of the maps alone."""
        ...


def edge_f1(control_image: Image, result: Image, tolerance: int = TOLERANCE, *, where: Mask | None = None) -> float:
    """Return the F1 score of white lines, 0 to 1; 1 where both maps are empty.

    A line pixel counts as right where the other map has one within `tolerance` px.
    """
    wanted, got = lines_of(control_image), lines_of(result)
    near_wanted, near_got = near_lines(wanted, tolerance), near_lines(got, tolerance)
    if where is not None:
        wanted, got = wanted & where, got & where
    if not wanted.any() or not got.any():
        return float(wanted.any() == got.any())
    precision, recall = near_wanted[got].mean(), near_got[wanted].mean()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def edge_f1_strict(control_image: Image, result: Image, *, where: Mask | None = None) -> float:
    """Return the F1 score of white pixels, 0 to 1: a pixel counts only in its place; 0 where a map is empty."""
    wanted, got = (_part(lines_of(m), where) for m in (control_image, result))
    return float(2 * (wanted & got).sum() / max(int(wanted.sum()) + int(got.sum()), 1))


def lines_of(lines_map: Image, level: int = LINE) -> Mask:
    """Return (H, W): True where a map has a line."""
    return lines_map.max(axis=2) > level


def near_lines(lines: Mask, tolerance: int = TOLERANCE) -> Mask:
    """Return the pixels within `tolerance` px of a line."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * tolerance + 1,) * 2)
    return cv2.dilate(lines.astype(np.uint8), disc) > 0


def ms_ssim(control_image: Image, result: Image, *, where: Mask | None = None) -> float:
    """Return the multi-scale structural similarity of the grey maps, 0 to 1.

    All five scales count fully where the sides are at least 176 px.
    """
    return _ms_ssim(control_image, result, where, margin=0)


def ms_ssim_strict(control_image: Image, result: Image, *, where: Mask | None = None) -> float:
    """Return the multi-scale structural similarity of the grey maps, 0 to 1, as torchmetrics 1.9 computes it.

    Windows that reach over the border count at the coarsest scale alone. Raises InputError where a side is shorter than LEAST_SIDE.
    """
    height, width = control_image.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise InputError(
            f"This form of MS-SSIM needs sides of at least {LEAST_SIDE} px, but the picture has {width}x{height}; "
            "make larger pictures."
        )
    return _ms_ssim(control_image, result, where, margin=WINDOW_MARGIN)


def _ms_ssim(control_image: Image, result: Image, where: Mask | None, margin: int) -> float:
    """Return the product over the scales; windows whose middle is in the margin count at the coarsest alone."""
    a, b = (cv2.cvtColor(m, cv2.COLOR_RGB2GRAY).astype(np.float64) for m in (control_image, result))
    counted = np.ones(a.shape) if where is None else where.astype(np.float64)
    product = 1.0
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        brightness, contrast = _ssim_parts(a, b)
        if scale == len(MS_SSIM_WEIGHTS) - 1:
            likeness = np.average(brightness * contrast, weights=counted)
        else:
            inside = np.s_[margin : a.shape[0] - margin, margin : a.shape[1] - margin]
            likeness = np.average(contrast[inside], weights=counted[inside])
        product *= max(float(likeness), 0.0) ** weight
        a, b, counted = (_half(m, whole=margin > 0) for m in (a, b, counted))
    return product


def _half(values: NDArray[Any], whole: bool) -> NDArray[Any]:
    """Return a map at half its size; `whole` leaves out an odd last row or column."""
    if whole:
        values = values[: values.shape[0] // 2 * 2, : values.shape[1] // 2 * 2]
    return cv2.resize(values, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _ssim_parts(a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    def blur(m: NDArray[Any]) -> NDArray[Any]:
        return cv2.GaussianBlur(m, (11, 11), 1.5)

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    brightness = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return brightness, (2 * covariance + c2) / (var_a + var_b + c2)


def rmse(control_image: Image, result: Image, *, where: Mask | None = None) -> float:
    """Return the root mean square error over all channels, 0 to 1 (the full range is 1)."""
    difference = _part(control_image, where).astype(np.float64) - _part(result, where)
    return float(np.sqrt(np.square(difference / 255).mean()))


def grey_rmse(control_image: Image, result: Image, *, where: Mask | None = None) -> float:
    """Return the root mean square error of the grey maps, in grey levels from 0 to 255."""
    a, b = (_part(cv2.cvtColor(m, cv2.COLOR_RGB2GRAY).astype(np.float64), where) for m in (control_image, result))
    return float(np.sqrt(np.square(a - b).mean()))


def colour_difference(control_image: Image, result: Image, *, where: Mask | None = None) -> float:
    """Return the mean distance of colours in CIE Lab (delta E of 1976); about 2 is just seen."""
    a, b = (cv2.cvtColor(m.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB) for m in (control_image, result))
    return float(_part(np.linalg.norm(a.astype(np.float64) - b, axis=2), where).mean())


def pearson(control_image: Image, result: Image, *, where: Mask | None = None) -> float:
    """Return the correlation of the grey maps, -1 to 1; where a map has one grey alone, 1 if both have, else 0."""
    greys = [cv2.cvtColor(m, cv2.COLOR_RGB2GRAY).astype(np.float64) for m in (control_image, result)]
    a, b = (_part(grey, where) - _part(grey, where).mean() for grey in greys)
    spread = float(np.sqrt(np.square(a).mean() * np.square(b).mean()))
    if spread < 1e-9:
        return float(bool(np.abs(a).max() < 1e-9) == bool(np.abs(b).max() < 1e-9))
    return float(np.clip((a * b).mean() / spread, -1, 1))


def mean_angle(control_image: Image, result: Image, *, where: Mask | None = None) -> float:
    """Return the mean angle between normals, 0 to 180 degrees."""
    return float(_part(angles(control_image, result), where).mean())


def angles(control_image: Image, result: Image) -> NDArray[np.float64]:
    """Return (H, W): the angle between the normals of two maps, 0 to 180 degrees."""
    a, b = (m.astype(np.float64) / 127.5 - 1 for m in (control_image, result))
    lengths = np.linalg.norm(a, axis=2) * np.linalg.norm(b, axis=2)
    cosine = (a * b).sum(axis=2) / np.maximum(lengths, 1e-9)
    return np.degrees(np.arccos(cosine.clip(-1, 1)))


def mean_iou(control_image: Image, result: Image, *, where: Mask | None = None) -> float:
    """Return the intersection over union of colours, 0 to 1.

    The mean is over the colours that cover at least 1 % of the control image, or over the 100 commonest where none does.
    """
    code = np.array([65536, 256, 1])
    wanted, got = (_part(m.astype(np.int32) @ code, where) for m in (control_image, result))
    colours, counts = np.unique(wanted, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:100]
    large = order[counts[order] >= 0.01 * wanted.size]
    shares = []
    for colour in np.sort(colours[large if len(large) else order]):
        both, either = (wanted == colour) & (got == colour), (wanted == colour) | (got == colour)
        shares.append(both.sum() / either.sum())
    return float(np.mean(shares))


def class_iou(control_image: Image, result: Image, *, where: Mask | None = None) -> float:
    """Return the mean intersection over union of the classes that either map has, 0 to 1; see `class_overlaps`."""
    overlaps = class_overlaps(control_image, result, where=where).values()
    return float(np.mean([both / either for both, either in overlaps]))


def class_overlaps(control_image: Image, result: Image, *, where: Mask | None = None) -> dict[int, tuple[int, int]]:
    """Return by colour (see `colour_codes`) the pixels in which both maps have it, and those in which either has it.

    Only pixels count that have a class in the control image; black is no class. Raises InputError where none has.
    """
    wanted, got = (_part(colour_codes(m), where).ravel() for m in (control_image, result))
    wanted, got = wanted[wanted != 0], got[wanted != 0]
    if not wanted.size:
        raise InputError("The label map is black, which is no class, so there is nothing to compare; give another map.")
    colours, places = np.unique(np.stack([wanted, got]), return_inverse=True)
    one, other = places.reshape(2, -1)
    counts = [np.bincount(found, minlength=len(colours)) for found in (one, other, one[one == other])]
    unions = counts[0] + counts[1] - counts[2]
    rows = zip(colours.tolist(), counts[2].tolist(), unions.tolist(), strict=True)
    return {colour: (both, either) for colour, both, either in rows if colour != 0}


def _part(values: NDArray[Any], where: Mask | None) -> NDArray[Any]:
    return values if where is None else values[where]


def best_match(
    wanted: NDArray[Any], found: Sequence[NDArray[Any]], threshold: float = 0.1
) -> tuple[NDArray[np.bool_], int | None]:
    """Return which of a person's 18 joints the best match among `found` has, and its index; None where nobody has any.

    People are (18, 3): x, y and visibility. A joint is found within `threshold` of the wanted figure's height.
    """
    visible = wanted[:, 2] > 0
    best, index = np.zeros(len(wanted), np.bool_), None
    if not visible.any():
        return best, index
    reach = threshold * max(float(np.ptp(wanted[visible, 1])), 1.0)
    for number, person in enumerate(found):
        near = np.linalg.norm(person[:, :2] - wanted[:, :2], axis=1) <= reach
        hits = near & (person[:, 2] > 0) & visible
        if hits.sum() > best.sum():
            best, index = hits, number
    return best, index


def pck(wanted: NDArray[Any], found: Sequence[NDArray[Any]], threshold: float = 0.1) -> float:
    """Return the share of a person's visible joints that the best match among `found` has, 0 to 1; 1 without joints."""
    count = int((wanted[:, 2] > 0).sum())
    return float(best_match(wanted, found, threshold)[0].sum() / count) if count else 1.0


def people_pck(wanted: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> float:
    """Return the mean of `pck` over the wanted people; raise ValueError where there are none."""
    if not wanted:
        raise ValueError("PCK needs at least one person to look for.")
    return float(np.mean([pck(person, found) for person in wanted]))


def oks(wanted: NDArray[Any], found: Sequence[NDArray[Any]]) -> float:
    """Return the object keypoint similarity of a person's best match among `found`, 0 to 1; 1 without joints.

    People are (18, 3): x, y and visibility. A joint that was not found counts 0; the neck does not count.
    """
    sigmas = np.array(JOINT_SIGMAS)
    visible = (wanted[:, 2] > 0) & (sigmas > 0)
    if not visible.any():
        return 1.0
    area = BODY_SHARE * float(np.prod(np.maximum(np.ptp(wanted[visible, :2], axis=0), 1.0)))
    best = 0.0
    for person in found:
        squares = np.square(person[visible, :2] - wanted[visible, :2]).sum(axis=1)
        alike = np.exp(-squares / (2 * area * np.square(2 * sigmas[visible])))
        best = max(best, float(np.where(person[visible, 2] > 0, alike, 0.0).mean()))
    return best


def people_oks(wanted: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> float:
    """Return the mean of `oks` over the wanted people; raise ValueError where there are none."""
    if not wanted:
        raise ValueError("OKS needs at least one person to look for.")
    return float(np.mean([oks(person, found) for person in wanted]))


MAP_MEASURES: Mapping[str, MapMeasure] = MappingProxyType(
    {
        "edge_f1": edge_f1,
        "ms_ssim": ms_ssim,
        "rmse": rmse,
        "pearson": pearson,
        "mean_angle": mean_angle,
        "mean_iou": mean_iou,
        "edge_f1_strict": edge_f1_strict,
        "ms_ssim_strict": ms_ssim_strict,
        "grey_rmse": grey_rmse,
        "class_iou": class_iou,
        "colour_difference": colour_difference,
    }
)
"""Measures of two maps."""
PEOPLE_MEASURES: Mapping[str, Callable[[Sequence[NDArray[Any]], Sequence[NDArray[Any]]], float]] = MappingProxyType(
    {"pck": people_pck, "oks": people_oks}
)
"""Measures of two lists of people, each person (18, 3): the wanted ones, and those found in the result."""
