"""Maps mean what their ControlNets were trained to read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from annotators.canny import Canny
from annotators.maps.encoders import (
    ADE20K_CLASSES,
    ADE20K_PALETTE,
    encode_depth,
    encode_normal,
    encode_segmentation,
    is_blank,
    resize_lines,
    resize_map,
)
from annotators.maps.kinds import KINDS, MapKind
from annotators.sources.images import pad, resize


def test_the_palette_is_ade20k() -> None:
    assert len(ADE20K_CLASSES) == len(set(ADE20K_CLASSES)) == len(ADE20K_PALETTE) == 150
    known = {"wall": (120, 120, 120), "sky": (6, 230, 230), "floor": (80, 50, 50), "tree": (4, 200, 3),
             "person": (150, 5, 61), "bed": (204, 5, 255), "grass": (4, 250, 7), "flag": (92, 0, 255)}  # fmt: skip
    for name, colour in known.items():
        assert tuple(ADE20K_PALETTE[ADE20K_CLASSES.index(name)]) == colour
    numbers = {"person": 12, "box": 41, "column": 42, "ball": 119, "sculpture": 132}
    assert {name: ADE20K_CLASSES.index(name) for name in numbers} == numbers


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e5])
def test_near_is_white_whatever_the_scale(scale: float) -> None:
    ramp = np.linspace(3, 7, 50).reshape(5, 10)
    depth = encode_depth(ramp * scale)
    assert (depth[0, 0, 0], depth[-1, -1, 0]) == (0, 255)
    assert (np.diff(depth[..., 0].ravel().astype(int)) >= 0).all()
    assert is_blank(encode_depth(np.full((4, 4), 3.0)))


@pytest.mark.parametrize(
    ("vector", "colour"),
    [
        ((0, 0, 1), (128, 128, 255)),  # towards the viewer
        ((-1, 0, 0), (255, 128, 128)),  # left is red
        ((1, 0, 0), (0, 128, 128)),
        ((0, 1, 0), (128, 255, 128)),  # up is green
        ((0, 0, 0), (128, 128, 255)),  # no surface
    ],
)
def test_normals(vector: tuple[int, int, int], colour: tuple[int, int, int]) -> None:
    image = encode_normal(np.full((2, 3, 3), vector, np.float32))
    assert np.abs(image.astype(int) - colour).max() <= 1


def test_segmentation_goes_there_and_back() -> None:
    classes = np.arange(150).reshape(10, 15)
    colours = encode_segmentation(classes)
    back = (colours[:, :, None] == ADE20K_PALETTE[None, None]).all(axis=3).argmax(axis=2)
    assert (back == np.where(classes == 48, 6, classes)).all()  # the data set paints skyscraper as road
    assert not encode_segmentation(np.array([[255, -1]])).any()


@pytest.mark.parametrize("side", [96, 160, 256, 384, 500, 700])
def test_lines_of_one_pixel_stay_so_at_every_size(side: int) -> None:
    edges = Canny()(np.ascontiguousarray(data.astronaut()[::2, ::2]))
    resized = resize_lines(edges, side, side)
    assert set(np.unique(resized)) == {0, 255}
    thick = cv2.erode(resized[..., 0], np.ones((3, 3), np.uint8))
    assert (thick > 0).mean() < 1e-3
    # Nothing is lost: wherever a line was there is one, and nowhere else, but for a pixel; small, neighbours become one.
    around = cv2.dilate(
        np.asarray(cv2.resize(resized, (256, 256), interpolation=cv2.INTER_AREA)), np.ones((5, 5), np.uint8)
    )
    assert ((around[..., 0] > 0) | (edges[..., 0] == 0)).mean() > (0.96 if side < 128 else 0.995)
    back = cv2.dilate(edges, np.ones((7, 7), np.uint8))
    back = np.asarray(cv2.resize(back, (side, side), interpolation=cv2.INTER_LINEAR))
    assert ((back[..., 0] > 0) | (resized[..., 0] == 0)).all()


def test_bold_strokes_keep_their_share_of_the_picture() -> None:
    strokes = np.zeros((256, 256, 3), np.uint8)
    strokes[100:120, 40:200] = 255
    for side in (96, 512):
        resized = resize_lines(strokes, side, side)
        assert set(np.unique(resized)) == {0, 255}
        assert resized.mean() == pytest.approx(strokes.mean(), rel=0.1)


@pytest.mark.parametrize(("width", "height"), [(512, 128), (128, 512), (96, 300), (700, 256)])
def test_padded_lines_of_one_pixel_stay_so(width: int, height: int) -> None:
    edges = Canny()(np.ascontiguousarray(data.astronaut()[::2, ::2]))
    padded = resize_map(edges, KINDS["lines"], width, height, "pad")
    side = min(width, height)
    assert np.array_equal(padded, pad(resize_lines(edges, side, side), width, height, (0, 0, 0)))
    assert padded[..., 0].sum() > 0.35 * edges[..., 0].sum() * side / 256  # no line is lost
    assert (cv2.erode(padded[..., 0], np.ones((3, 3), np.uint8)) > 0).mean() < 1e-3


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.id)
def test_around_a_padded_map_is_what_controls_nothing(kind: MapKind) -> None:
    wide = np.full((40, 80, 3), (30, 90, 200), np.uint8)
    padded = resize_map(wide, kind, 80, 80, "pad")
    assert (padded[20:60] == wide).all()
    around = wide[0, 0] if kind.background is None else kind.background
    assert (padded[:20] == around).all()
    assert (padded[60:] == around).all()


def test_what_is_no_bare_map_is_resized_as_a_picture() -> None:
    photo = np.ascontiguousarray(data.astronaut()[::2, ::2])
    for image in (photo, 255 - Canny()(photo)):
        assert np.array_equal(resize_lines(image, 100, 80), resize(image, 100, 80))
