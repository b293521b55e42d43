"""Where all layers of a draft push together, and whether they fought in the last picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnet_app.request.coverage import TOO_MUCH, coverage, coverage_picture, fighting
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.draft.drafts import read_draft
from cnet_app.ui.calls.draft.maps import missing_for_maps, quick_png
from cnet_app.ui.calls.draft.pictures import data_url
from cnet_app.ui.calls.models import describe_rows
from cnet_app.ui.labels import in_form_words
from models.errors import InputError

LEGEND = (
    "1 is one layer as trained. Red stripes: above {most:g}, too much. Violet stripes: below 0, away from the maps."
)


def coverage_of_draft(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Draw where all layers push together: {draft} → {image, most, least, legend}, or {missing: rows} to download first.

    `image` is a data URL of the frame's size; `most` and `least` are coverage, 1 for one layer as it was trained.
    """
    draft: Mapping[str, Any] = values.get("draft") or {}
    if missing := missing_for_maps(context, draft):
        return {"missing": describe_rows(missing)}
    request, _ = read_draft(context, draft)
    if not request.units:
        raise InputError("No layer is switched on, so nothing is covered; add a layer, or switch one on.")
    size = (request.width, request.height, request.num_inference_steps)
    pushes = coverage(request.units, *size, guess_mode=request.guess_mode)
    return {
        "image": data_url(quick_png(coverage_picture(pushes))),
        "most": round(float(pushes.max()), 2),
        "least": round(float(pushes.min()), 2),
        "legend": LEGEND.format(most=TOO_MUCH),
    }


def hint_of_norms(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Return a hint where layers fight: {norms: a list of numbers for each layer} → {hint}, which is null where they do not."""
    norms = values.get("norms") or []
    hint = fighting([[float(norm) for norm in row] for row in norms])
    return {"hint": in_form_words(hint) if hint else None}
