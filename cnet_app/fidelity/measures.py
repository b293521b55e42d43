"""The functions behind cnet_app.registry.measures, by the same ids: two maps, or the people of two pictures, to a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the five scales, from Wang, Simoncelli and Bovik 2003."""


def edge_f1(control_image: Image, result: Image, tolerance: int = 2) -> float:
    """Return the F1 score of white lines, 0 to 1; 1 where both maps are empty.

    A line pixel counts as right where the other map has one within `tolerance` px.
    """
    wanted, got = control_image.max(axis=2) > 127, result.max(axis=2) > 127
    if not wanted.any() or not got.any():
        return float(wanted.any() == got.any())
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * tolerance + 1,) * 2)
    near_wanted, near_got = (cv2.dilate(m.astype(np.uint8), disc) > 0 for m in (wanted, got))
    precision, recall = near_wanted[got].mean(), near_got[wanted].mean()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def ms_ssim(control_image: Image, result: Image) -> float:
    """Return the multi-scale structural similarity of the grey maps, 0 to 1.

    All five scales count fully where the sides are at least 176 px.
    """
    a, b = (cv2.cvtColor(m, cv2.COLOR_RGB2GRAY).astype(np.float64) for m in (control_image, result))
    product = 1.0
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        brightness, contrast = _ssim_parts(a, b)
        last = scale == len(MS_SSIM_WEIGHTS) - 1
        product *= max(float((brightness * contrast if last else contrast).mean()), 0.0) ** weight
        a, b = (cv2.resize(m, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for m in (a, b))
    return product


def _ssim_parts(a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    def blur(m: NDArray[Any]) -> NDArray[Any]:
        return cv2.GaussianBlur(m, (11, 11), 1.5)

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    brightness = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return brightness, (2 * covariance + c2) / (var_a + var_b + c2)


def rmse(control_image: Image, result: Image) -> float:
    """Return the root mean square error over all channels, 0 to 1 (the full range is 1)."""
    difference = control_image.astype(np.float64) - result
    return float(np.sqrt(np.square(difference / 255).mean()))


def mean_angle(control_image: Image, result: Image) -> float:
    """Return the mean angle between normals, 0 to 180 degrees."""
    a, b = (m.astype(np.float64) / 127.5 - 1 for m in (control_image, result))
    lengths = np.linalg.norm(a, axis=2) * np.linalg.norm(b, axis=2)
    cosine = (a * b).sum(axis=2) / np.maximum(lengths, 1e-9)
    return float(np.degrees(np.arccos(cosine.clip(-1, 1))).mean())


def mean_iou(control_image: Image, result: Image) -> float:
    """Return the intersection over union of colours, 0 to 1.

    The mean is over the colours that cover at least 1 % of the control image, or over the 100 commonest where none does.
    """
    code = np.array([65536, 256, 1])
    wanted, got = (m.astype(np.int32) @ code for m in (control_image, result))
    colours, counts = np.unique(wanted, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:100]
    large = order[counts[order] >= 0.01 * wanted.size]
    shares = []
    for colour in np.sort(colours[large if len(large) else order]):
        both, either = (wanted == colour) & (got == colour), (wanted == colour) | (got == colour)
        shares.append(both.sum() / either.sum())
    return float(np.mean(shares))


def pck(wanted: NDArray[Any], found: Sequence[NDArray[Any]], threshold: float = 0.1) -> float:
    """Return the share of a person's visible joints that the best match among `found` has, 0 to 1.

    People are (18, 3): x, y and visibility. A joint is found within `threshold` of the wanted figure's height.
    """
    visible = wanted[:, 2] > 0
    if not visible.any():
        return 1.0
    reach = threshold * max(float(np.ptp(wanted[visible, 1])), 1.0)
    best = 0.0
    for person in found:
        near = np.linalg.norm(person[:, :2] - wanted[:, :2], axis=1) <= reach
        best = max(best, float((near & (person[:, 2] > 0))[visible].mean()))
    return best


def people_pck(wanted: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> float:
    """Return the mean of `pck` over the wanted people; raise ValueError where there are none."""
    if not wanted:
        raise ValueError("PCK needs at least one person to look for.")
    return float(np.mean([pck(person, found) for person in wanted]))


MAP_MEASURES: Mapping[str, Callable[[Image, Image], float]] = MappingProxyType(
    {"edge_f1": edge_f1, "ms_ssim": ms_ssim, "rmse": rmse, "mean_angle": mean_angle, "mean_iou": mean_iou}
)
"""Measures of two maps of the same size: the control image, and the map of the result."""
PEOPLE_MEASURES: Mapping[str, Callable[[Sequence[NDArray[Any]], Sequence[NDArray[Any]]], float]] = MappingProxyType(
    {"pck": people_pck}
)
"""Measures of two lists of people, each person (18, 3): the wanted ones, and those found in the result."""
