"""A declaration becomes a component with its bounds; files are handed on unread and refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import numpy as np
import pytest
from gradio.components.image_editor import EditorData
from gradio.data_classes import FileData, ImageData
from PIL import Image

from annotators.base import Parameter
from annotators.maps import encode_segmentation
from annotators.runtime import Runtime
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.request.generation import REQUEST_LIMITS
from cnet_app.ui.forms.controls import parameter_input, photo_input, read_photo
from cnet_app.ui.forms.repairs import repair_choices
from cnet_app.ui.forms.size import Frame
from cnet_app.ui.gradio_seams import open_checkboxes
from cnet_app.ui.maps import MadeMap, MapOrder, make_map
from cnet_app.ui.sources import KINDS
from cnet_app.ui.sources.drawing import DrawingSource, read_drawing
from cnet_app.ui.sources.pose import PoseSource
from models.errors import InputError

MAPS = Maps(run_here(Runtime()))


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
    with gr.Blocks():
        canvas = DrawingSource("sheet").canvas
    layers = [FileData(path="a.png"), FileData(path="b.png")]
    assert canvas.preprocess(EditorData(layers=layers)) == ["a.png", "b.png"]
    assert canvas.preprocess(EditorData(id="kept in memory")) == []
    assert not getattr(canvas.accept_blobs, "_is_server_fn", False)


def test_what_is_replaced_in_a_component_survives_an_update(tmp_path: Path) -> None:
    """Gradio answers an update, and even the absence of one, with a new instance of the class."""
    with gr.Blocks():
        components = [photo_input("Photo"), open_checkboxes(), DrawingSource("sheet").canvas]
    new: list[Any] = [type(component)(**component.constructor_args) for component in components]
    photo, group, canvas = new
    assert photo.preprocess(ImageData(path="a.png")) == "a.png"
    assert group.preprocess(["gone"]) == ["gone"]
    assert canvas.preprocess(EditorData(layers=[FileData(path="a.png")])) == ["a.png"]


def test_a_replaced_class_is_known_to_the_browser_and_writes_no_file() -> None:
    photo = photo_input("Photo")
    assert photo.get_block_name() == "image"
    assert photo.component_class_id == gr.Image.get_component_class_id()
    folder = Path(__file__).parents[2] / "cnet_app" / "ui"
    assert not list(folder.rglob("*.pyi"))


def test_the_brush_is_looked_for_on_this_canvas() -> None:
    with gr.Blocks():
        source = DrawingSource("sheet")
    assert "[id='sheet-canvas'] " in source.when_opened


def test_every_input_kind_has_an_id_of_its_own() -> None:
    assert len({kind.id for kind in KINDS}) == len(KINDS)


def test_people_are_read_as_data(tmp_path: Path) -> None:
    points = [value for joint in range(18) for value in (60 + 8 * joint, 40 + 9 * joint, 1)]
    pose = {"people": [{"pose_keypoints_2d": points}], "canvas_width": 256, "canvas_height": 128}
    (tmp_path / "people.json").write_text(json.dumps(pose))
    with gr.Blocks():
        source = PoseSource("pose")
    values = {source.file: str(tmp_path / "people.json")}
    read = source.read(values)
    assert (read.width, read.height, len(read.people)) == (256, 128, 1)
    assert source.is_empty({source.file: None})
    with pytest.raises(InputError, match="There is no pose yet"):
        source.read({source.file: None})


def test_behind_one_fault_of_a_map_another_comes_to_light() -> None:
    true = encode_segmentation((np.add.outer(np.arange(128) // 23, np.arange(128) // 31) * 7) % 150)
    faulty = np.asarray(cv2.resize(cv2.resize(true, (100, 100)), (128, 128)), np.uint8)[..., ::-1]

    def repaired(*asked: str) -> MadeMap:
        return make_map(MAPS, MapOrder("segmentation", None, faulty, Frame(128, 128), {}, asked))

    assert [repair.id for repair in repaired().offered] == ["reverse_channels"]
    once = repaired("reverse_channels")
    assert [repair.id for repair in once.offered] == ["reverse_channels", "snap_palette"]
    twice = repaired("reverse_channels", "snap_palette")
    assert twice.done == ("reverse_channels", "snap_palette")
    assert repair_choices(twice).value == ["reverse_channels", "snap_palette"]
    assert repair_choices(once).value == ["reverse_channels"]
    assert (twice.made.pixels == true).all(axis=2).mean() > 0.95


def test_a_repair_that_a_picture_does_not_offer_is_left_out() -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    made = make_map(MAPS, MapOrder("canny", None, black, Frame(64, 64), {}, ("invert", "as_it_is")))
    assert made.done == ()
