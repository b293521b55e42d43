"""A picture made larger: image to image at its new size, held to the picture by a tile ControlNet, which adds the detail."""

from __future__ import annotations

import math
from typing import Any

from annotators.base import Image, Parameter
from annotators.images import resize
from cnet_app.maps.annotate import annotate, build_unit
from cnet_app.request.generation import MAX_PIXELS, REQUEST_LIMITS, GenerationRequest, encode_png
from models.errors import InputError

STRENGTH = 0.4
"""Enough to paint detail, too little to move a line."""
FACTOR = Parameter(default=2.0, minimum=1.0, maximum=4.0, step=0.25, help="How many times larger each side becomes.")


def upscale_request(picture: Image, factor: float, **values: Any) -> GenerationRequest:
    """What makes a picture, (H, W, 3) RGB, larger by this factor; `values` are further fields of the request."""
    factor = float(FACTOR.check("factor", factor))
    height, width = (round(side * factor) for side in picture.shape[:2])
    largest = REQUEST_LIMITS["width"].maximum or math.inf
    if width * height > MAX_PIXELS or max(width, height) > largest:
        most = min(largest / max(picture.shape[:2]), math.sqrt(MAX_PIXELS / (picture.shape[0] * picture.shape[1])))
        raise InputError(
            f"factor is {factor:g}, which makes {width}x{height} pixels of this picture, but it may be at most {math.floor(most * 100) / 100:g}."
        )
    unit = build_unit("tile", annotate("tile", "tile", picture, width=width, height=height))
    started = encode_png(resize(picture, width, height, mode="stretch"))
    fields: dict[str, Any] = {"strength": STRENGTH, "width": width, "height": height}
    return GenerationRequest(units=(unit,), initial_image=started, **fields | values)
