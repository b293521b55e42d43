"""A declaration becomes a component with its bounds; files are handed on unread and refused in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio.data_classes import ImageData

from annotators.base import Parameter
from cnet_app.errors import InputError
from cnet_app.requests import REQUEST_LIMITS
from cnet_app.ui.canvas import build_canvas, is_drawn, read_drawing, take_brush
from cnet_app.ui.controls import parameter_input, photo_input, read_photo


def test_a_bounded_number_is_a_slider_with_the_declared_bounds() -> None:
    slider = parameter_input("num_inference_steps", REQUEST_LIMITS["num_inference_steps"])
    assert isinstance(slider, gr.Slider)
    assert (slider.label, slider.minimum, slider.maximum, slider.step, slider.value) == ("Steps", 1, 150, 1, 20)


@pytest.mark.parametrize(
    ("parameter", "kind"),
    [
        (Parameter(default=True, help=""), gr.Checkbox),
        (Parameter(default="a", help="", choices=("a", "b")), gr.Dropdown),
        (Parameter(default=1.0, help="", minimum=0.0), gr.Number),
        (Parameter(default=1.0, help="", minimum=0.0, maximum=2.0), gr.Slider),
    ],
)
def test_every_kind_of_parameter_has_its_component(parameter: Parameter, kind: type) -> None:
    assert type(parameter_input("some_name", parameter)) is kind


def test_the_unit_is_on_the_label() -> None:
    assert parameter_input("width", REQUEST_LIMITS["width"]).label == "Width (px)"


def test_a_file_is_handed_on_as_it_came_and_our_loader_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "text.png"
    path.write_text("no picture at all")
    photo = photo_input("Photo")
    assert photo.preprocess(None) is None
    assert photo.preprocess(ImageData(path=str(path))) == str(path)
    with pytest.raises(InputError, match=r"text\.png"):
        read_photo(str(path))
    with pytest.raises(InputError, match="no photo yet"):
        read_photo(None)


def drawing(*alphas: int) -> dict[str, Any]:
    layers = [np.zeros((8, 8, 4), np.uint8) for _ in alphas]
    for row, (layer, alpha) in enumerate(zip(layers, alphas, strict=True)):
        layer[row, :, 3] = alpha
    return {"background": None, "layers": layers, "composite": None}


def test_strokes_of_all_layers_become_white_on_black() -> None:
    control = read_drawing(drawing(255, 128))
    assert control.shape == (8, 8, 3)
    assert [int(row.max()) for row in control[:3]] == [255, 128, 0]


@pytest.mark.parametrize("value", [None, {"layers": None}, drawing(), drawing(0, 0)])
def test_an_empty_sheet_is_refused(value: dict[str, Any] | None) -> None:
    assert not is_drawn(value)
    with pytest.raises(InputError, match="Nothing is drawn yet"):
        read_drawing(value)


def test_a_drawing_that_did_not_arrive_is_told() -> None:
    canvas = build_canvas("sheet")
    payload = canvas.data_model(id="lost")  # pyright: ignore[reportOptionalCall]
    with pytest.raises(gr.Error, match="did not arrive"):
        canvas.preprocess(payload)  # pyright: ignore[reportArgumentType]


def send(canvas: gr.ImageEditor, id: str, index: str, blob: bytes = b"x") -> None:
    from gradio.components.image_editor import AcceptBlobs

    data: Any = {"type": "layer", "index": index, "file": b"", "id": id}
    canvas.accept_blobs(AcceptBlobs(data=data, files=[("file", blob)]))


def test_strokes_cannot_fill_the_memory() -> None:
    canvas = build_canvas("sheet")
    assert getattr(canvas.accept_blobs, "_is_server_fn", False)
    for index in ("1000000000", "8"):
        with pytest.raises(gr.Error, match="too large"):
            send(canvas, "one", index)
    with pytest.raises(gr.Error, match="too large"):
        send(canvas, "one", "0", bytes(17_000_000))
    for number in range(300):
        send(canvas, str(number), "0")
    assert len(canvas.blob_storage) <= 200
    assert "299" in canvas.blob_storage


def test_the_brush_is_looked_for_on_this_canvas() -> None:
    assert "#sheet " in take_brush("sheet")
