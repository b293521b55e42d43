"""A photo that is stored on its side, as phones do, is upright in every role and by every way into the app."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data

from annotators.base import Image
from annotators.canny import Canny
from annotators.maps.map_files import map_role
from annotators.sources.images import load_image, load_start
from annotators.sources.roles import MASK, PHOTO, WEIGHTS
from cnet_app.registry.conditions import condition
from cnet_app.request.generation import MASK_AREA, GenerationRequest
from cnet_app.request.inpaint import open_part
from cnet_app.request.pictures import encode_png, picture_size, read_field
from tests.api.conftest import Api, api
from tests.cli.conftest import Call, call
from tests.ui.conftest import Caller, caller

__all__ = ["api", "call", "caller"]

UPRIGHT: Image = np.ascontiguousarray(np.asarray(data.astronaut())[::4, ::8])
"""128 px high, 64 wide."""
STORED: dict[int, Callable[[Image], Image]] = {
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1], 5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1), 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2), 8: lambda a: np.rot90(a, -1),
}  # fmt: skip
"""By the orientation that undoes it."""


def file_of(pixels: Image, orientation: int) -> bytes:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Pillow.fromarray(np.ascontiguousarray(STORED[orientation](pixels))).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", STORED)
def test_a_picture_stands_upright_in_every_role(orientation: int) -> None:
    photo, mask = file_of(UPRIGHT, orientation), np.zeros_like(UPRIGHT)
    mask[20:30, 40:60] = 255
    for role in (PHOTO, MASK, WEIGHTS, map_role(condition("canny").kind), map_role(condition("segmentation").kind)):
        plain = load_image(encode_png(mask), role=role)
        assert np.array_equal(load_image(file_of(mask, orientation), role=role), plain)
    assert np.array_equal(load_start(photo)[0].image, UPRIGHT)
    assert picture_size(photo) == (64, 128)
    for field in ("initial_image", "inpaint_mask", "mask", "weight_map", "image"):
        assert load_image(read_field(field, file_of(mask, orientation))[0][field]).shape == (128, 64, 3)
    request = GenerationRequest(
        width=64, height=64, initial_image=photo, inpaint_mask=encode_png(mask), inpaint_area=MASK_AREA
    )
    part = open_part(request)
    assert part
    whole = part.put_back(np.zeros((64, 64, 3), np.uint8))
    assert np.array_equal(whole[mask == 0], UPRIGHT[mask == 0]) and not whole[22:28, 42:58].any()


@pytest.mark.parametrize("orientation", [2, 6])
def test_a_photo_stands_upright_by_every_way_into_the_app(
    api: Api, caller: Caller, call: Call, tmp_path: Path, orientation: int
) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(file_of(UPRIGHT, orientation))
    expected = Canny()(UPRIGHT)
    assert call("annotate", "canny", str(path), "--output", str(tmp_path / "map.png"))[0] == 0
    assert np.array_equal(load_image(tmp_path / "map.png"), expected)
    made = api.endpoints.annotate("canny", {"path": str(path)})
    assert np.array_equal(load_image(made["map"]["path"]), expected), json.dumps(made)
    uploaded = caller.folder / "photo.png"
    uploaded.write_bytes(path.read_bytes())
    photo = caller("put", path=str(uploaded))
    assert (photo["width"], photo["height"]) == (64, 128)
    frame = {"width": 64, "height": 128, "fit": "crop"}
    for source in ({"source": "photo"}, {"source": "own", "picture": photo}):
        (unit,) = caller.generate({"condition": "canny", **source}, photo=photo, frame=frame).units
        assert np.array_equal(unit.pixels, expected)
    lines = encode_png(expected)
    uploaded.write_bytes(file_of(load_image(lines), orientation))
    own = caller("put", path=str(uploaded))
    for field, source in (("picture", "map"), ("drawing", "drawing")):
        layer = {"condition": "scribble", "source": source, field: own}
        (unit,) = caller.generate(layer, frame=frame).units
        assert np.array_equal(unit.pixels, expected)
    started = caller.generate(photo=photo, frame=frame, start={"strength": 0.5})
    assert started.initial_image and np.array_equal(load_image(started.initial_image), UPRIGHT)
