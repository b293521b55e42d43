"""The maps of the page's layers."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from PIL import Image as Pillow

from annotators.base import Image
from annotators.maps.recognise import Repair
from annotators.people.poses import Pose
from annotators.sources.roles import PHOTO, Role
from cnet_app.maps.availability import default_annotator, missing_weights
from cnet_app.maps.own import file_repairs, source_role
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.draft.frame import Frame, read_frame
from cnet_app.ui.calls.draft.pictures import data_url, noted_picture, picture
from cnet_app.ui.calls.draft.poses import drawing_parameters
from cnet_app.ui.calls.draft.repaired import MadeMap, MapOrder, make_map
from cnet_app.ui.calls.models import describe_rows
from models.catalogue.row import Weights
from models.errors import InputError

OWN = ("map", "drawing", "classes")
"""Sources that are a map already."""


def map_of_layer(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Make the map of a layer: {layer, photo, frame} → {image, width, height, data, warnings, repairs, annotator}.

    Where files are missing the answer is {missing: rows} instead. `image` is a data URL.
    """
    layer, frame = values.get("layer") or {}, read_frame(values.get("frame"))
    chosen = annotator_of(context, layer)
    if chosen and (missing := missing_weights(chosen)):
        return {"missing": describe_rows(missing), "annotator": chosen}
    made = make_layer_map(context, layer, values.get("photo"), frame)
    return describe_map(made, chosen)


def describe_map(made: MadeMap, annotator: str | None) -> Object:
    """Return a map as the page shows it."""
    one = made.made
    height, width = one.pixels.shape[:2]
    return {
        "image": data_url(quick_png(one.pixels)),
        "width": width,
        "height": height,
        "annotator": annotator,
        "data": one.data.to_json() if one.data else None,
        "warnings": list(one.warnings),
        "repairs": [{"id": row.id, "title": row.title, "done": row.id in made.done} for row in made.offered],
    }


def annotator_of(context: Context, layer: Mapping[str, Any]) -> str | None:
    """Return the id of the annotator that makes a layer's map; None where the layer brings its map."""
    if layer.get("source") in (*OWN, "pose"):
        return None
    return layer.get("annotator") or default_annotator(str(layer.get("condition")), context.maps.faults)


def missing_for_maps(context: Context, draft: Mapping[str, Any]) -> list[Weights]:
    """Return the rows that the maps of a draft's active layers need and that are not on this disk."""
    layers = [layer for layer in draft.get("layers") or () if layer.get("enabled", True)]
    return [row for layer in layers if (id := annotator_of(context, layer)) for row in missing_weights(id)]


def make_layer_map(
    context: Context,
    layer: Mapping[str, Any],
    photo: Mapping[str, Any] | None,
    frame: Frame,
    cut: Callable[[Image | Pose], Image | Pose] = lambda source: source,
) -> MadeMap:
    """Return the map of a layer at the frame's size; `cut` gives the part of its source that is shown.

    The parameters of a preprocessor stay in a layer that is drawn since, and count again when it goes back to a photo.
    Raises InputError and WeightsError.
    """
    source = cut(source_of(context, layer, photo))
    given = {} if layer.get("source") in OWN else layer.get("parameters") or {}
    parameters = cast("Mapping[str, object]", given)
    order = MapOrder(
        condition=str(layer.get("condition")),
        annotator=annotator_of(context, layer),
        source=source,
        frame=frame,
        parameters=drawing_parameters(parameters) if isinstance(source, Pose) else parameters,
        suggested=_suggested(context, layer),
        repairs=cast("Sequence[str]", layer.get("repairs") or ()),
    )
    made = make_map(context.maps, order)
    return replace(made, made=replace(made.made, warnings=(*_file_notes(context, layer), *made.made.warnings)))


def source_of(context: Context, layer: Mapping[str, Any], photo: Mapping[str, Any] | None) -> Image | Pose:
    """Return what the map of a layer is made from: a picture, or people as data. Raises InputError where there is none."""
    source = layer.get("source") or "photo"
    if source == "pose":
        return Pose.from_json(layer.get("pose"))
    held = photo if source == "photo" else layer.get(source if source in ("drawing", "classes") else "picture")
    if not isinstance(held, Mapping) or not held.get("sha256"):
        raise InputError(MISSING.get(str(source), MISSING["photo"]))
    return picture(context, held["sha256"], _role(layer))


def _role(layer: Mapping[str, Any]) -> Role:
    """Return the role of a layer's picture: a map where its source is one."""
    return source_role(str(layer.get("condition")), None) if layer.get("source") in OWN else PHOTO


def _file_notes(context: Context, layer: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the notes on the file of a layer that brings its map."""
    held = _map_file(layer)
    return noted_picture(context, held["sha256"], _role(layer))[1] if held else ()


def _suggested(context: Context, layer: Mapping[str, Any]) -> tuple[Repair, ...]:
    """Return the repairs that the file of a layer that brings its map suggests."""
    held = _map_file(layer)
    return file_repairs(str(layer.get("condition")), context.assets.get(str(held["sha256"]))) if held else ()


def _map_file(layer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the picture that a layer brings as its map; None for a layer with another source."""
    held = layer.get("picture") if layer.get("source") == "map" else None
    return cast("Mapping[str, Any]", held) if isinstance(held, Mapping) else None


MISSING: Mapping[str, str] = {
    "photo": "There is no photo yet; drop, paste, choose or take one.",
    "own": "This layer has no photo of its own yet; choose one.",
    "map": "This layer has no map yet; choose a picture that is a map.",
    "drawing": "Nothing is drawn yet; draw on the stage, or choose a photo.",
    "classes": "No class is painted yet; paint on the stage, or choose a photo.",
}


def quick_png(pixels: Image) -> bytes:
    """Return (H, W, 3) RGB as a PNG that is written quickly."""
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
