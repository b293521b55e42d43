"""The pictures of the examples: photos that scikit-image brings, procedural scenes, and drawings. No file of our own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import cv2
import numpy as np

from annotators.base import Image
from cnet_app.registry.conditions import Condition

FIRST_VIEW = ("lineart", "scribble", "normal")
"""Conditions whose examples an empty page shows."""
SCENE_SIZE = 256
SHEET_SIZE = 512
LINE = 7
Points = list[tuple[int, int]]
DRAWINGS: Mapping[str, list[Points]] = {
    "boat": [
        [(90, 330), (430, 330), (360, 415), (150, 415), (90, 330)],
        [(250, 330), (250, 80)],
        [(262, 90), (262, 300), (400, 300), (262, 90)],
        [(238, 120), (238, 300), (130, 300), (238, 120)],
        [(420 + round(40 * np.cos(turn)), 90 + round(40 * np.sin(turn))) for turn in np.linspace(0, 2 * np.pi, 40)],
        [(x, 445 + round(10 * np.sin(x / 22))) for x in range(20, 500, 4)],
    ]
}
"""Strokes on a sheet of SHEET_SIZE px."""


def example_image(row: Condition) -> Image:
    """Return the picture of a condition's example, (H, W, 3) RGB; a drawing is dark on white paper."""
    return _load(row.example)


def example_mask(row: Condition) -> Image | None:
    """Return what a condition's example repaints, (H, W, 3), white on black; None where it repaints nothing."""
    if not row.example_area:
        return None
    height, width = example_image(row).shape[:2]
    across, down, wide, high = row.example_area
    middle, radii = (round(across * width), round(down * height)), (round(wide * width), round(high * height))
    mask = np.zeros((height, width, 3), np.uint8)
    return np.asarray(cv2.ellipse(mask, middle, radii, 0, 0, 360, (255, 255, 255), -1), np.uint8)


def is_drawing(row: Condition) -> bool:
    """Return whether a condition's example is a drawing."""
    return row.example.startswith("drawing:")


@lru_cache(maxsize=16)
def _load(source: str) -> Image:
    kind, _, name = source.partition(":")
    if kind == "world":
        from cnet_app.embedded.world import create_scene

        return create_scene(int(name), SCENE_SIZE).image
    if kind == "drawing":
        sheet = np.full((SHEET_SIZE, SHEET_SIZE, 3), 255, np.uint8)
        strokes = [np.array(stroke, np.int32) for stroke in DRAWINGS[name]]
        drawn = cv2.polylines(sheet, strokes, isClosed=False, color=(0, 0, 0), thickness=LINE, lineType=cv2.LINE_AA)
        return np.asarray(drawn, np.uint8)
    from skimage import data

    photo = getattr(data, source)()
    return photo[0] if isinstance(photo, tuple) else photo  # the left one of a stereo pair
