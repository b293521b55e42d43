"""Pictures in the folder that have no row: made by the command line, or older than the history that is there now."""

from __future__ import annotations

import os
import time
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path

from cnet_app.request.generation import GenerationRequest
from cnet_app.request.recipe import read_recipe
from models.errors import InputError

SETTLED = 60.0
"""Seconds after which a file without a row gets none from the job that made it any more."""


def find_pictures(folder: Path, known: Container[str]) -> Iterator[dict[str, object]]:
    """Yield the columns of every picture with a recipe whose name is not known, the oldest first."""
    found: list[tuple[float, str]] = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".png") and not entry.name.startswith(".") and entry.name not in known:
                with suppress(OSError):
                    found.append((entry.stat().st_mtime, entry.name))
    for created, name in sorted(found):
        if abs(time.time() - created) < SETTLED:  # later than now: the clock was set back since
            continue
        with suppress(InputError):  # another program's, which stays out
            request = read_recipe(folder / name).request
            yield request_columns(request) | {"path": name, "job": "", "image_index": 0, "created": created}


def request_columns(request: GenerationRequest) -> dict[str, object]:
    """Return what `pictures` has of the request for one picture."""
    names = ("kind", "prompt", "negative_prompt", "base", "width", "height", "seed")
    conditions = ", ".join(unit.condition for unit in request.units)
    return {"conditions": conditions, **{name: getattr(request, name) for name in names}}
