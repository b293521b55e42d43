"""Maps as depth cameras, renderers and datasets write them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL.Image import Resampling

from annotators.base import Image
from annotators.maps.coco import COCO_CLASSES, COCO_PALETTE, COCO_TO_ADE20K
from annotators.maps.encoders import ADE20K_CLASSES, ADE20K_PALETTE, encode_segmentation
from annotators.maps.kinds import KINDS
from annotators.maps.map_files import map_role
from annotators.maps.recognise import repair
from annotators.sources.images import load_image, load_noted
from models.errors import InputError

DEPTH, LABELS = map_role(KINDS["depth"]), map_role(KINDS["labels"])


def _png(pixels: NDArray[np.generic] | Pillow.Image) -> bytes:
    buffer = io.BytesIO()
    (pixels if isinstance(pixels, Pillow.Image) else Pillow.fromarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()


def _room() -> NDArray[np.uint16]:
    """Millimetres: a floor from 0.8 m to 4 m, a wall behind it, a box in front, and a rim that was not measured."""
    rows = np.linspace(4_000, 800, 64).astype(np.uint16)[:, None].repeat(96, axis=1)
    rows[:16] = 4_000
    rows[30:50, 30:60] = 700
    rows[:, :4] = 0
    return rows


def test_distances_of_a_depth_camera_become_near_is_white_and_it_is_told() -> None:
    image, notes = load_noted(_png(_room()), "kinect.png", DEPTH)
    assert (image[30:50, 30:60] > 250).all()
    assert (image[:16, 4:] < 5).all()
    assert not image[:, :4].any()
    column = image[50:, 80, 0].astype(int)
    assert (np.diff(column) >= 0).all() and column[-1] > column[0] + 40
    expected = (1 / 2_000 - 1 / 4_000) / (1 / 700 - 1 / 4_000) * 255  # inverse depth, as depth networks give it
    at_two_metres = np.abs(_room()[:, 80].astype(int) - 2_000).argmin()
    assert abs(int(image[at_two_metres, 80, 0]) - expected) < 6
    assert notes == (
        "kinect.png holds distances from 700 to 4,000, as depth cameras write millimetres: it was inverted, so that near "
        "is white, and what was not measured is black.",
    )


def test_a_few_wrong_measurements_do_not_darken_the_rest() -> None:
    room = _room()
    room[0, 10] = 1
    assert (load_image(_png(room), role=DEPTH)[30:50, 30:60] > 250).all()


def test_a_far_plane_at_the_largest_number_is_no_measurement() -> None:
    room = _room()
    room[:8] = 65_535
    image, notes = load_noted(_png(room), "render.png", DEPTH)
    assert not image[:8].any() and (image[30:50, 30:60] > 250).all()
    assert "distances from 700 to 4,000" in notes[0]


def test_sixteen_bits_of_inverse_depth_are_stretched_to_their_own_range() -> None:
    ramp = np.linspace(20_000, 60_000, 64).astype(np.uint16)[:, None].repeat(64, axis=1)
    image, notes = load_noted(_png(ramp), "midas.png", DEPTH)
    assert image[0, 0, 0] == 0 and image[-1, 0, 0] == 255
    assert notes == (
        "midas.png has 16 bits: its numbers from 20,000 to 60,000 were stretched to the full range, large ones near.",
    )
    small = (ramp // 16).astype(np.uint16)  # small numbers, but the ground has the largest
    image, notes = load_noted(_png(small), "disparity.png", DEPTH)
    assert image[-1, 0, 0] == 255 and "large ones near" in notes[0]


def test_depth_of_eight_bits_stays_and_nothing_measured_is_told() -> None:
    grey = np.linspace(20, 90, 4_096).reshape(64, 64).astype(np.uint8)
    image, notes = load_noted(_png(grey), role=DEPTH)
    assert np.array_equal(image[..., 0], grey) and notes == ()
    with pytest.raises(InputError, match="holds no depth: all its numbers are 0 or 65,535"):
        load_image(_png(np.zeros((64, 64), np.uint16)), role=DEPTH)


def _classes() -> NDArray[np.int64]:
    """Sky over mountains over grass, with a person."""
    classes = np.full((64, 96), ADE20K_CLASSES.index("grass"))
    classes[:40] = ADE20K_CLASSES.index("mountain")
    classes[:20] = ADE20K_CLASSES.index("sky")
    classes[30:60, 40:50] = ADE20K_CLASSES.index("person")
    return classes


def _coloured() -> Image:
    return encode_segmentation(_classes())


def test_class_numbers_in_grey_are_recognised_and_told() -> None:
    image, notes = load_noted(_png(_classes().astype(np.uint8)), "ids.png", LABELS)
    assert np.array_equal(image, _coloured())
    assert notes == (
        "ids.png holds class numbers, read as ADE20K's from 0: grass, sky, mountain and person; if they count from 1, "
        "choose the repair “Count classes from 1” (count_from_1).",
    )


@pytest.mark.parametrize("form", ["RGB", "RGBA", "I;16", "LA"])
def test_class_numbers_in_other_modes(form: str) -> None:
    numbers = _classes().astype(np.uint8)
    picture = Pillow.fromarray(numbers).convert(form) if form != "I;16" else Pillow.fromarray(numbers.astype(np.uint16))
    assert np.array_equal(load_image(_png(picture), role=LABELS), _coloured())


def test_class_numbers_of_the_datasets_files_count_from_1() -> None:
    numbers = (_classes() + 1).astype(np.uint8)
    numbers[:, :5] = 0  # no class
    numbers[60:, 90:] = 150  # flag, the last
    image, notes = load_noted(_png(numbers), "ADE_val_00000001.png", LABELS)
    expected = _classes()
    expected[:, :5], expected[60:, 90:] = -1, 149
    assert np.array_equal(image, encode_segmentation(expected))
    assert "read as ADE20K's from 1: grass, sky" in notes[0] and "repair" not in notes[0]


def test_class_numbers_that_count_from_1_are_repaired() -> None:
    numbers = (_classes() + 1).astype(np.uint8)
    numbers[:, :5] = 0
    image = load_image(_png(numbers), role=LABELS)
    expected = _classes()
    expected[:, :5] = -1
    repaired, done = repair(image, KINDS["labels"], ["count_from_1"])
    assert np.array_equal(repaired, encode_segmentation(expected))
    assert done == ("Its classes were counted from 1, not from 0.",)


def test_255_is_no_class() -> None:
    numbers = _classes().astype(np.uint8)
    numbers[:, :5] = 255
    assert not load_image(_png(numbers), role=LABELS)[:, :5].any()


def test_a_palette_png_has_ade20ks_colours_or_numbers() -> None:
    numbers = Pillow.fromarray(_classes().astype(np.uint8))
    coloured = numbers.copy()
    coloured.putpalette(ADE20K_PALETTE.ravel().tolist())
    image, notes = load_noted(_png(coloured), "palette.png", LABELS)
    assert np.array_equal(image, _coloured()) and notes == ()
    rng = np.random.default_rng(0)
    numbers.putpalette(rng.integers(0, 255, 768).tolist())
    image, notes = load_noted(_png(numbers), "other.png", LABELS)
    assert np.array_equal(image, _coloured())
    assert notes[0].startswith("other.png holds class numbers, read as ADE20K's from 0: grass, sky")


def test_coco_colours_become_those_of_ade20k_and_what_is_missing_is_told() -> None:
    names = {"sky": "sky-other", "mountain": "mountain", "grass": "grass", "person": "person"}
    classes, painted = _classes(), np.zeros((64, 96, 3), np.uint8)
    for ade, coco in names.items():
        painted[classes == ADE20K_CLASSES.index(ade)] = COCO_PALETTE[COCO_CLASSES.index(coco)]
    image, notes = load_noted(_png(painted), "oneformer.png", LABELS)
    assert np.array_equal(image, _coloured())
    assert notes == ("oneformer.png has the colours of COCO's classes: they were replaced by those of ADE20K.",)
    painted[50:60, 10:20] = COCO_PALETTE[COCO_CLASSES.index("umbrella")]
    painted[50:60, 60:80] = COCO_PALETTE[COCO_CLASSES.index("train")]
    image, notes = load_noted(_png(painted), "oneformer.png", LABELS)
    assert not image[50:60, 10:20].any() and not image[50:60, 60:80].any()
    assert notes[0].endswith("; ADE20K has no train or umbrella, which became black.")


def test_every_coco_class_has_its_own_colour_and_a_class_that_exists() -> None:
    assert len(COCO_CLASSES) == len(set(COCO_CLASSES)) == 133
    assert len({tuple(colour) for colour in COCO_PALETTE.tolist()}) == 133
    assert set(COCO_TO_ADE20K.values()) <= set(ADE20K_CLASSES)
    assert len(COCO_TO_ADE20K) > 100


def test_photos_drawings_and_exact_maps_are_left_alone(photos: dict[str, Image]) -> None:
    for name in ("coffee", "rocket"):
        photo = Pillow.fromarray(photos[name])
        for picture in (photo, photo.convert("L"), Pillow.fromarray(np.asarray(photo.convert("L")) // 2)):
            plain = np.asarray(picture.convert("RGB"))
            image, notes = load_noted(_png(picture), role=LABELS)
            assert np.array_equal(image, plain) and notes == ()
    drawn = np.zeros((64, 64), np.uint8)
    drawn[20:40] = 255
    assert load_noted(_png(drawn), role=LABELS)[1] == ()
    blurred = Pillow.fromarray(_coloured()).resize((80, 60), Resampling.BILINEAR)
    assert np.array_equal(load_image(_png(blurred), role=LABELS), np.asarray(blurred))


def test_a_transparent_part_of_a_label_map_has_no_class() -> None:
    alpha = np.full((64, 96), 255, np.uint8)
    alpha[:, :10] = 0
    image = load_image(_png(np.dstack([_coloured(), alpha])), role=LABELS)
    assert not image[:, :10].any() and np.array_equal(image[:, 10:], _coloured()[:, 10:])
