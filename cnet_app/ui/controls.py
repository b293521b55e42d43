"""Declared parameter → component. Bounds, defaults and help are the declaration's own; only the words on the label are here."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from annotators.base import Image, Parameter
from annotators.images import load_noted
from models.errors import InputError

Source = Literal["upload", "webcam", "clipboard"]
LABELS: Mapping[str, str] = {
    "conditioning_scale": "Control strength",
    "control_guidance_start": "Control begins",
    "control_guidance_end": "Control ends",
    "num_inference_steps": "Steps",
    "guidance_scale": "Guidance",
    "num_images": "Pictures",
    "residual_interval": "Run ControlNets every so many steps",
}
"""Where the label is not just the name with spaces."""


def parameter_input(name: str, parameter: Parameter, **options: Any) -> Any:
    """Checkbox, dropdown, slider or number: whatever the declaration asks for."""
    label = LABELS.get(name) or name.replace("_", " ").capitalize()
    common: dict[str, Any] = {"label": label, "info": parameter.help, "value": parameter.default} | options
    if isinstance(parameter.default, bool):
        return gr.Checkbox(**common)
    if isinstance(parameter.default, str):
        return gr.Dropdown(list(parameter.choices), **common)
    if parameter.unit:
        common["label"] = f"{label} ({parameter.unit})"
    if parameter.minimum is None or parameter.maximum is None or name == "seed":
        whole: dict[str, Any] = {"precision": 0} if isinstance(parameter.default, int) else {}
        return gr.Number(**common, **whole, minimum=parameter.minimum, maximum=parameter.maximum)
    step = parameter.step or (
        1 if isinstance(parameter.default, int) else (parameter.maximum - parameter.minimum) / 100
    )
    return gr.Slider(parameter.minimum, parameter.maximum, step=step, buttons=[], **common)


def photo_input(label: str, sources: Sequence[Source] = ("upload", "clipboard", "webcam"), **options: Any) -> gr.Image:
    """A picture of the user's, handed on as the path of the very file: our own loader says what is wrong with it."""
    component = gr.Image(
        label=label, type="filepath", format="png", image_mode=None, sources=list(sources), buttons=[], **options
    )  # fmt: skip
    setattr(component, "preprocess", lambda payload: payload and payload.path)  # noqa: B010 - Gradio's own would decode it
    return component


def read_photo(path: str | None, missing: str = "There is no photo yet; choose, paste or take one.") -> Image:
    """(H, W, 3) RGB; InputError for everything that is no good picture."""
    if not path:
        raise InputError(missing)
    return _load(path)


@lru_cache(maxsize=2)
def _load(path: str) -> Image:
    # Uploads have the hash of their content in the path: the same path is the same picture.
    image, notes = load_noted(Path(path))
    for note in notes:
        gr.Info(html.escape(note))  # it names the file
    return image
