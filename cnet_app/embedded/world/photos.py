"""Photos that come with scikit-image, and their conversion to a few tones."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cnet_app.embedded.world.shapes import ToneMap

Image = NDArray[np.uint8]

TRAIN_PHOTOS = (
    "camera",
    "chelsea",
    "coins",
    "stereo_motorcycle",
    "page",
    "text",
    "horse",
    "hubble_deep_field",
    "immunohistochemistry",
    "retina",
    "brick",
    "gravel",
)
"""Training photos, by the name of their function in skimage.data."""
PHOTO_WEIGHTS = (5, 6, 4, 6, 2, 2, 1, 1, 1, 1, 1, 1)
"""Relative frequency of each: scenes with things have more than textures."""
HELD_OUT_PHOTOS = ("astronaut", "coffee", "rocket")
"""Photos that are in no training poster."""

RICH_LEVELS = 12
"""Most tones of a photo poster, twice the palette's: weak edges then stay weak, as in a photo."""


@lru_cache(maxsize=32)
def load_photo(name: str) -> Image:
    """Return a photo (h, w, 3) RGB uint8, read-only, its shorter side at most 640; raise ValueError for an unknown name."""
    import skimage.data

    if name not in TRAIN_PHOTOS + HELD_OUT_PHOTOS:
        raise ValueError(f"photo is {name!r}; photos are {', '.join(TRAIN_PHOTOS + HELD_OUT_PHOTOS)}.")
    found = getattr(skimage.data, name)()
    photo = np.asarray(found[0] if isinstance(found, tuple) else found)
    if photo.dtype == bool:
        photo = photo.astype(np.uint8) * 255
    if photo.ndim == 2:
        photo = np.repeat(photo[..., None], 3, 2)
    scale = 640 / min(photo.shape[:2])
    if scale < 1:
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    photo = np.asarray(photo, np.uint8)
    photo.flags.writeable = False
    return photo


def as_grey(photo: Image) -> Image:
    return photo if photo.ndim == 2 else np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), np.uint8)


def take_crop(rng: Generator, size: int, held_out: bool) -> Image:
    """Return a random part of a random photo, (size, size) grey: turned, flipped, brightened or darkened."""
    weights = np.array([1] * len(HELD_OUT_PHOTOS) if held_out else PHOTO_WEIGHTS, float)
    photo = load_photo(str(rng.choice(HELD_OUT_PHOTOS if held_out else TRAIN_PHOTOS, p=weights / weights.sum())))
    grey, crop = as_grey(photo), np.zeros((size, size), np.uint8)
    height, width = grey.shape
    for _ in range(4):  # skips parts without edges
        side = min(height, width) * rng.uniform(0.35, 1.0)
        angle = rng.choice([0.0, rng.uniform(-25, 25), rng.uniform(0, 360)], p=[0.45, 0.35, 0.2])
        centre = rng.uniform(0.5 * side, [width - 0.5 * side + 1, height - 0.5 * side + 1])
        warp = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), float(angle), size / side)
        warp[:, 2] += size / 2 - centre
        soft = cv2.GaussianBlur(grey, (0, 0), 0.5 * side / size) if side > 1.5 * size else grey
        crop = cv2.warpAffine(soft, warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        if (cv2.Canny(crop, 80, 160) > 0).mean() > 0.035:
            break
    if rng.random() < 0.5:
        crop = cv2.flip(crop, 1)
    gamma = float(np.exp(rng.uniform(-0.4, 0.4)))
    return (255 * np.linspace(0, 1, 256) ** gamma).astype(np.uint8)[np.asarray(crop, np.uint8)]


def cut_photo(grey: Image, rng: Generator, levels: int, busiest: float) -> tuple[ToneMap, Image]:
    """Return the tone map and the line mask (0 or 1) of a grey photo, both at twice its size.

    A photo is simplified step by step until its borders take less than `busiest` of the area. With more tones than a
    palette has, most borders are too low to be seen as edges; then only its lines are counted.
    """
    rich, size = levels > 6, grey.shape[0]
    even = cv2.createCLAHE(rng.uniform(0.5, 2.5), (4, 4)).apply(grey)
    regions, strength = not rich and rng.random() < 0.75, rng.uniform(0.5, 0.8 if rich else 1.0)
    smallest, contrast = (6.0 if rich else 14.0) * (size / 256) ** 2, 1.0
    tones, edges = np.zeros_like(grey), np.zeros_like(grey)
    for _ in range(6):
        smooth = cv2.bilateralFilter(even, 7, 30 * strength, 3 * strength)
        smooth = np.asarray(cv2.GaussianBlur(smooth, (0, 0), 0.9 * strength), np.uint8)
        tones = drop_specks(level_grey(region_means(smooth) if regions else smooth, levels), round(smallest))
        edges = cv2.Canny(smooth, 60 * contrast, 130 * contrast)
        lines = float((edges > 0).mean())
        if (lines < 1.3 * busiest) if rich else max(lines, border_share(tones)) < busiest:
            break
        strength, smallest, contrast = 1.2 * strength, 2 * smallest, 1.2 * contrast
    large = cv2.resize(tones, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    large = np.asarray(cv2.medianBlur(cv2.medianBlur(large, 5), 5), np.uint8)
    wide = cv2.resize(edges, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    return large, (cv2.GaussianBlur(wide, (0, 0), 1.2) > 70).astype(np.uint8)


def region_means(grey: Image) -> Image:
    """Return each basin of the gradient in its mean grey: borders lie on true edges, and shading makes none."""
    slope = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    _, seeds = cv2.connectedComponents((slope < 9).astype(np.uint8), connectivity=4)
    basins = cv2.watershed(cv2.cvtColor(slope, cv2.COLOR_GRAY2BGR), seeds)
    basins = np.maximum(basins, 0)
    count = np.bincount(basins.ravel())
    means = np.bincount(basins.ravel(), grey.ravel()) / np.maximum(count, 1)
    filled = means[basins].astype(np.uint8)
    lost = basins == 0  # the watershed's own lines, and seedless spots
    filled[lost] = cv2.dilate(np.where(lost, 0, filled).astype(np.uint8), np.ones((3, 3), np.uint8))[lost]
    return filled


def level_grey(grey: Image, levels: int) -> ToneMap:
    """Return tones by grey value: thresholds half way between equal steps and equal areas."""
    low, high = np.percentile(grey, [2, 98])
    steps = np.arange(1, levels) / levels
    bounds = 0.5 * (low + steps * (high - low)) + 0.5 * np.quantile(grey, steps)
    return np.searchsorted(bounds, np.arange(256)).astype(np.uint8)[grey]


def drop_specks(tones: ToneMap, smallest: int) -> ToneMap:
    """Give every connected region under `smallest` pixels to its nearest neighbour."""
    keep = np.zeros(tones.shape, bool)
    for tone in range(int(tones.max()) + 1):
        _, regions, stats, _ = cv2.connectedComponentsWithStats((tones == tone).astype(np.uint8), connectivity=4)
        large = stats[:, cv2.CC_STAT_AREA] >= smallest
        large[0] = False
        keep |= large[regions]
    if keep.all() or not keep.any():
        return tones
    _, owner = cv2.distanceTransformWithLabels((~keep).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    owner = np.asarray(owner, np.int32)
    table = np.zeros(int(owner.max()) + 1, np.uint8)
    table[owner[keep]] = tones[keep]
    return table[owner]


def border_share(tones: ToneMap) -> float:
    """Return the share of the pixels with another tone to the left or above."""
    return float((cv2.morphologyEx(tones, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0).mean())
