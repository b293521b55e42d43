"""Drawn sources of posters: each kind fills a square with a few tones, so that every kind of edge occurs.

A drawing is a tone map: (n, n) uint8, values 0 (darkest) to tones - 1 (lightest), hard-edged. Posters are drawn at
twice their size and shrunk, which makes their edges smooth.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

ToneMap = NDArray[np.uint8]
Points = NDArray[np.float64]

WORDS = "SUN art Open jazz NOW Cafe blue HELLO zoo Mix Tea 42 1969 go! Radio & ?".split()  # noqa: SIM905 - easier read
FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)


def other_tone(rng: Generator, tones: int, *taken: int) -> int:
    """Return a tone that is none of `taken`."""
    return int(rng.choice([tone for tone in range(tones) if tone not in taken]))


def blob(rng: Generator, centre: Points, radius: float, wobble: float = 0.3) -> Points:
    """Return (96, 2) points of a smooth closed curve around `centre`."""
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    waves = np.arange(2, 6)
    size = rng.normal(0, wobble, 4) / waves
    distance = 1 + (size[:, None] * np.cos(waves[:, None] * angle + rng.uniform(0, 2 * np.pi, (4, 1)))).sum(0)
    squash, turn = rng.uniform(0.6, 1.0), rng.uniform(0, np.pi)
    points = radius * distance[:, None] * np.stack([np.cos(angle), squash * np.sin(angle)], 1)
    return centre + points @ rotation(turn)


def polygon(rng: Generator, centre: Points, radius: float) -> Points:
    """Return a polygon of three to eight corners, regular or not, or a star."""
    corners = int(rng.integers(3, 9))
    angle = np.arange(corners) * 2 * np.pi / corners + rng.uniform(0, 2 * np.pi)
    if rng.random() < 0.5:
        angle = angle + rng.uniform(-0.6, 0.6, corners) * np.pi / corners
    return centre + radius * np.stack([np.cos(angle), np.sin(angle)], 1)


def star(rng: Generator, centre: Points, radius: float) -> Points:
    spikes = int(rng.integers(4, 10))
    angle = np.arange(2 * spikes) * np.pi / spikes + rng.uniform(0, 2 * np.pi)
    distance = np.where(np.arange(2 * spikes) % 2, rng.uniform(0.35, 0.65), 1.0)
    return centre + radius * distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)


def rotation(angle: float) -> Points:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, sine], [-sine, cosine]])


def fill(canvas: ToneMap, points: Points, tone: int) -> None:
    cv2.fillPoly(canvas, [np.round(points).astype(np.int32)], tone)


def noise(rng: Generator, n: int, cells: int, octaves: int = 4) -> NDArray[np.float32]:
    """Return (n, n) fractal noise with about `cells` lumps across, values in [0, 1]."""
    field = np.zeros((n, n), np.float32)
    for octave in range(octaves):
        grid = rng.random((cells * 2**octave + 2,) * 2, dtype=np.float32)
        field += cv2.resize(grid, (n, n), interpolation=cv2.INTER_CUBIC) * np.float32(0.5**octave)
    return np.asarray(cv2.normalize(field, np.empty_like(field), 0, 1, cv2.NORM_MINMAX), np.float32)


def level(field: NDArray[np.float32], tones: int) -> ToneMap:
    """Return tones of equal area."""
    bounds = np.quantile(field[::4, ::4], np.arange(1, tones) / tones)
    return np.searchsorted(bounds, field.ravel()).reshape(field.shape).astype(np.uint8)


def backdrop(rng: Generator, n: int, tones: int) -> ToneMap:
    """Return one tone, or two to four divided by straight or wavy lines."""
    canvas = np.full((n, n), rng.integers(tones), np.uint8)
    if rng.random() < 0.45:
        return canvas
    turn, across = rotation(rng.uniform(0, 2 * np.pi)), np.linspace(-1, 1, 40) * n
    for offset in np.sort(rng.uniform(-0.4, 0.4, rng.integers(1, 4))) * n:
        wave = rng.choice([0.0, 0.03, 0.06]) * n * np.sin(across / n * rng.uniform(4, 12))
        edge = np.stack([across, offset + wave], 1)
        fill(canvas, n / 2 + np.vstack([edge, [[n, 2 * n], [-n, 2 * n]]]) @ turn, int(rng.integers(tones)))
    return canvas


def scatter(rng: Generator, n: int, tones: int, outline: Callable[[Generator, Points, float], Points]) -> ToneMap:
    """Draw a backdrop and outlines from large to small, often with smaller ones of another tone inside."""
    canvas = backdrop(rng, n, tones)
    for radius in np.sort(rng.uniform(0.06, 0.34, rng.integers(4, 15)))[::-1] * n:
        points = outline(rng, rng.uniform(0, n, 2), radius)
        tone = other_tone(rng, tones, int(canvas[tuple(np.clip(points.mean(0)[::-1], 0, n - 1).astype(int))]))
        fill(canvas, points, tone)
        for shrink in (0.72, 0.42)[: rng.integers(0, 3)]:
            tone = other_tone(rng, tones, tone)
            fill(canvas, points.mean(0) + shrink * (points - points.mean(0)), tone)
    return canvas


def draw_blobs(rng: Generator, n: int, tones: int) -> ToneMap:
    return scatter(rng, n, tones, blob)


def draw_shapes(rng: Generator, n: int, tones: int) -> ToneMap:
    return scatter(rng, n, tones, polygon)


def draw_stars(rng: Generator, n: int, tones: int) -> ToneMap:
    return scatter(rng, n, tones, star)


def draw_lines(rng: Generator, n: int, tones: int) -> ToneMap:
    """Draw curved brush strokes of many widths."""
    canvas = backdrop(rng, n, tones)
    t = np.linspace(0, 1, 60)[:, None]
    for _ in range(rng.integers(7, 22)):
        knots = rng.uniform(-0.1, 1.1, (4, 2)) * n
        if rng.random() < 0.5:  # short, rather than across the whole picture
            knots = knots[0] + (knots - knots[0]) * 0.45
        curve = (
            (1 - t) ** 3 * knots[0] + 3 * t * (1 - t) ** 2 * knots[1] + 3 * t**2 * (1 - t) * knots[2] + t**3 * knots[3]
        )
        width = max(2, round(n * float(np.exp(rng.uniform(np.log(0.008), np.log(0.06))))))
        cv2.polylines(canvas, [np.round(curve).astype(np.int32)], False, int(rng.integers(tones)), width)
    return canvas


def write(canvas: ToneMap, rng: Generator, text: str, corner: Points, height: float, tone: int) -> float:
    """Write `text` with its lower left at `corner`, `height` pixels tall; return its width."""
    font = int(rng.choice(FONTS))
    scale = height / 22  # a capital of scale 1 is about 22 pixels tall
    thickness = max(2, round(height * rng.uniform(0.06, 0.2)))
    position = (round(float(corner[0])), round(float(corner[1])))
    cv2.putText(canvas, text, position, font, scale, tone, thickness)
    return float(cv2.getTextSize(text, font, scale, thickness)[0][0])


def draw_letters(rng: Generator, n: int, tones: int) -> ToneMap:
    """Draw single characters of many sizes, turned, on a backdrop."""
    canvas = backdrop(rng, n, tones)
    glyphs = string.ascii_letters + string.digits
    for _ in range(rng.integers(5, 16)):
        layer = np.zeros((n, n), np.uint8)
        height = n * rng.uniform(0.1, 0.45)
        centre = rng.uniform(0.05, 0.95, 2) * n
        write(layer, rng, glyphs[rng.integers(len(glyphs))], centre + np.array([-0.35, 0.5]) * height, height, 255)
        angle = rng.uniform(-40, 40) if rng.random() < 0.6 else 0
        turn = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), angle, 1)
        layer = cv2.warpAffine(layer, turn, (n, n), flags=cv2.INTER_NEAREST)
        below = int(canvas[tuple(centre[::-1].astype(int))])
        canvas[layer > 0] = other_tone(rng, tones, below)
    return canvas


def draw_words(rng: Generator, n: int, tones: int) -> ToneMap:
    """Draw rows of words on bands, as on a poster."""
    ground = int(rng.integers(tones))
    canvas = np.full((n, n), ground, np.uint8)
    y = 0.03 * n
    while y < 0.92 * n:
        height = n * rng.uniform(0.06, 0.2)
        below = ground
        if rng.random() < 0.4:
            below = other_tone(rng, tones, ground)
            cv2.rectangle(canvas, (0, round(y)), (n, round(y + 1.5 * height)), below, -1)
        x, tone = n * rng.uniform(-0.1, 0.12), other_tone(rng, tones, below)
        while x < n:
            x += (
                write(canvas, rng, str(rng.choice(WORDS)), np.array([x, y + 1.2 * height]), height, tone) + 0.5 * height
            )
        y += 1.6 * height
    return canvas


def grid(rng: Generator, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Return turned coordinates in tile units, and the tile's side in pixels."""
    side = n * float(np.exp(rng.uniform(np.log(0.07), np.log(0.25))))
    angle = 0.0 if rng.random() < 0.4 else float(rng.uniform(0, np.pi / 2))
    y, x = np.mgrid[:n, :n].astype(np.float32) / np.float32(side)
    if rng.random() < 0.3:  # bent tiles
        bend = np.float32(rng.uniform(0.1, 0.35))
        x, y = x + bend * np.sin(y * np.float32(0.9)), y + bend * np.sin(x * np.float32(0.7))
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    shift = rng.uniform(0, 1, 2).astype(np.float32)
    return cosine * x - sine * y + shift[0], sine * x + cosine * y + shift[1], side


def tile_tones(rng: Generator, column: NDArray[np.float32], row: NDArray[np.float32], tones: int) -> ToneMap:
    """Return a tone for each tile: a repeating pattern, or random ones."""
    period = 16 if rng.random() < 0.4 else int(rng.integers(1, 3))
    table = rng.integers(0, tones, (period, period)).astype(np.uint8)
    return table[row.astype(int) % period, column.astype(int) % period]


def draw_tiles(rng: Generator, n: int, tones: int) -> ToneMap:
    """Draw checks or bricks, with or without joints."""
    x, y, side = grid(rng, n)
    if rng.random() < 0.5:
        x = x / 2 + np.floor(y) % 2 / 2  # bricks
    column, row = np.floor(x), np.floor(y)
    if rng.random() < 0.5:
        checks, bright = (column + row) % 2, sorted(rng.choice(tones, 2, replace=False))
        canvas = np.where(checks > 0, bright[1], bright[0]).astype(np.uint8)
    else:
        canvas = tile_tones(rng, column, row, tones)
    if rng.random() < 0.6:
        joint = max(0.08, 3 / side)
        canvas[(x - column < joint) | (y - row < joint)] = rng.choice([0, tones - 1])
    return canvas


def draw_stripes(rng: Generator, n: int, tones: int) -> ToneMap:
    """Draw straight, wavy or round stripes of uneven width."""
    x, y, _ = grid(rng, n)
    if rng.random() < 0.35:
        x = np.hypot(x - x.mean() + rng.uniform(-2, 2), y - y.mean() + rng.uniform(-2, 2))
    elif rng.random() < 0.5:
        x = x + np.float32(rng.uniform(0.2, 0.6)) * np.sin(y * np.float32(rng.uniform(0.6, 1.6)))
    table = rng.permutation(tones)[: rng.integers(2, tones + 1)]
    table = np.repeat(table, rng.integers(1, 4, len(table))).astype(np.uint8)
    return table[np.floor(x * 2).astype(int) % len(table)]


def draw_dots(rng: Generator, n: int, tones: int) -> ToneMap:
    """Draw rows of dots, rings or diamonds, of equal or random size."""
    x, y, _ = grid(rng, n)
    x = x + np.floor(y) % 2 / 2 if rng.random() < 0.5 else x
    column, row = np.floor(x), np.floor(y)
    across, down = x - column - 0.5, y - row - 0.5
    distance = np.hypot(across, down) if rng.random() < 0.7 else np.abs(across) + np.abs(down)
    radius = (
        rng.uniform(0.22, 0.44, (16, 16))[row.astype(int) % 16, column.astype(int) % 16] if rng.random() < 0.5 else 0.38
    )
    ground = int(rng.integers(tones))
    dots = tile_tones(rng, column, row, tones)
    dots[dots == ground] = other_tone(rng, tones, ground)
    canvas = np.where(distance < radius, dots, np.uint8(ground))
    if rng.random() < 0.35:
        canvas[distance < 0.5 * radius] = other_tone(rng, tones, ground)
    return canvas.astype(np.uint8)


def draw_cells(rng: Generator, n: int, tones: int) -> ToneMap:
    """Draw hexagons or irregular cells: every pixel belongs to the nearest of a set of points."""
    step = n * rng.uniform(0.09, 0.22)
    rows, columns = np.mgrid[-1 : n / step + 2, -1 : n / step + 2]
    points = np.stack([(columns + rows % 2 / 2) * step, rows * step * np.sqrt(0.75)], -1).reshape(-1, 2)
    points = points + rng.normal(0, 1, points.shape) * step * rng.choice([0.0, 0.25])
    inside = np.round(points[((points >= 0) & (points < n - 0.5)).all(1)]).astype(int)
    canvas = rng.integers(0, tones, len(inside) + 1).astype(np.uint8)[nearest(inside, n)]
    if rng.random() < 0.4:
        width = max(3, round(n * 0.012))
        canvas[cv2.morphologyEx(canvas, cv2.MORPH_GRADIENT, np.ones((width, width), np.uint8)) > 0] = rng.choice(
            [0, tones - 1]
        )
    return canvas


def nearest(points: NDArray[np.int_], n: int) -> NDArray[np.int32]:
    """Return (n, n) numbers of the nearest point, from 1."""
    free = np.full((n, n), 255, np.uint8)
    free[points[:, 1], points[:, 0]] = 0
    _, number = cv2.distanceTransformWithLabels(free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    return np.asarray(number, np.int32)


def draw_hills(rng: Generator, n: int, tones: int) -> ToneMap:
    """Draw layered ridges under a sky with a sun."""
    light_far = rng.random() < 0.7
    sky = tones - 1 if light_far else int(rng.integers(tones))
    canvas = np.full((n, n), sky, np.uint8)
    sun = (round(n * rng.uniform(0.15, 0.85)), round(n * rng.uniform(0.1, 0.35)))
    cv2.circle(canvas, sun, round(n * rng.uniform(0.05, 0.14)), other_tone(rng, tones, sky), -1)
    x, ridges = np.linspace(0, 1, 120), int(rng.integers(3, 7))
    for ridge in range(ridges):
        height = 0.3 + 0.6 * (ridge + rng.uniform(0, 0.6)) / ridges
        waves = np.zeros_like(x)
        for f in (1, 2, 3, 5, 9, 17):
            waves += rng.normal(0, 0.12) / f * np.sin(2 * np.pi * (f * x + rng.random()))
        tone = max(0, tones - 2 - ridge * (tones - 1) // ridges) if light_far else int(rng.integers(tones))
        fill(canvas, np.vstack([np.stack([x, height + waves], 1), [[1, 1.1], [0, 1.1]]]) * n, tone)
        for _ in range(rng.integers(0, 9)):  # trees or houses on the ridge
            at, tall = int(rng.integers(120)), rng.uniform(0.03, 0.1)
            foot = np.array([x[at], height + waves[at] + 0.015]) * n
            wide = rng.uniform(0.015, 0.03)
            roof = (
                [[-wide, 0], [0, -tall], [wide, 0]]
                if ridge % 2
                else [[-wide, 0], [-wide, -tall], [wide, -tall], [wide, 0]]
            )
            fill(canvas, foot + np.array(roof) * n, tone)
    return canvas


def draw_clouds(rng: Generator, n: int, tones: int) -> ToneMap:
    """Draw fractal noise cut into levels, like a map or marble."""
    field = noise(rng, n, int(rng.integers(2, 6)), int(rng.integers(2, 5)))
    if rng.random() < 0.4:
        field = np.abs(field - np.float32(0.5))
    return level(field, min(tones, int(rng.integers(2, 6))))


def draw_face(rng: Generator, n: int, tones: int) -> ToneMap:
    """Draw one to three faces: ovals for head, hair, eyes, brows, nose, mouth, ears, shoulders."""
    canvas = backdrop(rng, n, tones)
    count = int(rng.choice([1, 1, 2, 3]))
    for index in range(count):
        h = n * rng.uniform(0.24, 0.36) / (1 + 0.35 * (count - 1))
        middle = np.array([(index + 0.5) / count * n, n * rng.uniform(0.42, 0.55)]) + rng.normal(0, 0.02 * n, 2)
        tilt = float(rng.uniform(-14, 14))
        skin = other_tone(rng, tones, int(canvas[int(middle[1]), int(np.clip(middle[0], 0, n - 1))]))
        hair, dark = other_tone(rng, tones, skin), other_tone(rng, tones, skin)
        white = other_tone(rng, tones, skin, dark)
        draw_head(canvas, rng, middle, h, tilt, (skin, hair, dark, white))
    return canvas


def draw_head(
    canvas: ToneMap, rng: Generator, middle: Points, h: float, tilt: float, tone: tuple[int, int, int, int]
) -> None:
    """Draw a head; `h` is half of its height in pixels, `tone` has skin, hair, features and white of the eye."""
    skin, hair, dark, white = tone
    turn = rotation(np.radians(tilt))

    def oval(
        x: float, y: float, rx: float, ry: float, colour: int, start: int = 0, end: int = 360, width: int = -1
    ) -> None:
        cx, cy = middle + np.array([x, y]) * h @ turn
        axes = (max(1, round(rx * h)), max(1, round(ry * h)))
        cv2.ellipse(canvas, (round(float(cx)), round(float(cy))), axes, tilt, start, end, colour, width)

    line = max(3, round(0.06 * h))
    oval(0, 2.1, 1.35, 1.0, hair if rng.random() < 0.5 else dark)
    oval(0, 1.1, 0.32, 0.5, skin)
    oval(0, -0.18, 0.9, 1.02 + rng.uniform(0, 0.15), hair)
    oval(-0.76, 0.05, 0.14, 0.24, skin)
    oval(0.76, 0.05, 0.14, 0.24, skin)
    oval(0, 0.05, 0.74, 0.98, skin)
    oval(0, -0.55, 0.7, 0.4, hair, 180, 360)
    gaze, eye = rng.uniform(-0.06, 0.06), rng.uniform(0.08, 0.14)
    for side in (-0.32, 0.32):
        oval(side, -0.1, 0.2, eye, white)
        oval(side + gaze, -0.1, 0.09, min(0.1, eye), dark)
        oval(side, -0.3, 0.22, 0.12, dark, 190, 350, line)
    oval(0, 0.2, 0.1, 0.16, dark, 20, 160, line)
    if rng.random() < 0.5:
        oval(0, 0.48, 0.28, rng.uniform(0.08, 0.18), dark, 0, 180)
    else:
        oval(0, 0.52, 0.26, rng.uniform(0.05, 0.12), dark)


def draw_clutter(rng: Generator, n: int, tones: int) -> ToneMap:
    """Draw many small things of every kind."""
    canvas = backdrop(rng, n, tones)
    for _ in range(rng.integers(25, 70)):
        centre, radius, tone = rng.uniform(0, n, 2), n * rng.uniform(0.02, 0.075), int(rng.integers(tones))
        kind = int(rng.integers(5))
        if kind < 3:
            fill(canvas, (blob, polygon, star)[kind](rng, centre, radius), tone)
        elif kind == 3:
            write(canvas, rng, str(rng.choice(list(string.ascii_letters))), centre, 1.6 * radius, tone)
        else:
            end = centre + rng.normal(0, 2.5 * radius, 2)
            width = max(3, round(0.3 * radius))
            cv2.line(canvas, np.round(centre).astype(int).tolist(), np.round(end).astype(int).tolist(), tone, width)
    return canvas


DRAWINGS: Mapping[str, Callable[[Generator, int, int], ToneMap]] = MappingProxyType(
    {
        "blobs": draw_blobs,
        "shapes": draw_shapes,
        "stars": draw_stars,
        "lines": draw_lines,
        "letters": draw_letters,
        "words": draw_words,
        "tiles": draw_tiles,
        "stripes": draw_stripes,
        "dots": draw_dots,
        "cells": draw_cells,
        "hills": draw_hills,
        "clouds": draw_clouds,
        "faces": draw_face,
        "clutter": draw_clutter,
    }
)
"""Content of a drawing in its caption → the function that draws it."""
