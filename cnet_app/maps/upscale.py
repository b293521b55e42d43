"""A picture made larger: image to image at its new size, held to the picture by a tile ControlNet, which adds the detail."""

from __future__ import annotations

from typing import Any

from annotators.base import create
from annotators.control_map import make_map
from annotators.images import resize
from annotators.registry import annotator
from cnet_app.maps.annotate import build_unit
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.upscale import UpscaleRequest

CONDITION = ANNOTATOR = "tile"


def to_generation(task: UpscaleRequest) -> GenerationRequest:
    """Return the generation that makes the picture of an upscale."""
    width, height = task.size
    larger = resize(task.pixels, width, height)
    unit = build_unit(CONDITION, make_map(create(annotator(ANNOTATOR)), larger))
    start = encode_png(resize(task.pixels, width, height, mode="stretch"))
    shared: dict[str, Any] = task.shared
    return GenerationRequest(
        units=(unit,), initial_image=start, strength=task.strength, width=width, height=height, **shared
    )
