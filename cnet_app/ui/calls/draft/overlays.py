"""Where a picture follows a layer's map and where not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotators.sources.images import load_image
from cnet_app.fidelity.overlay import overlay
from cnet_app.maps.again import annotate_again
from cnet_app.request.inpaint import described_part
from cnet_app.request.recipe import read_request
from cnet_app.ui.calls.access import seen_picture
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.draft.maps import quick_png
from models.errors import InputError


def overlay_of(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Draw the agreement of a picture with a unit: {id, index} → {path, legend: [{name, colour}]}.

    Raises InputError for a picture without a recipe or without this unit, and where there is nothing to compare.
    """
    path = seen_picture(context, visitor, values).path
    request, index = read_request(path), values.get("index", 0)
    if not isinstance(index, int) or not 0 <= index < len(request.units):
        raise InputError(f"The picture has {len(request.units)} layers, and none at place {index}; choose another one.")
    picture, inpaint_mask = described_part(request, load_image(path))
    drawn = overlay(request.units[index], picture, annotate_again(context.maps), inpaint_mask)
    legend = [{"name": name, "colour": list(map(int, colour))} for name, colour in drawn.legend]
    return {"path": context.serve_file(quick_png(drawn.image), "agreement.png"), "legend": legend}
