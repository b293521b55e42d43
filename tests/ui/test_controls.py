"""A declaration becomes a component with its bounds; files are handed on unread and refused in a sentence."""

from __future__ import annotations

from pathlib import Path

import cv2
import gradio as gr
import numpy as np
import pytest
from gradio.components.image_editor import EditorData
from gradio.data_classes import FileData, ImageData
from PIL import Image

from annotators.base import Parameter
from annotators.maps import encode_segmentation
from cnet_app.request.generation import REQUEST_LIMITS
from cnet_app.ui.canvas import build_canvas, read_drawing, when_opened
from cnet_app.ui.controls import parameter_input, photo_input, read_photo
from cnet_app.ui.repairs import annotate_repaired
from models.errors import InputError


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


def drawing(folder: Path, *alphas: int) -> list[str]:
    """Layers of 8x8 px, layer i with a stroke of this opacity in row i."""
    paths: list[str] = []
    for row, alpha in enumerate(alphas):
        layer = np.zeros((8, 8, 4), np.uint8)
        layer[row, :, 3] = alpha
        paths.append(str(folder / f"{row}.png"))
        Image.fromarray(layer).save(paths[-1])
    return paths


def test_strokes_of_all_layers_become_white_on_black(tmp_path: Path) -> None:
    control = read_drawing(drawing(tmp_path, 255, 128))
    assert control.shape == (8, 8, 3)
    assert [int(row.max()) for row in control[:3]] == [255, 128, 0]


@pytest.mark.parametrize("alphas", [(), (0, 0)])
def test_an_empty_sheet_is_refused(alphas: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Nothing is drawn yet"):
        read_drawing(drawing(tmp_path, *alphas))


def test_a_drawing_that_is_broken_or_huge_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(Path(drawing(tmp_path, 255)[0]).read_bytes()[:45])
    with pytest.raises(InputError, match="did not arrive whole"):
        read_drawing([str(tmp_path / "broken.png")])
    Image.new("1", (20_000, 8)).save(tmp_path / "wide.png")
    with pytest.raises(InputError, match="20000x8"):
        read_drawing([str(tmp_path / "wide.png")])


def test_the_canvas_hands_its_layers_on_unread_and_has_no_other_way_in() -> None:
    canvas, _ = build_canvas("sheet")
    layers = [FileData(path="a.png"), FileData(path="b.png")]
    assert canvas.preprocess(EditorData(layers=layers)) == ["a.png", "b.png"]
    assert canvas.preprocess(EditorData(id="kept in memory")) == []
    assert not getattr(canvas.accept_blobs, "_is_server_fn", False)


def test_the_brush_is_looked_for_on_this_canvas() -> None:
    assert "[id='sheet'] " in when_opened("sheet")


def test_behind_one_fault_of_a_map_another_comes_to_light() -> None:
    true = encode_segmentation((np.add.outer(np.arange(128) // 23, np.arange(128) // 31) * 7) % 150)
    faulty = np.asarray(cv2.resize(cv2.resize(true, (100, 100)), (128, 128)), np.uint8)[..., ::-1]
    seen = annotate_repaired("segmentation", None, faulty, None, (128, 128), [])
    assert [repair.id for repair in seen.offered] == ["reverse_channels"]
    once = annotate_repaired("segmentation", None, faulty, None, (128, 128), ["reverse_channels"])
    assert [repair.id for repair in once.offered] == ["reverse_channels", "snap_palette"]
    twice = annotate_repaired("segmentation", None, faulty, None, (128, 128), ["reverse_channels", "snap_palette"])
    assert twice.made.warnings == tuple(repair.done for repair in twice.offered)
    assert (twice.made.pixels == true).all(axis=2).mean() > 0.95
