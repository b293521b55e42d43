"""Contact sheets of the embedded model: a row has a control image and the pictures of four seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage

from annotators.base import Image
from annotators.sources.images import resize
from cnet_app.embedded.evaluate.conditions import measured_rows
from cnet_app.embedded.evaluate.embedded import (
    FIRST_SEED,
    LoadedModel,
    control_maps,
    load_model,
    unit,
)
from cnet_app.embedded.world import control_images, create_scene
from cnet_app.embedded.world.posters import HELD_OUT_PHOTOS, PALETTES, load_photo
from cnet_app.fidelity.compare import shipped_annotator
from cnet_app.registry.modes import CUSTOM, MODES
from cnet_app.request.units import ControlUnit

SEEDS = range(4)
CELL = 160
"""Side of a picture on a sheet, px."""
GAP = 4


def write_sheets(directory: Path) -> list[Path]:
    """Write a JPEG per condition, one for pose with depth, one for real photos and one for the modes; return the paths."""
    model = load_model()
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, rows in sheets(model):
        path = directory / f"{name}.jpg"
        PillowImage.fromarray(sheet(rows)).save(path, quality=92)
        paths.append(path)
    return paths


def sheets(model: LoadedModel) -> Iterator[tuple[str, list[list[Image]]]]:
    """Yield names and rows of pictures. A scene has two rows: with its caption, and with an empty prompt."""
    for row in measured_rows():
        rows = []
        for seed in scenes_with(row.id):
            sample = create_scene(seed, model.size)
            control = control_maps(sample)[row.id]
            rows += [pictures(model, [unit(row.id, control)], [control], text) for text in (sample.caption, "")]
        yield row.id, rows
    yield "pose_and_depth", [pair(model, seed) for seed in scenes_with("openpose")]
    yield "photos", list(photo_rows(model))
    yield "modes", list(mode_rows(model))


def scenes_with(condition: str, count: int = 2) -> list[int]:
    """Return seeds of held-out scenes that have a map of the condition."""
    seeds = (seed for seed in range(FIRST_SEED, FIRST_SEED + 100) if condition in control_maps(create_scene(seed, 64)))
    return [next(seeds) for _ in range(count)]


def pictures(model: LoadedModel, units: Sequence[ControlUnit], first: Sequence[Image], prompt: str) -> list[Image]:
    """Return a row: the maps, then a picture of every seed."""
    return [*first, *(model.picture(seed, prompt, units) for seed in SEEDS)]


def pair(model: LoadedModel, seed: int) -> list[Image]:
    """Return a row of pictures under pose and depth of one scene."""
    sample = create_scene(seed, model.size)
    maps = control_images(sample)
    names = ("openpose", "depth")
    return pictures(model, [unit(n, maps[n]) for n in names], [maps[n] for n in names], sample.caption)


def photo_rows(model: LoadedModel) -> Iterator[list[Image]]:
    """Yield rows of held-out photos through the line conditions, as posters of four palettes."""
    for photo in HELD_OUT_PHOTOS:
        source = resize(load_photo(photo), model.size, model.size, "crop")
        for name in ("canny", "scribble", "softedge"):
            control = shipped_annotator(name)()(source)
            prompts = [f"a poster in {palette} colours of a photo" for palette in list(PALETTES)[: len(SEEDS)]]
            made = [model.picture(0, prompt, [unit(name, control)]) for prompt in prompts]
            yield [source, control, *made]


def mode_rows(model: LoadedModel) -> Iterator[list[Image]]:
    """Yield rows of one canny map under every mode without numbers, at a guidance scale that shows the difference."""
    guided = replace(model, base=replace(model.base, defaults=replace(model.base.defaults, guidance_scale=3.0)))
    sample = create_scene(scenes_with("canny")[0], model.size)
    control = control_images(sample)["canny"]
    for mode in (id for id in MODES if id != CUSTOM):
        yield pictures(guided, [replace(unit("canny", control), control_mode=mode)], [control], sample.caption)


def sheet(rows: Sequence[Sequence[Image]]) -> Image:
    """Return rows of pictures as one picture on white."""
    columns = max(len(row) for row in rows)
    page = np.full((len(rows) * (CELL + GAP) + GAP, columns * (CELL + GAP) + GAP, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            y, x = GAP + i * (CELL + GAP), GAP + j * (CELL + GAP)
            page[y : y + CELL, x : x + CELL] = cv2.resize(image, (CELL, CELL), interpolation=cv2.INTER_AREA)
    return page
