"""Examples: the picture and the words of a condition's row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnet_app.registry.conditions import condition
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.draft.maps import quick_png
from cnet_app.ui.calls.draft.pictures import data_url
from cnet_app.ui.examples import example_image, example_mask, is_drawing


def example(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Return the example of a condition, {condition} → {image, prompt, drawing, mask}; a drawing is white on black."""
    row = condition(str(values.get("condition")))
    picture = 255 - example_image(row) if is_drawing(row) else example_image(row)
    mask = example_mask(row)
    return {
        "image": data_url(quick_png(picture)),
        "prompt": row.example_prompt,
        "drawing": is_drawing(row),
        "mask": data_url(quick_png(mask)) if mask is not None else None,
    }
