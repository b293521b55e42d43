"""Maps that are pictures."""

from __future__ import annotations

import numpy as np
import pytest

from annotators.base import Annotator, Image
from annotators.lineart import Invert
from annotators.pictures import AsItIs, Blur, ColorGrid, RecolorIntensity, RecolorLuminance, Shuffle, Tile
from annotators.scribble import Ink

KINDS: tuple[type[Annotator], ...] = (AsItIs, Tile, Blur, Shuffle, RecolorLuminance, RecolorIntensity, ColorGrid)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(160, 200, 3), (8, 300, 3)])
def test_a_picture_of_the_same_size(kind: type[Annotator], shape: tuple[int, ...], photos: dict[str, Image]) -> None:
    photo = np.resize(photos["coffee"], shape)
    made = kind()(photo)
    assert made.shape == photo.shape
    assert made.dtype == np.uint8
    assert made is not photo
    assert np.array_equal(made, kind()(photo))  # the same again, chance included


def test_a_shuffle_keeps_the_colours_and_not_the_places(photos: dict[str, Image]) -> None:
    photo = photos["chelsea"]
    made, other = Shuffle()(photo), Shuffle(seed=1)(photo)
    assert np.abs(made.mean(axis=(0, 1)) - photo.mean(axis=(0, 1))).max() < 25
    assert np.abs(made.astype(int) - photo).mean() > 20
    assert np.abs(made.astype(int) - other).mean() > 20
    assert made.min() >= photo.min()
    assert made.max() <= photo.max()


def test_vague_pictures_lose_detail_and_nothing_else(photos: dict[str, Image]) -> None:
    def detail(image: Image) -> float:
        return float(np.abs(np.diff(image.astype(int), axis=1)).mean())

    photo = photos["coffee"]
    assert np.array_equal(Tile()(photo), photo)
    assert detail(Tile(down_sampling_rate=8.0)(photo)) < detail(Tile(down_sampling_rate=2.0)(photo)) < detail(photo)
    assert detail(Blur(sigma=30.0)(photo)) < detail(Blur(sigma=3.0)(photo)) < detail(photo)
    assert np.abs(Blur()(photo).mean() - photo.mean()) < 2


def test_cells_have_one_colour_each(photos: dict[str, Image]) -> None:
    made = ColorGrid(cell=128)(photos["rocket"])  # 160 px high: cells of 40
    assert len(np.unique(made.reshape(-1, 3), axis=0)) <= 4 * 5
    assert (
        np.abs(
            made[:40, :40].reshape(-1, 3).mean(axis=0) - photos["rocket"][:40, :40].reshape(-1, 3).mean(axis=0)
        ).max()
        < 2
    )


def test_grey_pictures_are_grey(photos: dict[str, Image]) -> None:
    for kind in (RecolorLuminance, RecolorIntensity):
        made = kind()(photos["chelsea"])
        assert (made == made[..., :1]).all()
        assert kind(gamma=0.5)(photos["chelsea"]).mean() > made.mean() > kind(gamma=2.0)(photos["chelsea"]).mean()


def test_a_drawing_on_paper_becomes_white_on_black() -> None:
    paper = np.full((40, 60, 3), 250, np.uint8)
    paper[20, 10:50] = (20, 30, 60)
    assert set(map(tuple, np.argwhere(Ink()(paper)[..., 0]))) == {(20, x) for x in range(10, 50)}
    inverted = Invert()(paper)
    assert (inverted[20, 10:50] > 200).all()
    assert inverted[0].max() == 5
