"""The scribble canvas: black strokes on white for the hand, white strokes on black for the ControlNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gradio as gr
import numpy as np
from gradio.components.image_editor import EditorData
from numpy.typing import NDArray
from PIL import Image as Pillow

from annotators.base import Image
from cnet_app.registry.conditions import Condition
from cnet_app.ui.gradio_seams import Component, Updates, Values, layered_editor
from cnet_app.ui.sources.source import Place, Source
from models.errors import InputError

SIDE = 512
MAX_SIDE = 4096

AFTER_STROKES = """() => {
    let editor = null;
    document.addEventListener("pointerdown", (event) => { editor = event.target.closest(".strokes"); }, true);
    document.addEventListener("pointerup", () => {
        const drawn = editor && document.getElementById(`${editor.id}-drawn`);
        if (drawn) setTimeout(() => drawn.click(), 150);
        editor = null;
    }, true);
}"""
"""The editor's own events carry the picture from before the first stroke: the pointer shows when a stroke ends."""
TAKE_THE_BRUSH = """() => {
    const take = (tries) => {
        const brush = document.querySelector("[id='NAME'] .toolbar-wrap button");
        if (brush) brush.click();
        else if (tries > 0) setTimeout(() => take(tries - 1), 100);
    };
    take(100);
    if (window['brush-NAME']) return;
    window['brush-NAME'] = true;
    document.addEventListener("click", (event) => {
        if (event.target.closest("[id='NAME'] [aria-label='Clear canvas']")) setTimeout(() => take(10), 300);
    }, true);
}"""
"""The editor starts without a tool, also after it was cleared, and strokes before one is chosen are lost."""


class DrawingSource(Source):
    """A white sheet. Its map is the drawing itself."""

    id: ClassVar[str] = "drawing"
    place: ClassVar[Place] = "above"
    noun: ClassVar[str] = "drawing"
    choice: ClassVar[str] = "My drawing"
    note: ClassVar[str] = "Draw on the canvas; black lines become the map."

    def __init__(self, name: str) -> None:
        self.name = f"{name}-canvas"
        self.canvas = layered_editor(
            _layer_paths, label="Drawing", sources=(),
            brush=gr.Brush(default_size=10, colors=["#000000"], color_mode="fixed"),
            eraser=gr.Eraser(default_size=24), canvas_size=(SIDE, SIDE), fixed_canvas=True,
            height=480, elem_id=self.name, elem_classes="strokes",
        )  # fmt: skip
        self.drawn = build_drawn(self.name)

    @classmethod
    def fits(cls, row: Condition) -> bool:
        return row.canvas

    @property
    def components(self) -> set[Component]:
        return {self.canvas}

    @property
    def changes(self) -> list[Any]:
        return [self.drawn.click]

    def is_empty(self, values: Values) -> bool:
        """Return whether there is no stroke; a layer that cannot be read is not empty, its message is shown."""
        try:
            return not any(opacity(path).any() for path in values[self.canvas] or ())
        except InputError:
            return False

    def read(self, values: Values) -> Image:
        return read_drawing(values[self.canvas])

    def filled(self, picture: Image | str) -> Updates:
        return {}

    def example(self, picture: Image) -> Updates:
        return {}

    @property
    def when_opened(self) -> str:
        """JavaScript for the moment when the tab is opened."""
        return TAKE_THE_BRUSH.replace("NAME", self.name)


def build_drawn(name: str) -> gr.Button:
    """Build the unseen button that is pressed after each stroke on an editor of this id and the class `strokes`."""
    return gr.Button(visible="hidden", elem_id=f"{name}-drawn")


def read_drawing(layers: Sequence[str] | None) -> Image:
    """Return the strokes of all layers, (H, W, 3), white on black. Raises InputError where nothing is drawn."""
    strokes = [stroke for path in layers or () if (stroke := opacity(path)).any()]
    if not strokes:
        raise InputError("Nothing is drawn yet; draw on the canvas, then press Generate.")
    return np.repeat(np.maximum.reduce(strokes)[..., None], 3, axis=2)


def opacity(path: str) -> NDArray[np.uint8]:
    """Return the opacity of one layer, (H, W); the sheet below the strokes does not count. Raises InputError."""
    try:
        with Pillow.open(path, formats=("PNG",)) as layer:
            if max(layer.size) > MAX_SIDE:
                raise InputError(
                    f"The drawing is {layer.width}x{layer.height} px, but its sides have at most {MAX_SIDE} px; make it smaller."
                )
            return np.asarray(layer.convert("RGBA").getchannel("A"))
    except (OSError, SyntaxError, Pillow.DecompressionBombError) as error:
        raise InputError("The drawing did not arrive whole; make one more stroke, then try again.") from error


def _layer_paths(payload: EditorData | None) -> list[str]:
    return [layer.path for layer in payload.layers] if payload else []
