"""The size of the picture: from the photo within the model's budget, or typed; and how the photo is brought to it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from annotators.base import Image
from annotators.images import ResizeMode, resize
from annotators.poses import Pose
from cnet_app.request.generation import REQUEST_LIMITS
from cnet_app.request.pictures import encode_png
from cnet_app.ui.forms.active import Active
from cnet_app.ui.forms.controls import parameter_input
from cnet_app.ui.forms.form import Form
from cnet_app.ui.gradio_seams import HIDDEN, Values
from cnet_app.ui.labels import label_of

FROM_PHOTO, CUSTOM = "photo", "custom"
RESIZE: dict[ResizeMode, str] = {"crop": "Crop", "pad": "Pad", "stretch": "Stretch"}
RESIZE_HELP = "Where the shapes of photo and picture differ: cut the edges off, add black bars, or distort."
MAX_RATIO = 3.0
"""Long side to short side of a picture; a longer photo is cropped, padded or stretched to it."""
COARSE, FINE = 64, 8
"""Sides are multiples of COARSE, where the model is at its best, or of FINE, the least that it can make."""
TOLERANCE = 0.02
"""Largest relative change of the photo's aspect by rounding to COARSE."""
SPARE = 1.1
"""Largest share of the budget that a size may take."""


@dataclass(frozen=True)
class Frame:
    """Size of the picture in pixels, and how a source image is brought to it."""

    width: int
    height: int
    resize: ResizeMode = "crop"
    from_photo: bool = False

    def fit_png(self, image: Image, around: int = 0) -> bytes:
        """Return the PNG of an image that belongs to the source: start picture or mask.

        The pipeline crops by itself, so that for crop the image stays as it is. The bars of pad are black, or where
        `around` is 255 white.
        """
        if self.resize == "crop":
            return encode_png(image)
        if self.resize == "pad" and around:
            return encode_png(255 - resize(255 - image, self.width, self.height, "pad"))
        return encode_png(resize(image, self.width, self.height, self.resize))

    def text(self, source: tuple[int, int], noun: str = "photo") -> str:
        """Return both sizes, 'Photo 600×400 px, picture 312×208 px (from the photo).', for the (width, height) of a source."""
        same_shape = abs(source[0] * self.height - source[1] * self.width) <= FINE * max(source)
        done = {"crop": "cropped", "pad": "padded", "stretch": "stretched"}[self.resize]
        notes = [*([f"from the {noun}"] if self.from_photo else []), *([] if same_shape else [done])]
        return f"{noun.capitalize()} {source[0]}×{source[1]} px, picture {self.width}×{self.height} px" + (
            f" ({', '.join(notes)})." if notes else "."
        )


def size_of(source: Image | Pose) -> tuple[int, int]:
    """Return width and height of a picture, or of the canvas of a pose."""
    if isinstance(source, Pose):
        return source.width, source.height
    return source.shape[1], source.shape[0]


def fit_budget(width: int, height: int, side: int) -> tuple[int, int]:
    """Return a size of the photo's aspect that has about side² pixels."""
    ratio = min(max(width / height, 1 / MAX_RATIO), MAX_RATIO)
    wide, high = (_rounded(side * factor, COARSE) for factor in (math.sqrt(ratio), 1 / math.sqrt(ratio)))
    if abs(wide / high / ratio - 1) <= TOLERANCE and wide * high <= SPARE * side * side:
        return wide, high
    return _rounded(side * math.sqrt(ratio), FINE), _rounded(side / math.sqrt(ratio), FINE)


def _rounded(side: float, multiple: int) -> int:
    lowest, highest = REQUEST_LIMITS["width"].minimum or FINE, REQUEST_LIMITS["width"].maximum or math.inf
    return int(min(max(round(side / multiple) * multiple, lowest), highest))


class SizeForm(Form):
    """Fields `size`, `resize`, `width` and `height`; the last two only count where `size` is custom."""

    def frame(self, values: Values, side: int, source: Image | Pose | None) -> Frame:
        """Return the size for a source within the budget side². Raises InputError for a size that cannot be."""
        given = self.read(values)
        mode: ResizeMode = given["resize"]
        if given["size"] == FROM_PHOTO:
            width, height = (side, side) if source is None else fit_budget(*size_of(source), side)
            return Frame(width, height, mode, from_photo=source is not None)
        width, height = (int(REQUEST_LIMITS[name].check(name, given[name])) for name in ("width", "height"))
        return Frame(width, height, mode)

    def active(self, values: Values) -> Iterator[Active]:
        """Yield what is not at its default."""
        given = self.read(values)
        if given["size"] == CUSTOM:
            text = f"{given['width']}×{given['height']} px"
            yield Active("size", text, {self["size"]: FROM_PHOTO})
        if given["resize"] != "crop":
            yield Active("resize", f"{label_of('resize')}: {RESIZE[given['resize']].lower()}", {self["resize"]: "crop"})


def build_size(name: str, side: int) -> SizeForm:
    """Build both choices and, unseen while the size comes from the photo, the sliders."""
    fields: dict[str, Any] = {}
    with gr.Row(equal_height=True):
        fields["size"] = gr.Radio(
            [("From the photo", FROM_PHOTO), ("Custom", CUSTOM)], value=FROM_PHOTO, label="Size",
            info="From the photo: its shape, with as many pixels as the model is made for.",
            elem_id=f"{name}-size", min_width=200,
        )  # fmt: skip
        fields["resize"] = gr.Radio(
            [(title, mode) for mode, title in RESIZE.items()], value="crop", label=label_of("resize"),
            info=RESIZE_HELP, elem_id=f"{name}-resize", min_width=200,
        )  # fmt: skip
    with gr.Row(visible=False) as sliders:
        for side_name in ("width", "height"):
            limit = REQUEST_LIMITS[side_name]
            fields[side_name] = parameter_input(
                side_name, limit, value=side, elem_id=f"{name}-{side_name}", min_width=250
            )
    form = SizeForm(fields)
    fields["size"].change(lambda size: gr.Row(visible=size == CUSTOM), fields["size"], sliders, queue=False, **HIDDEN)
    return form
