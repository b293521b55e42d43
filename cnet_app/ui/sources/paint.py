"""A picture and the mask painted on it: what it marks is repainted, the rest stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gradio as gr
import numpy as np
from gradio.components.image_editor import EditorData
from numpy.typing import NDArray
from PIL import Image as Pillow

from annotators.base import Image
from cnet_app.registry.conditions import Condition
from cnet_app.request.generation import REQUEST_LIMITS
from cnet_app.ui.forms.active import Active
from cnet_app.ui.forms.controls import parameter_input, photo_input, read_photo
from cnet_app.ui.forms.size import Frame
from cnet_app.ui.gradio_seams import STATEFUL, Component, Updates, Values, editor_value, layered_editor, listen
from cnet_app.ui.labels import label_of
from cnet_app.ui.sources.drawing import build_drawn, opacity
from cnet_app.ui.sources.source import Place, Source
from models.errors import InputError

DENOISING = 0.6
"""Enough to change a picture, not so much that nothing of it is left."""
HELP = "Paint over what to repaint, or give a mask image: white is repainted."
WHITE = np.uint8(255)


@dataclass(frozen=True)
class Held:
    """State of the editor, known without sending its picture again."""

    picture: bool = False
    masked: bool = False


class PaintSource(Source):
    """A picture to start from, with what is painted on it, a mask image, and the denoising strength."""

    id: ClassVar[str] = "painting"
    place: ClassVar[Place] = "above"
    noun: ClassVar[str] = "start picture"
    choice: ClassVar[str] = ""
    note: ClassVar[str] = ""

    def __init__(self, name: str) -> None:
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                self.picture = layered_editor(
                    _paths, label="Picture", sources=("upload", "clipboard"),
                    brush=gr.Brush(default_size=40, colors=["#14b8a6"], color_mode="fixed"),
                    eraser=gr.Eraser(default_size=40), height=420, elem_id=f"{name}-picture", elem_classes="strokes",
                )  # fmt: skip
                self.drawn = build_drawn(f"{name}-picture")
            with gr.Column(scale=1, min_width=220):
                self.mask = photo_input(
                    label_of("inpaint_mask"), ["upload", "clipboard"], elem_id=f"{name}-mask", height=230
                )
                gr.HTML(HELP, elem_classes="note", padding=False)
                self.strength = parameter_input(
                    "strength",
                    REQUEST_LIMITS["strength"],
                    value=DENOISING,
                    elem_id=f"{name}-strength",
                    min_width=160,
                    info="1 keeps next to nothing of the picture.",
                )
        self.held = gr.State(Held())
        listen([*self.changes, self.mask.change], self._hold, {self.picture, self.mask}, [self.held], **STATEFUL)

    @classmethod
    def fits(cls, row: Condition) -> bool:
        return row.masked

    @property
    def components(self) -> set[Component]:
        return {self.picture, self.mask, self.strength}

    @property
    def filled_parts(self) -> list[Component]:
        """Components changed by `filled`, `example` and a reset."""
        return [*self.components, self.held]

    @property
    def changes(self) -> list[Any]:
        return [self.picture.upload, self.picture.clear, self.drawn.click]

    def is_empty(self, values: Values) -> bool:
        return not values[self.picture]

    def read(self, values: Values) -> Image:
        return self._read(values)[0]

    def filled(self, picture: Image | str) -> Updates:
        return {self.picture: editor_value(picture), self.held: Held(picture=True)}

    def example(self, picture: Image) -> Updates:
        mask = np.zeros_like(picture)
        height, width = picture.shape[:2]
        mask[height // 4 : -height // 4, width // 4 : -width // 4] = 255
        return {**self.filled(picture), self.mask: mask, self.held: Held(picture=True, masked=True)}

    def start(self, values: Values, frame: Frame) -> dict[str, Any]:
        """Return fields of a request: initial_image, inpaint_mask and strength; none without a picture. Raises InputError."""
        if self.is_empty(values):
            return {}
        picture, painted = self._read(values)
        mask = read_photo(values[self.mask]) if values[self.mask] else painted
        fitted = None if mask is None else frame.fit_png(mask, around=255)  # the bars of pad are repainted too
        return {
            "initial_image": frame.fit_png(picture),
            "inpaint_mask": fitted,
            "strength": values[self.strength],
        }

    def active(self, values: Values) -> Iterator[Active]:
        """Yield what is in effect: the picture, with its mask and strength. Reads `held` and `strength`."""
        held: Held = values[self.held]
        if held.picture:
            strength = f"{label_of('strength').lower()} {values[self.strength]:g}"
            parts = ["From a picture", *(["mask"] if held.masked else []), strength]
            cleared = {self.picture: None, self.mask: None, self.strength: DENOISING, self.held: Held()}
            yield Active("start", " · ".join(parts), cleared)

    def _hold(self, values: Values) -> Updates:
        layers: list[str] = (values[self.picture] or [])[1:]
        masked = bool(values[self.mask]) or any(map(_is_painted, layers))  # an editor without strokes has a layer too
        return {self.held: Held(picture=not self.is_empty(values), masked=masked)}

    def _read(self, values: Values) -> tuple[Image, Image | None]:
        """Return the picture and the painted mask at its size, white where something is painted; None for no mask."""
        paths: Sequence[str] = values[self.picture]
        picture = read_photo(paths[0] if paths else None, "There is no picture yet; choose or paste one.")
        if (picture == picture[0, 0]).all():  # the editor's own sheet, where strokes came before a picture
            raise InputError("The picture to start from is blank; choose one, or clear the editor.")
        height, width = picture.shape[:2]
        layers = [_resized(opacity(path), width, height) for path in paths[1:]]
        mask = np.maximum.reduce([np.zeros((height, width), np.uint8), *layers])
        return picture, np.where(mask[..., None] > 0, WHITE, np.uint8(0)).repeat(3, axis=2) if mask.any() else None


def _resized(layer: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    return np.asarray(Pillow.fromarray(layer).resize((width, height), Pillow.Resampling.NEAREST))


def _is_painted(path: str) -> bool:
    """Return whether something is painted on a layer that can be read."""
    try:
        return bool(opacity(path).any())
    except InputError:
        return False


def _paths(payload: EditorData | None) -> list[str]:
    """Return the paths of the picture and of what was painted on it; none where there is no picture."""
    if payload is None or payload.background is None:
        return []
    return [payload.background.path, *(layer.path for layer in payload.layers)]
