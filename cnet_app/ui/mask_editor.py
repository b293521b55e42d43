"""A picture to start from, on which one paints what is to be made anew."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr
import numpy as np
from gradio.components.image_editor import EditorData
from PIL import Image as Pillow

from cnet_app.request.pictures import encode_png
from cnet_app.ui.canvas import opacity, refuse_blobs
from cnet_app.ui.controls import read_photo
from models.errors import InputError


def build_mask_editor(name: str) -> gr.ImageEditor:
    """Its value is read with `read_masked_picture`."""
    editor = gr.ImageEditor(
        label="Picture",
        image_mode="RGBA",
        sources=("upload", "clipboard"),
        transforms=(),
        layers=False,
        brush=gr.Brush(default_size=40, colors=["#14b8a6"], color_mode="fixed"),
        eraser=gr.Eraser(default_size=40),
        format="png",
        buttons=[],
        height=420,
        elem_id=name,
    )
    setattr(editor, "preprocess", _paths)  # noqa: B010 - Gradio's own would decode whatever comes
    setattr(editor, "accept_blobs", refuse_blobs)  # noqa: B010 - a second way in, that keeps in memory what nobody asks for
    return editor


def read_masked_picture(paths: Sequence[str] | None) -> tuple[bytes | None, bytes | None]:
    """PNGs of the picture, and of the painted mask at its size; None where there is none."""
    if not paths:
        return None, None
    picture = read_photo(paths[0])
    if (picture == picture[0, 0]).all():  # the editor's own sheet, where strokes came before a picture
        raise InputError("The picture to start from is blank; choose one, or clear the editor above the tabs.")
    height, width = picture.shape[:2]
    painted = [Pillow.fromarray(opacity(path)).resize((width, height), Pillow.Resampling.NEAREST) for path in paths[1:]]
    mask = np.maximum.reduce([np.zeros((height, width), np.uint8), *map(np.asarray, painted)])
    white = np.where(mask[..., None] > 0, np.uint8(255), np.uint8(0)).repeat(3, axis=2)
    return encode_png(picture), encode_png(white) if mask.any() else None


def _paths(payload: EditorData | None) -> list[str]:
    """Of the picture, then of what was painted on it; none where there is no picture."""
    if payload is None or payload.background is None:
        return []
    return [payload.background.path, *(layer.path for layer in payload.layers)]
