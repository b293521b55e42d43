"""Factors of a control unit over the steps, over depth and over the picture: numbers that need no network."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.sources.images import load_image, resize
from annotators.sources.roles import MASK, WEIGHTS

NEUTRAL, SPAN = 128, 127
"""Grey of weight 0 in a weight map, and greys from there to weight 1."""


def runs_at(step: int, steps: int, start: float, end: float) -> bool:
    """Return whether no time of the step is before `start` or after `end`, fractions of all steps; as in diffusers."""
    return step / steps >= start and (step + 1) / steps <= end


def active_steps(steps: int, start: float, end: float) -> tuple[int, ...]:
    """Return the steps of a range, counted from 0; of one that holds none, the step nearest to its middle.

    A range that begins where it ends is off: it has no steps.
    """
    if start >= end:
        return ()
    held = tuple(step for step in range(steps) if runs_at(step, steps, start, end))
    middle = (start + end) / 2
    return held or (min(range(steps), key=lambda step: abs((step + 0.5) / steps - middle)),)


def curve_at(curve: Sequence[tuple[float, float]], place: float) -> float:
    """Return the factor at a place: linear between the points, constant before the first and after the last; 1 without points."""
    places, factors = [place for place, _ in curve], [factor for _, factor in curve]
    return float(np.interp(place, places, factors)) if curve else 1.0


def place_weights(
    mask: bytes | None, mask_feather: float, weight_map: bytes | None, width: int, height: int
) -> NDArray[np.float32] | None:
    """Return the weight of a unit at every pixel, (height, width) in [-1, 1]; None where it is 1 everywhere.

    A mask gives 0 to 1, its border softened by `mask_feather` px, a weight map -1 to 1. Pictures of another shape are
    cropped around their centre. A smaller weight map is enlarged without new values: smoothing would overshoot its zeros.
    """
    if weight_map is not None:
        given = load_image(weight_map, role=WEIGHTS)
        enlarged = given.shape[0] * given.shape[1] <= width * height
        grey = _grey(resize(given, width, height, mode="crop", nearest=enlarged))
        return np.clip((grey.astype(np.float32) - np.float32(NEUTRAL)) / np.float32(SPAN), -1, 1)
    if mask is None:
        return None
    grey = _grey(resize(load_image(mask, role=MASK), width, height, mode="crop"))
    if mask_feather:
        grey = cv2.GaussianBlur(grey, (0, 0), mask_feather)
    return grey.astype(np.float32) / np.float32(255)


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
