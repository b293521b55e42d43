"""Contact sheets of the embedded model: a control image and what four seeds make of it, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from annotators.images import resize
from cnet_app.embedded.evaluate.embedded import (
    FIRST_SEED,
    Studio,
    control_maps,
    judge_of,
    load_studio,
    measured_rows,
    unit,
)
from cnet_app.embedded.world import control_images, create_scene
from cnet_app.embedded.world.posters import HELD_OUT_PHOTOS, PALETTES, load_photo
from cnet_app.registry.modes import CUSTOM, MODES
from cnet_app.request.generation import ControlUnit

Image = NDArray[np.uint8]
SEEDS = range(4)
CELL = 160
"""Side of a picture on a sheet, px."""
GAP = 4


def write_sheets(directory: Path) -> list[Path]:
    """One JPEG a condition, one for pairs, one for real photos and one for the modes of control."""
    studio = load_studio()
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, rows in sheets(studio):
        path = directory / f"{name}.jpg"
        PillowImage.fromarray(sheet(rows)).save(path, quality=92)
        paths.append(path)
    return paths


def sheets(studio: Studio) -> Iterator[tuple[str, list[list[Image]]]]:
    """Names and rows of pictures. Scenes have two rows: with their caption, and with an empty prompt."""
    for row in measured_rows():
        rows = []
        for seed in scenes_with(row.id):
            sample = create_scene(seed, studio.size)
            control = control_maps(sample)[row.id]
            rows += [pictures(studio, [unit(row.id, control)], [control], text) for text in (sample.caption, "")]
        yield row.id, rows
    yield "pose_and_depth", [pair(studio, seed) for seed in scenes_with("openpose")]
    yield "photos", list(photo_rows(studio))
    yield "modes", list(mode_rows(studio))


def scenes_with(condition: str, count: int = 2) -> list[int]:
    """Seeds of held-out scenes that have a map of the condition."""
    seeds = (seed for seed in range(FIRST_SEED, FIRST_SEED + 100) if condition in control_maps(create_scene(seed, 64)))
    return [next(seeds) for _ in range(count)]


def pictures(studio: Studio, units: Sequence[ControlUnit], first: Sequence[Image], prompt: str) -> list[Image]:
    """A row: maps first, then every seed."""
    return [*first, *(studio.picture(seed, prompt, units) for seed in SEEDS)]


def pair(studio: Studio, seed: int) -> list[Image]:
    """Pose and depth of one scene together."""
    sample = create_scene(seed, studio.size)
    maps = control_images(sample)
    names = ("openpose", "depth")
    return pictures(studio, [unit(n, maps[n]) for n in names], [maps[n] for n in names], sample.caption)


def photo_rows(studio: Studio) -> Iterator[list[Image]]:
    """Held-out real photos through the line conditions, as posters of four palettes."""
    for photo in HELD_OUT_PHOTOS:
        source = resize(load_photo(photo), studio.size, studio.size, "crop")
        for name in ("canny", "scribble", "softedge"):
            control = judge_of(name)()(source)
            prompts = [f"a poster in {palette} colours of a photo" for palette in list(PALETTES)[: len(SEEDS)]]
            made = [studio.picture(0, prompt, [unit(name, control)]) for prompt in prompts]
            yield [source, control, *made]


def mode_rows(studio: Studio) -> Iterator[list[Image]]:
    """One scene's canny map under every mode that needs no numbers, at a guidance that tells them apart."""
    guided = replace(studio, base=replace(studio.base, defaults=replace(studio.base.defaults, guidance_scale=3.0)))
    sample = create_scene(scenes_with("canny")[0], studio.size)
    control = control_images(sample)["canny"]
    for mode in (id for id in MODES if id != CUSTOM):
        yield pictures(guided, [replace(unit("canny", control), control_mode=mode)], [control], sample.caption)


def sheet(rows: Sequence[Sequence[Image]]) -> Image:
    """Rows of pictures as one picture on white."""
    columns = max(len(row) for row in rows)
    page = np.full((len(rows) * (CELL + GAP) + GAP, columns * (CELL + GAP) + GAP, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            y, x = GAP + i * (CELL + GAP), GAP + j * (CELL + GAP)
            page[y : y + CELL, x : x + CELL] = cv2.resize(image, (CELL, CELL), interpolation=cv2.INTER_AREA)
    return page
