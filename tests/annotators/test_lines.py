"""Annotators without weights, on real photos and on plain ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from annotators.base import Annotator, Image, create
from annotators.canny import Canny
from annotators.lineart import LineArtStandard
from annotators.maps.encoders import is_blank
from annotators.mlsd import OpenCVLines
from annotators.scribble import ScribbleXDoG, scribble_from_canvas, scribble_from_softedge
from annotators.softedge import SoftEdgeGradient
from annotators.sources.images import resize
from models.errors import InputError

KINDS: tuple[type[Annotator], ...] = (Canny, SoftEdgeGradient, ScribbleXDoG, LineArtStandard, OpenCVLines)


@pytest.mark.parametrize("kind", KINDS)
def test_white_lines_on_black_of_the_same_size(kind: type[Annotator], photos: dict[str, Image]) -> None:
    for photo in photos.values():
        control_image = kind()(photo)
        assert control_image.shape == photo.shape
        assert control_image.dtype == np.uint8
        assert (control_image == control_image[..., :1]).all()
        assert 1 < control_image.mean() < 110
        assert control_image.max() > 200


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_flat_photo_gives_an_empty_map(kind: type[Annotator], grey: int) -> None:
    assert is_blank(kind()(np.full((64, 96, 3), grey, np.uint8)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not LineArtStandard])
def test_lines_lie_where_the_square_ends(kind: type[Annotator]) -> None:
    image = np.full((128, 128, 3), 240, np.uint8)
    image[40:90, 30:100] = (20, 60, 120)
    strong = kind()(image)[..., 0] > 127
    border = np.zeros((128, 128), bool)
    border[37:93, 27:103] = True
    border[44:86, 34:96] = False
    assert strong.any()
    assert not (strong & ~border).any()
    assert strong[:, 60].any()
    assert strong[60].any()


@pytest.mark.parametrize(
    ("kind", "name", "less", "more"),
    [
        (Canny, "high_threshold", 250, 120),
        (SoftEdgeGradient, "gain", 0.5, 2.0),
        (ScribbleXDoG, "threshold", 60, 10),
    ],
)
def test_parameters_do_what_they_say(
    kind: type[Annotator], name: str, less: float, more: float, photos: dict[str, Image]
) -> None:
    photo = photos["chelsea"]
    assert create(kind, {name: less})(photo).mean() < create(kind, {name: more})(photo).mean()


def test_smoothing_lets_texture_go_and_keeps_the_outline() -> None:
    image = np.random.default_rng(0).integers(90, 130, (128, 128, 1)).astype(np.uint8).repeat(3, axis=2)
    image[:, 64:] += 100

    def texture_to_outline(smoothing: float) -> float:
        edges = SoftEdgeGradient(smoothing=smoothing)(image)[16:-16, :, 0]
        return float(edges[:, 8:40].mean() / edges[:, 60:68].max(axis=1).mean())

    assert texture_to_outline(3.0) < 0.5 * texture_to_outline(0.5)


def test_canny_thresholds_the_wrong_way_round() -> None:
    message = "The low threshold is 220, above the high threshold, 200; lower the first or raise the second."
    with pytest.raises(InputError, match=f"^{message}$"):
        Canny(low_threshold=220)
    assert Canny(low_threshold=200).high_threshold == 200


def test_thresholds_that_have_no_effect_may_be_in_any_order(photos: dict[str, Image]) -> None:
    canny = Canny(low_threshold=220, automatic=True)
    assert canny.unused() == {"low_threshold", "high_threshold"}
    assert np.array_equal(canny(photos["coffee"]), Canny(automatic=True)(photos["coffee"]))
    assert Canny().unused() == frozenset()


def test_canny_takes_its_thresholds_from_the_picture_where_asked(photos: dict[str, Image]) -> None:
    faint = (photos["coffee"] // 4 + 60).astype(np.uint8)
    assert Canny()(faint).mean() < 10
    assert 15 < Canny(automatic=True)(faint).mean() < 60
    noise = np.random.default_rng(0).integers(124, 132, (128, 128, 3)).astype(np.uint8)
    assert Canny(automatic=True)(noise).mean() < 5  # a camera's noise is no drawing


def test_scribbles_of_a_soft_edge_are_bold_and_on_the_ridge() -> None:
    soft = np.zeros((256, 256), np.float32)
    soft[:, 120:137] = 255 * np.hanning(17)
    strokes = scribble_from_softedge(soft)[..., 0]
    columns = np.flatnonzero(strokes[128])
    assert set(np.unique(strokes)) == {0, 255}
    assert columns.mean() == pytest.approx(128, abs=1)
    assert 4 <= len(columns) <= 17


@pytest.mark.parametrize("kind", ["layer", "mask", "paper"])
def test_a_drawing_becomes_white_strokes(kind: str) -> None:
    ink = np.zeros((32, 48), bool)
    ink[10, 5:40] = True
    drawn = {
        "layer": np.dstack([np.zeros((32, 48, 3), np.uint8), np.where(ink, 255, 0).astype(np.uint8)]),
        "mask": np.where(ink, 255, 0).astype(np.uint8),
        "paper": np.where(ink[..., None], 10, 255).astype(np.uint8).repeat(3, axis=2),
    }[kind]
    assert (scribble_from_canvas(drawn) == np.where(ink, 255, 0)[..., None]).all()
    with pytest.raises(InputError, match="Nothing is drawn yet"):
        scribble_from_canvas(np.full_like(drawn, 255 if kind == "paper" else 0))


def test_xdog_of_every_channel_is_the_usual_one(photos: dict[str, Image]) -> None:
    """By the formula that other programs share, but for dust."""
    photo = resize(photos["astronaut"], 512, 512)
    fine, coarse = (cv2.GaussianBlur(photo.astype(np.float32), (0, 0), sigma) for sigma in (0.5, 5.0))
    usual = 2 * (255 - (255 - (coarse - fine).min(axis=2)).clip(0, 255)) > 32
    ours = ScribbleXDoG(channels="every")(photo)[..., 0] > 0
    assert not (ours & ~usual).any()
    assert ours.sum() > 0.7 * usual.sum()
    assert ours.sum() < 0.7 * (ScribbleXDoG()(photo)[..., 0] > 0).sum()
