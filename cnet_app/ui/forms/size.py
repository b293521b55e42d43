"""The size of the picture: from the photo within the model's budget, or typed; and how the photo is brought to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from annotators.base import Image
from annotators.images import ResizeMode, resize
from annotators.poses import Pose
from cnet_app.request.generation import REQUEST_LIMITS
from cnet_app.request.pictures import encode_png
from cnet_app.request.sizes import FINE, fit_budget, size_of
from cnet_app.ui.forms.active import Active
from cnet_app.ui.forms.controls import parameter_input
from cnet_app.ui.forms.form import Form
from cnet_app.ui.gradio_seams import HIDDEN, Values
from cnet_app.ui.labels import label_of

FROM_PHOTO, CUSTOM = "photo", "custom"
RESIZE: dict[ResizeMode, str] = {"crop": "Crop", "pad": "Pad", "stretch": "Stretch"}
RESIZE_HELP = "Where the shapes of photo and picture differ: cut the edges off, add black bars, or distort."


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
