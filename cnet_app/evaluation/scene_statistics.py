"""Statistics of natural scenes: the 36 features of BRISQUE. Loads no torch.

Mittal, Moorthy and Bovik, No-Reference Image Quality Assessment in the Spatial Domain (IEEE TIP 2012), with the constants of
their published software.
"""

from __future__ import annotations

from functools import cache
from math import gamma

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma as gamma_of

from annotators.base import Image

Values = NDArray[np.float64]
FEATURES = 36
SCALES = 2
"""The picture, and the picture at half its size."""
WINDOW, DEVIATION = 7, 7 / 6
"""Of the Gaussian window around a pixel, px."""
SHIFTS = ((0, 1), (1, 0), (1, 1), (-1, 1))
"""Rows and columns to a pixel's neighbour: horizontal, vertical, and both diagonals."""
SHAPES = np.arange(200, 10_001) / 1000
"""Shapes of a distribution among which the best is searched."""
HALVING = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256
"""Keys' cubic kernel (a = -0.5), stretched to half the size, at the eight pixels around a new one."""


def scene_statistics(picture: Image) -> Values | None:
    """Return the 36 features of a picture, (H, W, 3) in RGB; None where it has too little structure to have any."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64)
    found: list[float] = []
    for _ in range(SCALES):
        found += _of_scale(normalised(grey))
        grey = halved(grey)
    values = np.array(found)
    return values if np.isfinite(values).all() else None


def normalised(grey: Values) -> Values:
    """Return the contrast of each pixel, less the mean around it and divided by the deviation around it plus 1 (MSCN)."""
    line = cv2.getGaussianKernel(WINDOW, DEVIATION, cv2.CV_64F)
    mean, squares = (
        cv2.sepFilter2D(values, cv2.CV_64F, line, line, borderType=cv2.BORDER_CONSTANT)
        for values in (grey, grey * grey)
    )
    return np.asarray((grey - mean) / (np.sqrt(np.abs(squares - mean * mean)) + 1), np.float64)


def halved(grey: Values) -> Values:
    """Return a grey picture at half its size, rounded up, by cubic interpolation over all pixels that a new one covers."""
    sums = cv2.sepFilter2D(grey, cv2.CV_64F, HALVING, HALVING, anchor=(3, 3), borderType=cv2.BORDER_REFLECT)
    return np.asarray(sums[::2, ::2], np.float64)


def _of_scale(contrast: Values) -> list[float]:
    """Return 18 features: of the contrasts, and of their products with each neighbour."""
    found = list(symmetric_fit(contrast))
    for shift in SHIFTS:
        found += asymmetric_fit(contrast * np.roll(contrast, shift, axis=(0, 1)))
    return found


def symmetric_fit(values: Values) -> tuple[float, float]:
    """Return shape and variance of the generalised normal distribution around 0 that has the moments of values."""
    square, size = float(np.mean(values**2)), float(np.mean(np.abs(values)))
    if not size:
        return np.nan, np.nan
    return float(SHAPES[np.abs(1 / _ratios() - square / size**2).argmin()]), square


def asymmetric_fit(values: Values) -> tuple[float, float, float, float]:
    """Return shape, mean, and variances at the left and the right of 0, of the asymmetric generalised normal distribution."""
    below, above = values[values < 0], values[values > 0]
    if not (below.size and above.size):
        return np.nan, np.nan, np.nan, np.nan
    left, right = float(np.sqrt(np.mean(below**2))), float(np.sqrt(np.mean(above**2)))
    skew, ratio = left / right, float(np.mean(np.abs(values)) ** 2 / np.mean(values**2))
    wanted = ratio * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = float(SHAPES[np.abs(_ratios() - wanted).argmin()])
    mean = (right - left) * gamma(2 / shape) / np.sqrt(gamma(1 / shape) * gamma(3 / shape))
    return shape, float(mean), left**2, right**2


@cache
def _ratios() -> Values:
    """Return, for each shape, the squared mean size over the mean square of its distribution."""
    return np.asarray(gamma_of(2 / SHAPES) ** 2 / (gamma_of(1 / SHAPES) * gamma_of(3 / SHAPES)), np.float64)
