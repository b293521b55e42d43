"""Maps of layers that were drawn or painted on the stage."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from annotators.maps.encoders import ADE20K_CLASSES, ADE20K_PALETTE
from annotators.runtime import Runtime
from cnet_app.jobs.library.assets import Assets
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.sweeps.sweeps import Sweeps
from cnet_app.jobs.sweeps.works import open_work
from cnet_app.jobs.trainings.trainings import Trainings
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.request.pictures import encode_png
from cnet_app.settings import Settings
from cnet_app.ui.calls.context import Context, Visitor
from cnet_app.ui.calls.draft.frame import read_frame
from cnet_app.ui.calls.draft.maps import make_layer_map, map_of_layer
from models.errors import InputError
from tests.jobs.fake_engine import FakeEngine

FRAME = {"width": 128, "height": 64, "fit": "crop"}


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    settings = Settings(output_dir=tmp_path / "pictures")
    runner = Runner(settings, FakeEngine())
    maps = Maps(run_here(Runtime()))
    yield Context(
        settings,
        runner,
        maps,
        Assets(tmp_path / "assets", 10**8),
        is_uploaded=lambda path: False,
        serve_file=lambda data, name: name,
        sweeps=Sweeps(settings.output_dir, runner, open_work(maps)),
        trainings=Trainings(settings, runner.wants_pictures),
    )
    runner.close()


def held(context: Context, pixels: NDArray[np.uint8]) -> dict[str, Any]:
    """A picture as a layer refers to it."""
    height, width = pixels.shape[:2]
    return {"sha256": context.assets.put(encode_png(pixels)), "width": width, "height": height}


def drawing() -> NDArray[np.uint8]:
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[30:34, 10:110] = 255
    return pixels


def test_a_drawing_is_its_map_whatever_the_preprocessor_was_set_to(context: Context) -> None:
    layer = {
        "condition": "canny",
        "source": "drawing",
        "drawing": held(context, drawing()),
        "annotator": "canny",
        "parameters": {"low_threshold": 10},
    }
    made = make_layer_map(context, layer, None, read_frame(FRAME))
    assert np.array_equal(made.made.pixels, drawing())
    assert made.made.annotator is None


def test_painted_classes_stay_in_their_colours(context: Context) -> None:
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[:30] = ADE20K_PALETTE[ADE20K_CLASSES.index("sky")]
    pixels[40:, 50:] = ADE20K_PALETTE[ADE20K_CLASSES.index("tree")]
    layer = {"condition": "segmentation", "source": "classes", "classes": held(context, pixels)}
    answer = map_of_layer(context, Visitor(""), {"layer": layer, "frame": FRAME})
    image = Image.open(io.BytesIO(_decode(answer["image"])))
    assert np.array_equal(np.asarray(image), pixels)
    assert answer["warnings"] == []


def test_a_layer_without_its_drawing_names_what_to_do(context: Context) -> None:
    with pytest.raises(InputError, match="draw on the stage"):
        make_layer_map(context, {"condition": "scribble", "source": "drawing"}, None, read_frame(FRAME))


def _decode(url: str) -> bytes:
    return base64.b64decode(url.split(",", 1)[1])
