"""A declared parameter becomes a component: bounds, defaults and help are the declaration's own."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr

from annotators.base import Image, Parameter
from annotators.images import load_noted
from cnet_app.ui.gradio_seams import HIDDEN, Component, Upload, file_image
from cnet_app.ui.labels import label_of
from models.errors import InputError

NO_PHOTO = "There is no photo yet; choose, paste or take one."


def parameter_input(name: str, parameter: Parameter, **options: Any) -> Component:
    """Build a checkbox, dropdown, slider or number, by the type and bounds of the declaration."""
    label = label_of(name)
    common: dict[str, Any] = {"label": label, "info": parameter.help, "value": parameter.default} | options
    if isinstance(parameter.default, bool):
        return gr.Checkbox(**common)
    if isinstance(parameter.default, str):
        return gr.Dropdown(list(parameter.choices), **common)
    if parameter.unit and "label" not in options:
        common["label"] = f"{label} ({parameter.unit})"
    if parameter.minimum is None or parameter.maximum is None or name == "seed":
        whole: dict[str, Any] = {"precision": 0} if isinstance(parameter.default, int) else {}
        return gr.Number(**common, **whole, minimum=parameter.minimum, maximum=parameter.maximum)
    step = parameter.step or (
        1 if isinstance(parameter.default, int) else (parameter.maximum - parameter.minimum) / 100
    )
    return gr.Slider(parameter.minimum, parameter.maximum, step=step, buttons=[], **common)


def keep_ordered(low: Component, high: Component) -> None:
    """Push the other slider along where one is dragged past it; in the browser, so that it follows the hand."""
    low.input(None, [low, high], high, js="(low, high) => Math.max(low, high)", **HIDDEN)
    high.input(None, [high, low], low, js="(high, low) => Math.min(high, low)", **HIDDEN)


def photo_input(label: str, sources: Sequence[Upload] = ("upload", "clipboard", "webcam"), **options: Any) -> gr.Image:
    """Build an input for a picture of the user's; its value is read with `read_photo`."""
    return file_image(label, sources, **options)


def read_photo(path: str | None, missing: str = NO_PHOTO) -> Image:
    """Return the picture, (H, W, 3) RGB. Raises InputError for no file, and for one that is no good picture."""
    if not path:
        raise InputError(missing)
    return _load(path)


@lru_cache(maxsize=4)
def _load(path: str) -> Image:
    # Uploads have the hash of their content in the path: the same path is the same picture.
    image, notes = load_noted(Path(path))
    for note in notes:
        gr.Info(html.escape(note))  # it names the file
    return image
