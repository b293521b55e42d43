"""The conditions of the embedded model's report. Loads no model."""

from __future__ import annotations

from cnet_app.registry.conditions import CONDITIONS, Condition

FAMILY = "embedded"


def measured_rows() -> list[Condition]:
    """Return the embedded model's conditions that have a measure, without inpainting, whose map has a hole."""
    return [row for row in CONDITIONS if FAMILY in row.controlnets and row.measure and not row.masked]
