"""How well a picture obeys its control image: annotate it again and compare the maps, one measure a condition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(H, W, 3) RGB."""
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the five scales, from Wang, Simoncelli and Bovik 2003."""


@dataclass(frozen=True)
class Measure:
    """A score between a control image and the map of a result."""

    name: str
    higher_is_better: bool
    score: Callable[[Image, Image], float]


def edge_f1(control_image: Image, result: Image, tolerance: int = 2) -> float:
    """F1 of white lines; a line pixel is right where the other map has one within `tolerance` px. 1 if both are empty."""
    wanted, got = control_image.max(axis=2) > 127, result.max(axis=2) > 127
    if not wanted.any() or not got.any():
        return float(wanted.any() == got.any())
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * tolerance + 1,) * 2)
    near_wanted, near_got = (cv2.dilate(m.astype(np.uint8), disc) > 0 for m in (wanted, got))
    precision, recall = near_wanted[got].mean(), near_got[wanted].mean()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def ms_ssim(control_image: Image, result: Image) -> float:
    """Multi-scale structural similarity of the grey maps, 0 to 1; sides at least 176 px for all five scales."""
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
    """Root mean square error over all channels, 0 to 1 (full range is 1)."""
    difference = control_image.astype(np.float64) - result
    return float(np.sqrt(np.square(difference / 255).mean()))


def mean_angle(control_image: Image, result: Image) -> float:
    """Mean angle between normals, in degrees, 0 to 180."""
    a, b = (m.astype(np.float64) / 127.5 - 1 for m in (control_image, result))
    lengths = np.linalg.norm(a, axis=2) * np.linalg.norm(b, axis=2)
    cosine = (a * b).sum(axis=2) / np.maximum(lengths, 1e-9)
    return float(np.degrees(np.arccos(cosine.clip(-1, 1))).mean())


def mean_iou(control_image: Image, result: Image) -> float:
    """Intersection over union of colours, mean over the colours that cover at least 1 % of the control image."""
    code = np.array([65536, 256, 1])
    wanted, got = (m.astype(np.int32) @ code for m in (control_image, result))
    colours, counts = np.unique(wanted, return_counts=True)
    shares = []
    for colour in colours[counts >= 0.01 * wanted.size]:
        both, either = (wanted == colour) & (got == colour), (wanted == colour) | (got == colour)
        shares.append(both.sum() / either.sum())
    return float(np.mean(shares))


def pck(wanted: NDArray[Any], found: Sequence[NDArray[Any]], threshold: float = 0.1) -> float:
    """Share of a person's visible joints found within `threshold` of the figure's height; (18, 3) each, best match of `found`."""
    visible = wanted[:, 2] > 0
    if not visible.any():
        return 1.0
    reach = threshold * max(float(np.ptp(wanted[visible, 1])), 1.0)
    best = 0.0
    for person in found:
        near = np.linalg.norm(person[:, :2] - wanted[:, :2], axis=1) <= reach
        best = max(best, float((near & (person[:, 2] > 0))[visible].mean()))
    return best


MEASURES: dict[str, Measure] = {
    "edge_f1": Measure("edge F1 (2 px)", True, edge_f1),
    "ms_ssim": Measure("MS-SSIM", True, ms_ssim),
    "rmse": Measure("RMSE", False, rmse),
    "mean_angle": Measure("mean angle (degrees)", False, mean_angle),
    "mean_iou": Measure("mIoU", True, mean_iou),
}
