"""Pictures that people bring: decoded right, or refused in one sentence."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import PngImagePlugin, features
from skimage import data

from annotators.base import Image
from annotators.canny import Canny
from annotators.registry import annotator
from annotators.sources.images import from_array, load_image, load_noted
from annotators.sources.picture_files import FORMATS, SUFFIXES
from cnet_app.diffusion.start import inpainted, mask_notes
from cnet_app.maps.annotate import Maps
from cnet_app.maps.own import control_image_from_map
from cnet_app.registry.conditions import CONDITIONS
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.recipe import save_picture
from cnet_app.request.units import ControlUnit
from models.catalogue.catalog import entry
from models.errors import InputError

PHOTO: Image = np.asarray(data.coffee())[::4, ::4]


def encode(picture: Pillow.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def black_and_white(width: int, height: int) -> bytes:
    """A PNG of one bit a pixel, whose header promises more than there is."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")


def with_chunks(*chunks: bytes) -> bytes:
    """The photo as PNG, with these behind its header."""
    png = encode(Pillow.fromarray(PHOTO))
    return png[:33] + b"".join(chunks) + png[33:]


JPEG, PNG = encode(Pillow.fromarray(PHOTO), "JPEG"), encode(Pillow.fromarray(PHOTO))
WRONG_CRC = PNG[:60] + bytes([PNG[60] ^ 0xFF]) + PNG[61:]
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><rect width="64" height="64"/></svg>'
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n(it ran) = quit\n"
HEIC, JXL = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(64), b"\xff\x0a" + bytes(64)
LARGE_FRAME = (
    b"GIF89a"
    + struct.pack("<HHBBB", 64, 64, 0, 0, 0)
    + struct.pack("<BHHHHB", 0x2C, 0, 0, 60_000, 60_000, 0)
    + b"\2\0;"
)


def test_endings_are_those_of_the_formats_that_are_read() -> None:
    Pillow.init()
    of_pillow = {ending for ending, format in Pillow.EXTENSION.items() if format in FORMATS}
    assert {*SUFFIXES} == of_pillow | {".heic", ".heif", ".hif"}


NO_PICTURE = "is not a picture that can be read; give one of PNG, JPEG, WEBP, AVIF, BMP, GIF, HEIC"
HEIC_REFUSED = (
    "is damaged or cut off" if find_spec("pi_heif") else "is a HEIC photo, which needs the Python package pi-heif"
)
REFUSED: list[tuple[str, bytes, str]] = [
    ("empty file", b"", "is empty (0 bytes); choose another picture"),
    ("text named .png", b"just some text\n" * 20, NO_PICTURE),
    ("PDF", b"%PDF-1.7 and so on", NO_PICTURE),
    ("HTML", b"<!doctype html><html><body>Please log in</body></html>", NO_PICTURE),
    ("JPEG cut off", JPEG[: len(JPEG) * 7 // 10], "is damaged or cut off; save or download it again"),
    ("PNG cut off", PNG[: len(PNG) * 7 // 10], "is damaged or cut off; save or download it again"),
    ("wrong checksum", WRONG_CRC, "is damaged or cut off; save or download it again"),
    ("decompression bomb", black_and_white(30_000, 30_000), "has 900 megapixels; the limit is 200, make it smaller"),
    ("bomb within the limit", black_and_white(8_000, 8_000), "is damaged or cut off"),
    ("bomb in a frame", LARGE_FRAME, "has 3600 megapixels; the limit is 64, make it smaller"),
    ("one pixel", encode(Pillow.new("RGB", (1, 1))), "is 1x1 pixels; each side must be at least 8"),
    ("line", encode(Pillow.new("RGB", (1, 4000))), "is 1x4000 pixels; each side must be at least 8"),
    ("strip", encode(Pillow.new("RGB", (16385, 16))), "is 16385x16 pixels, too narrow"),
    ("TIFF of two pages", encode(Pillow.fromarray(PHOTO), "TIFF", save_all=True), NO_PICTURE),
    ("SVG", SVG, NO_PICTURE),
    ("EPS", EPS, NO_PICTURE),
    ("HEIC that is none", HEIC, HEIC_REFUSED),
    ("JPEG XL", JXL, NO_PICTURE),
    ("float TIFF", encode(Pillow.fromarray(PHOTO[..., 0].astype(np.float32)), "TIFF"), NO_PICTURE),
    ("transparent everywhere", encode(Pillow.new("RGBA", (64, 64), (9, 9, 9, 0))), "is transparent everywhere"),
    ("all but transparent", encode(Pillow.new("RGBA", (64, 64), (9, 9, 9, 1))), "is transparent everywhere"),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("content", "sentence"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_no_picture_to_work_with_is_told_in_a_sentence(
    content: bytes, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spawned(*_: object, **__: object) -> None:
        raise AssertionError("a program was started for it")  # Ghostscript, as Pillow does for EPS

    monkeypatch.setattr(subprocess, "Popen", spawned)
    start = time.process_time()
    with pytest.raises(InputError) as told:
        load_image(content, "photo.png")
    assert time.process_time() - start < 2
    assert str(told.value).startswith("photo.png ")
    assert sentence in str(told.value)
    assert str(told.value).count(". ") == 0
    assert load_image(PNG).shape == PHOTO.shape  # and the next one is read


def test_no_flipped_byte_ends_otherwise() -> None:
    small = Pillow.fromarray(PHOTO[:24, :24])
    rng = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        whole = encode(small, kind)
        for place in rng.integers(0, len(whole), 80):
            try:
                assert load_image(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :]).dtype == np.uint8
            except InputError as told:
                assert len(str(told)) < 200  # noqa: PT017


def animation(frames: int) -> bytes:
    """A red frame, then as many blue ones as are asked for."""
    two = encode(
        Pillow.new("RGB", (32, 32), "red"), "GIF", save_all=True, append_images=[Pillow.new("RGB", (32, 32), "blue")]
    )
    second = two.rindex(b"\x21\xf9")
    return two[:second] + (frames - 1) * two[second:-1] + two[-1:]


def test_of_a_long_animation_the_first_frame_is_used_and_told() -> None:
    start = time.process_time()
    picture, notes = load_noted(animation(5_000), "cat.gif")
    assert time.process_time() - start < 1
    assert (picture == (255, 0, 0)).all()
    assert notes == ("cat.gif is an animation; its first frame is used.",)
    for kind in ("PNG", "WEBP"):
        frames = [Pillow.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
        moving = encode(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
        assert load_noted(moving)[1] == ("The picture is an animation; its first frame is used.",)
    assert load_noted(PNG)[1] == ()


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_is_read() -> None:
    assert np.abs(load_image(encode(Pillow.fromarray(PHOTO), "AVIF", quality=95)).astype(int) - PHOTO).mean() < 4


def test_cmyk_with_adobes_inverted_inks_keeps_its_colours() -> None:
    jpeg = encode(Pillow.new("RGB", (32, 32), (200, 30, 40)).convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in jpeg
    assert np.abs(load_image(jpeg).astype(int) - (200, 30, 40)).max() < 12


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 4096).reshape(64, 64).astype(np.uint16)
    assert np.abs(load_image(encode(Pillow.fromarray(ramp)))[..., 0] - ramp / 257).max() <= 0.5


def test_a_transparent_palette_lies_on_white() -> None:
    palette = Pillow.new("P", (32, 32), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(1, (0, 0, 16, 32))
    picture = load_image(encode(palette, transparency=0))
    assert (picture[:, :16] == (0, 0, 255)).all()
    assert (picture[:, 16:] == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    start = Pillow.new("RGB" if mode in ("CMYK", "YCbCr") else "L", (20, 10), "white")
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    assert load_image(encode(start.convert(mode), kind)).shape == (10, 20, 3)


@pytest.mark.parametrize("shape", [(9, 12), (9, 12, 1), (9, 12, 2), (9, 12, 3), (9, 12, 4)])
def test_arrays_of_one_to_four_channels_become_rgb(shape: tuple[int, ...]) -> None:
    assert from_array(np.full(shape, 255, np.uint8)).shape == (9, 12, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_stands_upright(orientation: int) -> None:
    undone: dict[int, Callable[[Image], Image]] = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, 1), 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    stored = Pillow.fromarray(np.ascontiguousarray(undone[orientation](PHOTO)))
    assert (load_image(encode(stored, exif=exif)) == PHOTO).all()


def test_ten_megabytes_of_exif_and_a_place_on_earth_do_not_get_further() -> None:
    exif = Pillow.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x010E] = "somewhere"
    jpeg = encode(Pillow.fromarray(PHOTO), "JPEG", quality=95, exif=exif)
    block = b"\xff\xe1" + struct.pack(">H", 65_000) + b"http://ns.adobe.com/xap/1.0/\0" + bytes(64_998 - 29)
    picture = load_image(jpeg[:2] + 160 * block + jpeg[2:])
    assert (picture == load_image(jpeg)).all()
    assert b"somewhere" not in encode_png(picture)
    broken = encode(Pillow.fromarray(PHOTO), exif=b"Exif\0\0broken beyond repair")
    assert (load_image(broken) == PHOTO).all()


@pytest.mark.parametrize(
    "texts",
    [
        [chunk(b"tEXt", b"key\0" + bytes(1_000_000)) for _ in range(70)],
        [chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(100_000_000), 9))],
        [chunk(b"iTXt", b"key\0\1\0\0\0" + zlib.compress(bytes(100_000_000), 9))],
    ],
    ids=["many", "zTXt bomb", "iTXt bomb"],
)
def test_too_much_metadata_is_ignored_and_told(texts: list[bytes]) -> None:
    picture, notes = load_noted(with_chunks(*texts), "photo.png")
    assert (picture == PHOTO).all()
    assert notes == ("The metadata of photo.png is too large and was ignored.",)
    with pytest.raises(InputError, match="damaged or cut off"):
        load_image(with_chunks(*texts)[:-300])  # the picture itself still has to be whole


def test_metadata_of_a_usual_size_is_nothing_to_tell() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a cat " * 1000, zip=True)
    assert load_noted(encode(Pillow.fromarray(PHOTO), pnginfo=info))[1] == ()


def request(**values: object) -> GenerationRequest:
    return GenerationRequest(width=64, height=64, **values)  # pyright: ignore[reportArgumentType]


def masked(mask: Image, picture: Image = PHOTO[:64, :64]) -> GenerationRequest:
    return request(initial_image=encode_png(picture), inpaint_mask=encode_png(mask))


def half(side: int = 64, dark: int = 0, light: int = 255) -> Image:
    return (
        np.where(np.arange(side)[None, :, None] < side // 2, dark, light).repeat(side, 0).repeat(3, 2).astype(np.uint8)
    )


def test_the_same_name_twice_at_once_is_two_pictures(tmp_path: Path) -> None:
    wanted = request(prompt="the same")
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: save_picture(tmp_path, PHOTO, wanted, 0), range(4)))
    assert len(set(paths)) == 4


def test_a_mask_of_another_size_is_fitted_with_hard_borders_and_told() -> None:
    wanted = masked(half(32))
    assert list(mask_notes(wanted)) == [
        "The mask is 32x32 and the initial picture 64x64: it is resized to the picture."
    ]
    assert (inpainted(wanted) == (half()[..., 0] > 0)).all()
    assert list(mask_notes(masked(half()))) == []


def test_a_mask_that_covers_nothing_or_everything_is_told() -> None:
    with pytest.raises(InputError, match="inpaint_mask covers nothing: paint the part to change white"):
        list(mask_notes(masked(half(light=0))))
    assert list(mask_notes(masked(half(dark=255)))) == [
        "The mask covers everything: nothing of the initial picture stays."
    ]
    dark = ControlUnit(condition="canny", control_image=encode_png(half()), mask=encode_png(half(light=0)))
    assert list(mask_notes(request(units=(dark,)))) == [
        "The mask of unit 1 is black everywhere: the unit has no effect."
    ]


def test_what_counts_of_a_soft_mask_is_told() -> None:
    soft = np.linspace(0, 255, 64).astype(np.uint8)[None, :, None].repeat(64, 0).repeat(3, 2)
    assert list(mask_notes(masked(soft))) == [
        "The mask is soft: where it is brighter than half the picture is new, elsewhere the initial picture stays."
    ]
    assert inpainted(masked(soft)).mean() == 0.5


def test_a_map_given_for_a_photo_and_a_map_of_wrong_polarity_are_seen(maps: Maps) -> None:
    edges = Canny()(np.asarray(data.astronaut())[::2, ::2])
    given = maps.annotate("canny", "canny", edges, {}, 256, 256)
    assert given.warnings == (
        "This picture already looks like a map for Canny; to use it as it is, choose no annotator.",
    )
    assert [repair.id for repair in given.repairs] == ["as_it_is"]
    dark = control_image_from_map("canny", 255 - edges, 256, 256)
    assert dark.warnings[0].endswith("reads white lines on black: invert its colours.")
    assert [repair.id for repair in dark.repairs] == ["invert"]
    repaired = control_image_from_map("canny", 255 - edges, 256, 256, repairs=("invert",))
    assert (repaired.pixels == edges).all()
    assert repaired.warnings == ("Its colours were inverted.",)


FREE = [
    (row.id, id) for row in CONDITIONS for id in row.annotators if not any(entry(w).repo for w in annotator(id).weights)
]
"""Annotators that need no download, by condition."""


@pytest.mark.slow
@pytest.mark.parametrize(("condition", "id"), FREE, ids=lambda value: value)
def test_a_flat_picture_gives_no_silent_black_map(maps: Maps, condition: str, id: str) -> None:
    made = maps.annotate(condition, id, np.full((96, 96, 3), 128, np.uint8), {}, 64, 64)
    expected = r"^(No edges were found|Nobody was found): the map is empty|^The picture has one colour only"
    assert re.search(expected, made.warnings[0]) and "choose" in made.warnings[0]
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    assert maps.annotate(condition, id, noise, {}, 64, 64).pixels.shape == (64, 64, 3)
