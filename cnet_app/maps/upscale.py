"""A picture made larger: image to image at its new size, held to the picture by a tile ControlNet, which adds the detail."""

from __future__ import annotations

from typing import Any

from annotators.base import Image
from annotators.images import resize
from cnet_app.maps.annotate import annotate, build_unit
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.upscale import UPSCALE_LIMITS, larger_size

FACTOR = UPSCALE_LIMITS["factor"]
STRENGTH = float(UPSCALE_LIMITS["strength"].default)


def upscale_request(picture: Image, factor: float, **values: Any) -> GenerationRequest:
    """What makes a picture, (H, W, 3) RGB, larger by this factor; `values` are further fields of the request."""
    height, width = picture.shape[:2]
    width, height = larger_size(width, height, factor)
    unit = build_unit("tile", annotate("tile", "tile", picture, width=width, height=height))
    started = encode_png(resize(picture, width, height, mode="stretch"))
    fields: dict[str, Any] = {"strength": STRENGTH, "width": width, "height": height}
    return GenerationRequest(units=(unit,), initial_image=started, **fields | values)
