"""The scribble canvas: black strokes on white for the hand, white strokes on black for the ControlNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
import numpy as np
from gradio.components.image_editor import EditorData
from numpy.typing import NDArray
from PIL import Image as Pillow

from annotators.base import Image
from models.errors import InputError

SIDE = 512
MAX_SIDE = 4096

WHEN_OPENED = """() => {
    const take = (tries) => {
        const brush = document.querySelector("[id='NAME'] .toolbar-wrap button");
        if (brush) brush.click();
        else if (tries > 0) setTimeout(() => take(tries - 1), 100);
    };
    take(100);
    if (window['drawing-NAME']) return;
    window['drawing-NAME'] = true;
    let inside = false;
    document.addEventListener("pointerdown", (event) => { inside = !!event.target.closest("[id='NAME']"); }, true);
    document.addEventListener("click", (event) => {
        if (event.target.closest("[id='NAME'] [aria-label='Clear canvas']")) setTimeout(() => take(10), 300);
    }, true);
    document.addEventListener("pointerup", () => {
        if (inside) setTimeout(() => document.querySelector("[id='NAME-drawn']").click(), 150);
        inside = false;
    }, true);
}"""
"""The editor starts without a tool, also after it was cleared, and strokes before one is chosen are lost: take the brush,
its first tool.

Its own events carry the picture from before the first stroke, so that the pointer tells when a stroke ends.
"""


def build_canvas(name: str) -> tuple[gr.ImageEditor, gr.Button]:
    """A white sheet, whose value is read with `read_drawing`, and the unseen button that is pressed after each stroke."""
    canvas = gr.ImageEditor(
        label="Drawing",
        image_mode="RGBA",
        sources=(),
        transforms=(),
        layers=False,
        brush=gr.Brush(default_size=10, colors=["#000000"], color_mode="fixed"),
        eraser=gr.Eraser(default_size=24),
        canvas_size=(SIDE, SIDE),
        fixed_canvas=True,
        format="png",
        buttons=[],
        height=480,
        elem_id=name,
    )
    setattr(canvas, "preprocess", _layer_paths)  # noqa: B010 - Gradio's own would decode whatever comes
    setattr(canvas, "accept_blobs", refuse_blobs)  # noqa: B010 - a second way in, that keeps in memory what nobody asks for
    return canvas, gr.Button(visible="hidden", elem_id=f"{name}-drawn")


def read_drawing(layers: Sequence[str] | None) -> Image:
    """(H, W, 3): white where a stroke is. InputError where nothing is drawn."""
    strokes = [stroke for path in layers or () if (stroke := opacity(path)).any()]
    if not strokes:
        raise InputError("Nothing is drawn yet; draw on the canvas, then press Generate.")
    return np.repeat(np.maximum.reduce(strokes)[..., None], 3, axis=2)


def is_drawn(layers: Sequence[str] | None) -> bool:
    """Whether there is a stroke, or something that is none and has to be told."""
    try:
        return any(opacity(path).any() for path in layers or ())
    except InputError:
        return True


def when_opened(name: str) -> str:
    """JavaScript for the moment when the canvas's tab is opened."""
    return WHEN_OPENED.replace("NAME", name)


def opacity(path: str) -> NDArray[np.uint8]:
    """(H, W) of one layer; the sheet below the strokes does not count."""
    try:
        with Pillow.open(path, formats=("PNG",)) as layer:
            if max(layer.size) > MAX_SIDE:
                raise InputError(
                    f"The drawing is {layer.width}x{layer.height}, but its sides have at most {MAX_SIDE} px."
                )
            return np.asarray(layer.convert("RGBA").getchannel("A"))
    except (OSError, SyntaxError, Pillow.DecompressionBombError) as error:
        raise InputError("The drawing did not arrive whole; make one more stroke, then try again.") from error


def _layer_paths(payload: EditorData | None) -> list[str]:
    return [layer.path for layer in payload.layers] if payload else []


def refuse_blobs(*_: Any) -> None:
    raise gr.Error("Drawings arrive with the form alone.", print_exception=False)
