"""The scribble canvas: black strokes on white for the hand, white strokes on black for the ControlNet."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np
from gradio.components.image_editor import AcceptBlobs, EditorData

from annotators.base import Image
from cnet_app.errors import InputError

SIDE = 512
MAX_LAYERS = 8
MAX_BLOB = 16_000_000
MAX_STORED = 200
"""Drawings whose pictures have arrived but were not asked for yet, over all users."""

TAKE_BRUSH = """() => {
    const take = (tries) => {
        const brush = document.querySelector("#NAME button[aria-label='Brush'], #NAME .toolbar-wrap button[title='Brush']");
        if (brush) brush.click();
        else if (tries > 0) setTimeout(() => take(tries - 1), 100);
    };
    take(100);
}"""
"""The editor starts without a tool, and strokes before one is chosen are lost."""


def build_canvas(name: str) -> gr.ImageEditor:
    """A white sheet; its value is read with `read_drawing`."""
    canvas = gr.ImageEditor(
        label="Drawing",
        type="numpy",
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
    _guard(canvas)
    return canvas


def read_drawing(value: dict[str, Any] | None) -> Image:
    """(SIDE, SIDE, 3): white where a stroke is. InputError where nothing is drawn."""
    strokes = _strokes(value)
    if not strokes:
        raise InputError("Nothing is drawn yet; draw on the canvas, then press Generate.")
    return np.repeat(np.maximum.reduce(strokes)[..., None], 3, axis=2)


def is_drawn(value: dict[str, Any] | None) -> bool:
    """Whether there is a stroke."""
    return bool(_strokes(value))


def _strokes(value: dict[str, Any] | None) -> list[Any]:
    """The opacity of each layer that has a stroke; the sheet below them does not count."""
    layers = (value or {}).get("layers") or []
    alphas = [layer[..., 3] for layer in layers if layer.ndim == 3 and layer.shape[2] == 4]
    return [alpha for alpha in alphas if alpha.any()]


def take_brush(name: str) -> str:
    """JavaScript that puts the brush in the hand as soon as the canvas is there."""
    return TAKE_BRUSH.replace("NAME", name)


def _guard(canvas: gr.ImageEditor) -> None:
    """Strokes travel apart from the form: what does not fit together is refused, and what nobody asks for is dropped."""
    preprocess, accept = canvas.preprocess, canvas.accept_blobs

    def checked_preprocess(payload: EditorData | None) -> Any:
        if payload and payload.id is not None and payload.id not in canvas.blob_storage:
            raise gr.Error(
                "The drawing did not arrive; make one more stroke and press Generate again.", print_exception=False
            )
        return preprocess(payload)

    def checked_accept(data: AcceptBlobs) -> Any:
        index = str(data.data["index"])
        too_many = index.isdecimal() and int(index) >= MAX_LAYERS
        if too_many or any(len(blob) > MAX_BLOB for _, blob in data.files):
            raise gr.Error("The drawing is too large; clear the canvas and draw again.", print_exception=False)
        while len(canvas.blob_storage) >= MAX_STORED:
            canvas.blob_storage.pop(next(iter(canvas.blob_storage)))
        return accept(data)

    checked_accept._is_server_fn = True  # noqa: SLF001  # pyright: ignore[reportFunctionMemberAccess]  # Gradio's mark
    setattr(canvas, "preprocess", checked_preprocess)  # noqa: B010
    setattr(canvas, "accept_blobs", checked_accept)  # noqa: B010
