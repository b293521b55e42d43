"""The maps that docs/conditions.md shows: what every annotator that runs here makes of each condition's example."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image as Pillow

from annotators.base import Image
from annotators.runtime import Runtime
from annotators.sources.images import resize
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.maps.availability import can_run
from cnet_app.registry.conditions import CONDITIONS, Condition
from cnet_app.ui.examples import example_image

SIDE = 256
PHOTO = "photo"
TELLING = {"tile": {"down_sampling_rate": 6.0}}
"""Parameters where the default's map looks like its photo."""


def picture_name(row: Condition, of: str) -> str:
    """File of a condition's photo, or of an annotator's map of it."""
    return f"{row.id}-{of}.webp"


def write_map_pictures(folder: Path, rows: Iterable[Condition] = CONDITIONS) -> list[Path]:
    """Write the photo and the maps of these conditions, except maps of annotators whose files are not on this disk."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for name, image in _pictures(rows):
        Pillow.fromarray(image).save(folder / name, "WEBP", quality=82, method=6)
        paths.append(folder / name)
    return paths


def _pictures(rows: Iterable[Condition]) -> Iterator[tuple[str, Image]]:
    maps = Maps(run_here(Runtime()))
    for row in rows:
        photo = resize(example_image(row), SIDE, SIDE)
        yield picture_name(row, PHOTO), photo
        for id in row.annotators:
            if can_run(id):
                yield picture_name(row, id), maps.annotate(row.id, id, photo, TELLING.get(id), SIDE, SIDE).pixels
