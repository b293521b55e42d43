"""One file read as photo, map, mask, weights and start: what transparency and colour profiles mean in each."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw

from annotators.base import Image
from annotators.maps.kinds import KINDS
from annotators.maps.map_files import map_role
from annotators.sources.images import load_image, load_noted, load_start
from annotators.sources.roles import MASK, PHOTO, WEIGHTS
from models.errors import InputError
from tests.annotators.sources import profiles

BOX = (16, 16, 48, 48)


def _encode(picture: Pillow.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _sheet(colour: tuple[int, int, int], mode: str = "RGBA") -> bytes:
    """A square of one colour on a transparent sheet of 64x64."""
    sheet = Pillow.new("RGBA", (64, 64), (9, 8, 7, 0))
    sheet.paste((*colour, 255), BOX)
    return _encode(sheet.convert(mode))


def _rubbed(photo: Image) -> bytes:
    """A photo with a hole rubbed into it, under which the colours are still there."""
    picture = Pillow.fromarray(photo).resize((96, 64)).convert("RGBA")
    alpha = Pillow.new("L", picture.size, 255)
    ImageDraw.Draw(alpha).ellipse((30, 20, 60, 50), fill=0)
    picture.putalpha(alpha)
    return _encode(picture)


@pytest.mark.parametrize("id", list(KINDS))
def test_what_is_transparent_in_a_map_is_its_nothing(id: Any) -> None:
    image = load_image(_sheet((200, 200, 200)), role=map_role(KINDS[id]))
    assert (image[20:40, 20:40] == 200).all()
    assert tuple(image[2, 2]) == (KINDS[id].background or (255, 255, 255))
    assert (load_image(_sheet((200, 200, 200)))[2, 2] == 255).all()


def test_colours_with_a_meaning_are_not_mixed_with_the_sheet() -> None:
    soft = Pillow.new("RGBA", (64, 64), (255, 0, 0, 0))
    soft.putalpha(Pillow.linear_gradient("L").resize((64, 64)))
    image = load_image(_encode(soft), role=map_role(KINDS["pose"]))
    assert set(map(tuple, image.reshape(-1, 3).tolist())) == {(0, 0, 0), (255, 0, 0)}
    assert len(np.unique(load_image(_encode(soft), role=map_role(KINDS["depth"])))) > 20


def test_dark_ink_on_a_transparent_sheet_is_told_and_keeps_its_paper() -> None:
    role = map_role(KINDS["lines"])
    image, notes = load_noted(_sheet((10, 10, 10)), "ink.png", role)
    assert tuple(image[2, 2]) == (255, 255, 255)
    assert tuple(image[30, 30]) == (10, 10, 10)
    assert notes == ("ink.png has dark lines on a transparent sheet, which was laid on white.",)
    assert load_noted(_sheet((10, 10, 10)), role=map_role(KINDS["depth"]))[1] == ()


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (230, 30, 60)])
def test_what_is_painted_on_a_transparent_sheet_is_the_mask(colour: tuple[int, int, int]) -> None:
    mask, notes = load_noted(_sheet(colour), "mask.png", MASK)
    expected = np.zeros((64, 64, 3), np.uint8)
    expected[16:48, 16:48] = 255
    assert np.array_equal(mask, expected)
    assert notes == ("mask.png is transparent: what is painted in it, in any colour, is the mask.",)


def test_a_soft_brush_gives_a_soft_mask() -> None:
    brush = Pillow.new("RGBA", (64, 64), (255, 0, 0, 0))
    brush.putalpha(Pillow.radial_gradient("L").resize((64, 64)))
    mask = load_image(_encode(brush), role=MASK)
    assert np.array_equal(mask[..., 0], np.asarray(brush)[..., 3])


def test_black_and_white_paint_on_a_transparent_sheet_keep_their_meaning() -> None:
    sheet = Pillow.new("RGBA", (64, 64), (0, 0, 0, 0))
    sheet.paste((255, 255, 255, 255), (0, 0, 30, 64))
    sheet.paste((0, 0, 0, 255), (30, 0, 50, 64))
    mask, notes = load_noted(_encode(sheet), "mask.png", MASK)
    assert (mask[:, :30] == 255).all() and not mask[:, 30:].any()
    assert notes == ("mask.png is transparent in parts, which count as black.",)


def test_a_photo_with_a_hole_as_mask_is_its_hole(photos: dict[str, Image]) -> None:
    mask, notes = load_noted(_rubbed(photos["coffee"]), "photo.png", MASK)
    assert (mask[30:40, 40:50] == 255).all() and not mask[:15].any()
    assert notes == ("photo.png is a picture with a hole: the hole is the mask.",)


def test_a_mask_without_transparency_stays_as_it_is() -> None:
    opaque = Pillow.new("RGBA", (64, 64), (0, 0, 0, 255))
    opaque.paste((255, 255, 255, 255), BOX)
    mask, notes = load_noted(_encode(opaque), role=MASK)
    assert np.array_equal(mask, np.asarray(opaque.convert("RGB")))
    assert notes == ()
    with pytest.raises(InputError, match="transparent everywhere"):
        load_image(_encode(Pillow.new("RGBA", (64, 64))), role=MASK)


def test_weights_where_nothing_is_painted_are_zero() -> None:
    assert (load_image(_sheet((255, 255, 255)), role=WEIGHTS)[2, 2] == 128).all()


def test_the_hole_in_a_picture_to_start_from(photos: dict[str, Image]) -> None:
    start, notes = load_start(_rubbed(photos["coffee"]), "photo.png")
    plain = np.asarray(Pillow.fromarray(photos["coffee"]).resize((96, 64)))
    assert start.hole is not None and notes == ()
    inside = start.hole[..., 0] == 255
    assert inside[30:40, 40:50].all() and not inside[:15].any()
    assert np.array_equal(start.image[~inside], plain[~inside])
    ring = plain[15:55, 25:65][~inside[15:55, 25:65]]
    assert np.abs(start.image[inside].mean(axis=0) - ring.mean(axis=0)).max() < 40  # filled from around it
    assert start.image[inside].std() < ring.std()


def test_pictures_without_a_hole_have_no_mask(photos: dict[str, Image]) -> None:
    photo = Pillow.fromarray(photos["coffee"])
    assert load_start(_encode(photo))[0].hole is None
    veil = photo.convert("RGBA")
    veil.putalpha(200)
    start, _ = load_start(_encode(veil))
    assert start.hole is None and np.array_equal(start.image, load_image(_encode(veil)))


# The reference is the RGB file of the same colours and profile.
@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_a_profile_counts_in_every_mode_of_colours(mode: str) -> None:
    flat = Pillow.new("RGB", (64, 64), (200, 60, 40))
    wide = profiles.wide_rgb()
    wanted = load_image(_encode(flat, icc_profile=wide))
    assert np.abs(wanted[0, 0].astype(int) - (219, 37, 13)).max() <= 2
    made = flat.convert(mode) if mode == "RGBA" else flat.quantize(4)
    assert np.abs(load_image(_encode(made, icc_profile=wide)).astype(int) - wanted).max() <= 2


def test_a_profile_counts_beside_a_hole() -> None:
    sheet = Pillow.new("RGBA", (64, 64), (200, 60, 40, 0))
    sheet.paste((200, 60, 40, 255), BOX)
    image = load_image(_encode(sheet, icc_profile=profiles.wide_rgb()))
    assert np.abs(image[30, 30].astype(int) - (219, 37, 13)).max() <= 2
    assert (image[2, 2] == 255).all()


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_of_linear_gamma_becomes_brighter(mode: str) -> None:
    grey = Pillow.new("L", (64, 64), 128)
    made = Pillow.fromarray(np.full((64, 64), 128 * 257, np.uint16)) if mode == "I;16" else grey.convert(mode)
    image = load_image(_encode(made, icc_profile=profiles.grey(1.0)))
    assert np.abs(image.astype(int) - 188).max() <= 2


def test_inks_with_a_profile_that_is_not_for_inks_are_told() -> None:
    inks = Pillow.new("RGB", (64, 64), (200, 30, 40)).convert("CMYK")
    image, notes = load_noted(_encode(inks, "JPEG", icc_profile=profiles.wide_rgb()), "scan.jpg")
    assert np.abs(image.astype(int) - (200, 30, 40)).max() < 12
    assert notes == ("The colour profile of scan.jpg does not fit its picture and was ignored.",)


@pytest.mark.parametrize("role", [map_role(KINDS["depth"]), map_role(KINDS["normal"]), MASK, WEIGHTS])
def test_numbers_are_no_colours(role: Any) -> None:
    flat = Pillow.new("RGB", (64, 64), (200, 60, 40))
    assert (load_image(_encode(flat, icc_profile=profiles.wide_rgb()), role=role) == (200, 60, 40)).all()
    assert not (load_image(_encode(flat, icc_profile=profiles.wide_rgb()), role=PHOTO) == (200, 60, 40)).all()
