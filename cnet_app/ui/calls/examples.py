"""Examples: the picture and the words of a condition's row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnet_app.registry.conditions import condition
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.maps import quick_png
from cnet_app.ui.calls.pictures import data_url
from cnet_app.ui.examples import example_image


def example(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Return the example of a condition, {condition} → {image, prompt, drawing}; a drawing is a map already."""
    row = condition(str(values.get("condition")))
    drawing = row.example.startswith("drawing:")
    return {"image": data_url(quick_png(example_image(row))), "prompt": row.example_prompt, "drawing": drawing}
