"""A picture made larger: image to image at its new size, held to the picture by a tile ControlNet, which adds the detail."""

from __future__ import annotations

from typing import Any

from annotators.base import create
from annotators.maps.control_map import make_map
from annotators.registry import annotator
from annotators.sources.images import resize
from cnet_app.maps.annotate import build_unit
from cnet_app.registry.conditions import start_scale
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.upscale import UpscaleRequest
from models.catalogue.resolve import base_defaults

CONDITION = ANNOTATOR = "tile"


def to_generation(task: UpscaleRequest) -> GenerationRequest:
    """Return the generation that makes the picture of an upscale, at the strength that the base's tile ControlNet starts with."""
    width, height = task.size
    larger = resize(task.pixels, width, height)
    scale = start_scale(CONDITION, None, task.base, base_defaults(task.base)[0])
    unit = build_unit(CONDITION, make_map(create(annotator(ANNOTATOR)), larger), conditioning_scale=scale)
    start = encode_png(resize(task.pixels, width, height, mode="stretch"))
    shared: dict[str, Any] = task.shared
    return GenerationRequest(
        units=(unit,), initial_image=start, strength=task.strength, width=width, height=height, **shared
    )
