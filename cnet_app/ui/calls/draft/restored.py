"""From a request to the parts of a draft that make it again. Pictures are files that the page fetches and keeps.

A picture is {file, width, height, name}: the page replaces it by one of its own keys.
"""

from __future__ import annotations

import dataclasses
from dataclasses import asdict
from typing import Any

import numpy as np

from cnet_app.registry.conditions import condition
from cnet_app.request.generation import MASK_AREA, GenerationRequest
from cnet_app.request.pictures import picture_size
from cnet_app.request.plain import plain_json
from cnet_app.request.units import ControlUnit, IpAdapter
from cnet_app.ui.bases import defaults_of
from cnet_app.ui.calls.context import Context, Object
from cnet_app.ui.calls.draft.drafts import SETTINGS, UNIT_PICTURES
from cnet_app.ui.calls.draft.frame import Frame
from cnet_app.ui.calls.draft.maps import make_layer_map
from cnet_app.ui.calls.library.recipe_words import origin_words

ORIGIN = ("condition", "control_image", "control_data", "annotator", "annotator_parameters", "source_sha256")
"""Fields of a unit about its map; all others are fields of a layer too."""
STICKS = ("sticks", "stick_width")
"""Parameters by which people are drawn, wherever they come from."""


def draft_of(context: Context, request: GenerationRequest) -> Object:
    """Return prompt, size, seed, settings, layers and start of a draft whose request is this one, bit for bit."""
    return {
        "prompt": request.prompt,
        "count": request.num_images,
        "size": {"mode": "custom", "width": request.width, "height": request.height, "fit": "crop"},
        "seed": {"locked": True, "value": request.seed},
        "settings": settings_of(context, request),
        "layers": [_layer(context, unit, request) for unit in request.units],
        "start": _start(context, request),
    }


def settings_of(context: Context, request: GenerationRequest) -> Object:
    """Return the settings of a request that are not what a draft without settings has."""
    fields = {field.name: field.default for field in dataclasses.fields(GenerationRequest)}
    usual = fields | asdict(defaults_of(request.base))
    found = {name: getattr(request, name) for name in SETTINGS if getattr(request, name) != usual[name]}
    if request.base != context.base()[0]:
        found["base"] = request.base
    if request.loras:
        found["loras"] = [asdict(lora) for lora in request.loras]
    if request.ip_adapter:
        found["ip_adapter"] = _ip_adapter(context, request.ip_adapter)
    return found


def _ip_adapter(context: Context, given: IpAdapter) -> Object:
    return {"name": given.name, "scale": given.scale, "picture": _file(context, given.image, "reference.png")}


def _start(context: Context, request: GenerationRequest) -> Object | None:
    if not request.initial_image:
        return None
    mask = _file(context, request.inpaint_mask, "mask.png") if request.inpaint_mask else None
    return {
        "picture": _file(context, request.initial_image, "start.png"),
        "mask": mask,
        "strength": request.strength,
        "area": request.inpaint_area,
        "padding": request.inpaint_padding,
    }


def _layer(context: Context, unit: ControlUnit, request: GenerationRequest) -> Object:
    own = [field.name for field in dataclasses.fields(ControlUnit) if field.name not in ORIGIN]
    values = {name: _value(context, name, getattr(unit, name)) for name in own}
    note = f"From a picture's recipe: {origin_words(unit)}."
    part = request.inpaint_area == MASK_AREA
    return {"condition": unit.condition, "note": note, "part": part, **values, **_source(context, unit, request)}


def _value(context: Context, name: str, value: Any) -> object:
    if name in UNIT_PICTURES:
        return _file(context, value, f"{name}.png") if value else None
    return plain_json(value) if isinstance(value, tuple) else "" if value is None else value


def _source(context: Context, unit: ControlUnit, request: GenerationRequest) -> Object:
    """Return what the layer's map comes from: people or classes where they draw this map exactly, else the map itself."""
    row, kept = condition(unit.condition), _file(context, unit.control_image, f"{unit.condition}.png")
    if unit.pose:
        layer: Object = {"source": "pose", "pose": plain_json(unit.control_data)}
        layer["parameters"] = {
            name: unit.annotator_parameters[name] for name in STICKS if name in unit.annotator_parameters
        }
        if _draws(context, {"condition": unit.condition} | layer, unit, request):
            return layer
    if unit.segments:
        return {"source": "classes", "classes": kept}
    if row.canvas and unit.annotator is None:
        return {"source": "drawing", "drawing": kept}
    return {"source": "map", "picture": kept}


def _draws(context: Context, layer: Object, unit: ControlUnit, request: GenerationRequest) -> bool:
    made = make_layer_map(context, layer, None, Frame(request.width, request.height)).made
    return np.array_equal(made.pixels, unit.pixels)


def _file(context: Context, data: bytes, name: str) -> Object:
    width, height = picture_size(data)
    return {"file": context.serve_file(data, name), "width": width, "height": height, "name": name}
