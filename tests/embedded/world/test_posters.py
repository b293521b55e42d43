from __future__ import annotations

import hashlib
from itertools import pairwise

import cv2
import numpy as np
import pytest

from cnet_app.embedded.world import photos
from cnet_app.embedded.world.photos import drop_specks, load_photo
from cnet_app.embedded.world.posters import (
    HELD_OUT_PHOTOS,
    PALETTES,
    POSTER_STYLES,
    TRAIN_PHOTOS,
    create_poster,
    poster_from_photo,
)
from cnet_app.embedded.world.sample import Sample
from cnet_app.embedded.world.shapes import DRAWINGS


@pytest.fixture(scope="module")
def posters() -> list[Sample]:
    return [create_poster(seed, 128) for seed in range(60)]


def edge_share(sample: Sample) -> float:
    return float((cv2.Canny(cv2.cvtColor(sample.image, cv2.COLOR_RGB2GRAY), 100, 200) > 0).mean())


def spread_of(image: photos.Image, palette: str) -> float:
    """Mean distance of the pixels to the nearest point on the palette's line from tone to tone."""
    tones = np.array(PALETTES[palette], float)
    between = np.concatenate([np.linspace(a, b, 12) for a, b in pairwise(tones)])
    pixels = image.reshape(-1, 3)[::37].astype(float)
    return float(np.sqrt(((pixels[:, None] - between) ** 2).sum(-1)).min(1).mean())


def test_same_seed_gives_the_same_bytes_and_another_seed_another_picture() -> None:
    one, again, other = create_poster(5, 64), create_poster(5, 64), create_poster(6, 64)
    assert one.image.tobytes() == again.image.tobytes()
    assert one.caption == again.caption
    assert one.image.tobytes() != other.image.tobytes()


@pytest.mark.parametrize("size", [64, 96, 256])
def test_a_poster_is_a_square_rgb_picture_without_a_scene(size: int) -> None:
    sample = create_poster(3, size)
    assert sample.image.shape == (size, size, 3)
    assert sample.image.dtype == np.uint8
    assert (sample.depth, sample.sky, sample.things) == (None, None, ())


@pytest.mark.slow
def test_every_style_palette_and_content_appears_and_captions_keep_to_their_grammar(posters: list[Sample]) -> None:
    assert {sample.style for sample in posters} == set(POSTER_STYLES)
    assert {sample.palette for sample in posters} == set(PALETTES)
    for sample in posters:
        begin, content = sample.caption.split(" of ")
        assert begin == f"{POSTER_STYLES[sample.style]} in {sample.palette} colours"
        assert content == "a photo" or content in DRAWINGS
    assert 0.25 < np.mean([sample.caption.endswith("a photo") for sample in posters]) < 0.65


@pytest.mark.slow
def test_edges_are_rich_but_not_noise() -> None:
    shares = np.array([edge_share(create_poster(seed)) for seed in range(100, 116)])
    assert ((shares > 0.015) & (shares < 0.18)).mean() > 0.9
    assert 0.05 < np.median(shares) < 0.11


@pytest.mark.parametrize("palette", PALETTES)
def test_a_flat_poster_keeps_to_its_palette(palette: str) -> None:
    sample = poster_from_photo(load_photo("camera"), 1, 64, "poster", palette)
    distances = {name: spread_of(sample.image, name) for name in PALETTES}
    assert min(distances, key=distances.__getitem__) == palette
    assert distances[palette] < 16


def test_palettes_go_from_dark_to_light() -> None:
    for colours in PALETTES.values():
        grey = np.array(colours) @ [0.299, 0.587, 0.114]
        assert len(colours) == 6
        assert (np.diff(grey) > 15).all()


@pytest.mark.slow
def test_training_posters_never_open_a_held_out_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def record(name: str) -> photos.Image:
        opened.append(name)
        return load_photo(name)

    monkeypatch.setattr(photos, "load_photo", record)
    for seed in range(80):
        create_poster(seed, 32)
    assert opened
    assert not set(opened) & set(HELD_OUT_PHOTOS)
    opened.clear()
    for seed in range(40):
        create_poster(seed, 32, held_out=True)
    assert set(opened) == set(HELD_OUT_PHOTOS)


def test_no_training_photo_is_a_held_out_one_under_another_name() -> None:
    def digest(name: str) -> str:
        return hashlib.sha256(load_photo(name).tobytes()).hexdigest()

    assert not {digest(name) for name in TRAIN_PHOTOS} & {digest(name) for name in HELD_OUT_PHOTOS}


def test_a_poster_of_a_photo_has_the_edges_of_the_photo() -> None:
    photo = np.asarray(cv2.resize(load_photo("astronaut"), (192, 192), interpolation=cv2.INTER_AREA), np.uint8)
    sample = poster_from_photo(photo, 1, 192, "poster", "mono")
    near = np.ones((5, 5), np.uint8)
    wanted, got = (cv2.Canny(cv2.cvtColor(i, cv2.COLOR_RGB2GRAY), 100, 200) for i in (photo, sample.image))
    assert (cv2.dilate(got, near)[wanted > 0] > 0).mean() > 0.75
    assert (cv2.dilate(wanted, near)[got > 0] > 0).mean() > 0.6


def test_photos_are_rgb_read_only_and_an_unknown_name_is_refused() -> None:
    for name in TRAIN_PHOTOS + HELD_OUT_PHOTOS:
        photo = load_photo(name)
        assert photo.ndim == 3
        assert photo.dtype == np.uint8
        assert not photo.flags.writeable
    with pytest.raises(ValueError, match="nobody"):
        load_photo("nobody")


@pytest.mark.parametrize(("style", "palette"), [("cubist", "fire"), ("ink", "beige")])
def test_unknown_styles_and_palettes_are_refused(style: str, palette: str) -> None:
    with pytest.raises(ValueError, match=r"cubist|beige"):
        poster_from_photo(load_photo("camera"), 0, 32, style, palette)


@pytest.mark.parametrize("content", DRAWINGS)
def test_a_drawing_uses_its_tones_and_no_others(content: str) -> None:
    for seed in range(3):
        tones = DRAWINGS[content](np.random.default_rng(seed), 128, 4)
        assert tones.shape == (128, 128)
        assert tones.dtype == np.uint8
        assert tones.max() < 4
        assert len(np.unique(tones)) > 1


def test_specks_go_to_their_neighbour() -> None:
    tones = np.zeros((20, 20), np.uint8)
    tones[:, 10:] = 2
    clean = tones.copy()
    tones[4:6, 4:6] = 1
    assert np.array_equal(drop_specks(tones, 9), clean)
    assert np.array_equal(drop_specks(tones, 4), tones)
