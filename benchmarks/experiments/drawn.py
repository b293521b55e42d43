"""Data of the experiments: procedural scenes with a map each, and fill50k's task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np

from annotators.base import Image
from cnet_app.cli.terminal.output import write_png
from cnet_app.embedded.world import control_images, create_sample

FIRST_SEED = 50_000
"""Scenes from here on are not among those that the embedded model was trained on."""
COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": (205, 45, 40), "green": (60, 150, 70), "blue": (50, 90, 190), "yellow": (235, 200, 60),
        "white": (240, 240, 235), "black": (25, 25, 30),
    }
)  # fmt: skip
CIRCLES = "circles"
Drawn = tuple[Image, Image, str]
"""Picture, map and caption."""


def write_drawn(folder: Path, id: str, pairs: int, side: int) -> None:
    """Write pairs of a condition, or of `circles`, in the form of two folders; does nothing where they are there."""
    done = folder / "done"
    if done.exists():
        return
    for name in ("images", "conditioning_images"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    source = circles(side) if id == CIRCLES else scenes(id, side)
    for number, (image, control, caption) in zip(range(pairs), source, strict=False):
        write_png(folder / "images" / f"{number:05d}.png", image)
        write_png(folder / "conditioning_images" / f"{number:05d}.png", control)
        (folder / "images" / f"{number:05d}.txt").write_text(caption, encoding="utf-8")
    done.touch()


def scenes(id: str, side: int) -> Iterator[Drawn]:
    """Yield scenes without end, those with a depth map; the same for every condition that has a map of each."""
    for seed in count(FIRST_SEED):
        sample = create_sample(seed, side)
        maps = control_images(sample)
        if id in maps and "depth" in maps:
            yield sample.image, maps[id], sample.caption


def circles(side: int) -> Iterator[Drawn]:
    """Yield filled circles on plain ground without end; a map is the outline, one pixel wide, white on black."""
    rng = np.random.default_rng(0)
    names = list(COLOURS)
    while True:
        own, ground = rng.choice(names, 2, replace=False)
        radius = int(rng.integers(side // 10, side // 3))
        centre = [int(value) for value in rng.integers(radius, side - radius, 2)]
        image = np.full((side, side, 3), COLOURS[ground], np.uint8)
        cv2.circle(image, centre, radius, COLOURS[own], -1, cv2.LINE_AA)
        control = np.zeros_like(image)
        cv2.circle(control, centre, radius, (255, 255, 255), 1)
        yield image, control, f"a {own} circle on {ground} ground"
