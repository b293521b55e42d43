"""Skies and floors, painted behind and below the things of a scene."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cnet_app.embedded.world.stage import Stage, Surface

Colours = NDArray[np.float32]
"""(..., 3) RGB in [0, 1]."""
Mask = NDArray[np.floating[Any]]
"""(rows, columns) in [0, 1]."""

_GRADIENTS: dict[str, list[tuple[float, float, float]]] = {
    "studio": [(0.80, 0.80, 0.81), (0.86, 0.86, 0.87), (0.90, 0.90, 0.91)],
    "sunset": [(1.0, 0.80, 0.42), (0.99, 0.58, 0.34), (0.90, 0.40, 0.46), (0.60, 0.30, 0.55)],
    "night": [(0.15, 0.19, 0.40), (0.07, 0.09, 0.26), (0.04, 0.05, 0.17)],
    "day": [(0.78, 0.90, 0.99), (0.47, 0.71, 0.96), (0.29, 0.56, 0.91)],
}
"""Sky colours, from the horizon up."""
HAZE: dict[str, tuple[float, float, float]] = {name: stops[0] for name, stops in _GRADIENTS.items()}
FLOOR_LIGHT: dict[str, tuple[float, float, float]] = {
    "studio": (1.0, 1.0, 1.0), "sunset": (1.0, 0.86, 0.76), "night": (0.50, 0.54, 0.70), "day": (0.98, 1.0, 1.0),
}  # fmt: skip
"""Factors on the floor's colour under each sky."""


def paint_sky(rng: np.random.Generator, stage: Stage, rows: NDArray[np.float64], side: int, *, flat: bool) -> Colours:
    """Return the sky (R, side, 3) in the upper `rows`, in a grid of `side` columns."""
    horizon = max(stage.horizon(), 0.05)
    height = np.clip((horizon - rows) / horizon, 0, 1)
    stops = np.array(_GRADIENTS[stage.sky])
    if flat:
        steps = len(stops) if stage.sky == "sunset" else 1
        height = (np.minimum(np.floor(height * steps), steps - 1) + 0.5) / steps
    levels = height * (len(stops) - 1)
    column = np.stack([np.interp(levels, np.arange(len(stops)), stops[:, channel]) for channel in range(3)], axis=1)
    sky = np.repeat(column[:, None].astype(np.float32), side, axis=1)
    columns = np.linspace(0, 1, side)
    if stage.sky == "day":
        _blend(sky, (1.0, 1.0, 1.0), (_flat_clouds if flat else _clouds)(rng, side, horizon)[: len(rows)])
    elif stage.sky == "sunset":
        away = _distance(columns, rows, rng.uniform(0.15, 0.85), horizon * rng.uniform(0.85, 1.0))
        if not flat:
            _blend(sky, (1.0, 0.9, 0.6), 0.7 * np.exp(-np.square(away / np.float32(0.22))))
        _blend(sky, (1.0, 0.95, 0.72), _disc(away, 0.085, side))
    elif stage.sky == "night":
        _blend(sky, (1.0, 1.0, 0.92), _stars(rng, side, horizon)[: len(rows)])
        x, y = rng.uniform(0.1, 0.9), horizon * rng.uniform(0.2, 0.5)
        moon = _disc(_distance(columns, rows, x, y), 0.05, side)
        shade = _disc(_distance(columns, rows, x + 0.024, y - 0.012), 0.045, side)
        _blend(sky, (0.97, 0.95, 0.82), moon * (1 - shade))
    return sky


def paint_floor(stage: Stage, surface: Surface) -> Colours:
    """Return the floor's colour (R, N, 3) in the surface's floor rows, also where things hide it."""
    one, other = _floor_levels(stage, surface)
    # The second tone is only a little darker: the floor's pattern must not add edges among those of the things.
    light, dark = np.array((0.86, 0.85, 0.83), np.float32), np.array((0.79, 0.785, 0.775), np.float32)
    if stage.floor == "plain":
        mix = np.zeros_like(one)
    elif stage.floor == "planks":
        light, dark = np.array((0.80, 0.64, 0.46), np.float32), np.array((0.745, 0.585, 0.405), np.float32)
        level = other * np.float32(1 / 0.6)
        plank = np.floor(level)
        shades = np.random.default_rng(0).random(256).astype(np.float32) * np.float32(0.7)
        mix = shades[plank.astype(np.int32) & 255]
        mix[np.abs(level - plank - 0.5) > 0.47] = 1.2
    else:
        tiles = np.floor(one * np.float32(1 / 0.9)).astype(np.int32) + np.floor(other * np.float32(1 / 0.9)).astype(
            np.int32
        )
        mix = (tiles & 1).astype(np.float32)
    fade = np.exp(-np.square(surface.ground_depth[surface.floor_rows] / 13))[:, None]  # far tiles would alias
    mix -= 0.4
    mix *= fade
    mix += 0.4
    tint = np.array(FLOOR_LIGHT[stage.sky], np.float32)
    floor = np.empty((*mix.shape, 3), np.float32)
    for channel, (low, step) in enumerate(zip(light * tint, (dark - light) * tint, strict=True)):
        np.multiply(mix, step, out=floor[..., channel])
        floor[..., channel] += low
    return floor


def floor_grid(stage: Stage, surface: Surface) -> Mask:
    """Return the lines of a square grid on the floor rows, (R, N) in [0, 1], fading with distance."""
    depth = surface.ground_depth[surface.floor_rows][:, None]
    pixel = depth / np.float32(stage.camera.focal * len(surface.places))
    grid = np.zeros((len(depth), len(surface.places)), np.float32)
    for level in _floor_levels(stage, surface):
        away = np.abs(level - np.round(level * np.float32(1 / 1.2)) * np.float32(1.2))
        grid = np.maximum(grid, np.clip(2.5 - away / (pixel * np.float32(1.5)), 0, 1))
    return grid * np.exp(-np.square(depth / 11))


def _floor_levels(stage: Stage, surface: Surface) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return both coordinates of the turned floor pattern, (R, N) each, in world units."""
    camera, rows = stage.camera, surface.floor_rows
    reach = surface.ground_depth[rows].astype(np.float64)
    x = camera.position[0] + np.outer(reach, (surface.places - camera.centre[0]) / camera.focal)
    z = (camera.position[2] + reach * camera.row_directions(surface.places[rows])[:, 1])[:, None]
    cosine, sine = np.cos(stage.floor_turn), np.sin(stage.floor_turn)
    return (cosine * x + sine * z).astype(np.float32), (cosine * z - sine * x).astype(np.float32)


def _blend(base: Colours, colour: tuple[float, float, float], amount: Mask) -> None:
    """Cover `base` with a colour, in place."""
    touched = np.flatnonzero(amount.max(axis=1) > 0)
    if len(touched):
        rows = slice(int(touched[0]), int(touched[-1]) + 1)
        for channel, value in enumerate(colour):
            base[rows, :, channel] += (np.float32(value) - base[rows, :, channel]) * amount[rows]


def _distance(columns: NDArray[np.float64], rows: NDArray[np.float64], x: float, y: float) -> NDArray[np.float32]:
    return np.sqrt(
        np.square((columns - x).astype(np.float32))[None] + np.square((rows - y).astype(np.float32))[:, None]
    )


def _disc(away: NDArray[np.float32], radius: float, side: int) -> Mask:
    return np.clip((radius - away) * side / 2 + 0.5, 0, 1)


def _clouds(rng: np.random.Generator, side: int, horizon: float) -> Mask:
    noise = np.zeros((side, side), np.float32)
    for rows, weight in ((6, 1.0), (12, 0.5), (24, 0.2)):
        coarse = rng.random((rows, rows // 2 + 1)).astype(np.float32)
        noise += weight * cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    cover = np.clip((noise / 1.7 - 0.5) / 0.22, 0, 1)
    rows_below = np.linspace(0, 1, side, dtype=np.float32)[:, None]
    return 0.9 * cover * cover * (3 - 2 * cover) * np.clip((horizon - rows_below) / 0.08, 0, 1)


def _flat_clouds(rng: np.random.Generator, side: int, horizon: float) -> Mask:
    mask = np.zeros((side, side), np.uint8)
    for _ in range(int(rng.integers(2, 5))):
        x, y, scale = rng.uniform(0, 1), rng.uniform(0.1, 0.75) * horizon, rng.uniform(0.025, 0.05)
        for shift, radius in ((-1.5, 0.7), (-0.5, 1.1), (0.7, 0.9), (1.6, 0.6)):
            centre = (round((x + shift * scale) * side), round((y - radius * scale / 2) * side))
            cv2.circle(mask, centre, round(radius * scale * side), 1, -1)
    return mask.astype(np.float32)


def _stars(rng: np.random.Generator, side: int, horizon: float) -> Mask:
    stars = np.zeros((side, side), np.float32)
    for _ in range(int(rng.integers(8, 16))):
        centre = (round(rng.uniform(0, side)), round(rng.uniform(0, horizon * 0.95) * side))
        cv2.circle(stars, centre, max(1, round(rng.uniform(1.0, 1.7) * side / 256)), 1.0, -1, cv2.LINE_AA)
    return stars
