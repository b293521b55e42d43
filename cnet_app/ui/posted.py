"""What a page sends, looked at before anything is read: only files that were uploaded here, only numbers within their bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import BlockFunction
from gradio.utils import get_upload_folder, is_in_or_equal
from pydantic import ValidationError

from cnet_app.ui.errors import toast


class CheckedBlocks(gr.Blocks):
    """Tells in a sentence what a field cannot be; Gradio's own check lets files pass that do not say that they are files."""

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        super().validate_inputs(block_fn, inputs)
        for component, value in zip(block_fn.inputs, inputs, strict=False):
            fault = fault_of(component, value)
            if fault:
                raise toast(fault)


def fault_of(component: Any, value: Any) -> str:
    """Why this component cannot have this value, in a sentence; nothing where it can."""
    label = getattr(component, "label", None) or component.elem_id or "A field"
    if isinstance(component, gr.Slider | gr.Number) and not (value is None and isinstance(component, gr.Number)):
        return _number_fault(label, value, component.minimum, component.maximum)
    if not all(map(_is_uploaded, _paths(value))) or not _fits(component, value):
        return f"{label} takes what was uploaded here, and this was not or is no longer there; choose it again."
    return ""


def _number_fault(label: str, value: Any, low: float | None, high: float | None) -> str:
    bounds = " to ".join(f"{bound:g}" for bound in (low, high) if bound is not None)
    wanted = f"{label} wants a number{f' from {bounds}' if bounds else ''}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return f"{wanted}; what came is none."
    if (low is not None and value < low) or (high is not None and value > high):
        return f"{wanted}, not {value:g}."
    return ""


def _paths(value: Any) -> Iterator[Any]:
    """Of all files in a value, however deep."""
    if isinstance(value, dict):
        if "path" in value:
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _paths(part)


def _is_uploaded(path: Any) -> bool:
    try:
        return isinstance(path, str) and Path(path).is_file() and is_in_or_equal(path, get_upload_folder())
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def _fits(component: Any, value: Any) -> bool:
    model = getattr(component, "data_model", None)
    if model is None or value is None:
        return True
    try:
        model.model_validate(value)
    except ValidationError:
        return False
    return True
