"""Picture files: every mode comes out as upright RGB, every fault has its own sentence."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms
from PIL.PngImagePlugin import PngInfo

from annotators.base import Image
from annotators.sources.images import (
    fit_inside,
    fit_size,
    from_array,
    load_image,
    load_noted,
    pad,
    resize,
)
from annotators.sources.picture_files import MAX_BYTES, MAX_PIXELS, check_size, read_bytes, readable_name
from models.errors import InputError


def _encode(picture: Pillow.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _bomb(side: int = 30_000) -> bytes:
    """A PNG of black and white pixels that is small as a file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    )


def _wrong_checksum(photo: Image) -> bytes:
    data = bytearray(_encode(Pillow.fromarray(photo)))
    data[data.index(b"IDAT") + 100] ^= 0xFF
    return bytes(data)


def _black(width: int, height: int) -> bytes:
    return _encode(Pillow.new("RGB", (width, height)))


@pytest.mark.filterwarnings("error")
def test_bad_files_have_their_own_sentences(photos: dict[str, Image]) -> None:
    photo = Pillow.fromarray(photos["coffee"])
    jpeg = _encode(photo, "JPEG")
    png = _encode(photo)
    cases = {
        b"": "is empty",
        b"just some text\n" * 20: "is not a picture that can be read; give one of PNG, JPEG",
        b"%PDF-1.7 and so on": "is not a picture",
        _encode(photo, "TIFF"): "is not a picture",
        jpeg[: len(jpeg) * 7 // 10]: "damaged or cut off",
        png[: len(png) * 7 // 10]: "damaged or cut off",
        png[:20]: "(damaged or cut off|not a picture)",
        _wrong_checksum(photos["coffee"]): "damaged or cut off",
        _bomb(): "has 900 megapixels; the limit is 200",
        _bomb(14_200): "has 202 megapixels; the limit is 200",
        _bomb(7_000): "damaged or cut off",
        _black(1, 1): "is 1x1 pixels; each side must be at least 8",
        _black(4000, 16): "is 4000x16 pixels, too narrow",
        _encode(Pillow.new("RGBA", (64, 64), (9, 9, 9, 0))): "transparent everywhere",
    }
    for data, sentence in cases.items():
        with pytest.raises(InputError, match=sentence):
            load_image(data)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no file photo\.png"):
        load_image(tmp_path / "photo.png")
    with pytest.raises(InputError, match="cannot be read"):
        load_image(tmp_path)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_a_picture_comes_as_it_is(kind: str, photos: dict[str, Image], tmp_path: Path) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    path = tmp_path / "photo"
    path.write_bytes(_encode(Pillow.fromarray(photos["chelsea"]), kind, **options))
    assert (load_image(path) == photos["chelsea"]).all()
    assert load_image(str(path)).flags.writeable


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    image = load_image(_encode(Pillow.fromarray(ramp)))
    assert image.shape == (64, 64, 3)
    assert np.abs(image[..., 0].astype(float) - ramp / 257).max() <= 0.5


def test_cmyk_keeps_its_colours() -> None:
    red = Pillow.new("RGB", (32, 32), (200, 30, 40)).convert("CMYK")
    assert np.abs(load_image(_encode(red, "JPEG", quality=95)).astype(int) - (200, 30, 40)).max() < 12


def test_transparency_lies_on_white() -> None:
    palette = Pillow.new("P", (32, 32), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(1, (0, 0, 16, 32))
    image = load_image(_encode(palette, transparency=0))
    assert (image[:, :16] == (0, 0, 255)).all()
    assert (image[:, 16:] == 255).all()
    half = load_image(_encode(Pillow.new("RGBA", (32, 32), (0, 0, 0, 128))))
    assert np.abs(half.astype(int) - 127).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_gives_rgb(mode: str) -> None:
    image = load_image(_encode(Pillow.new("L", (20, 10), 255).convert(mode)))
    assert image.shape == (10, 20, 3)
    assert (image >= 254).all() or mode == "I;16"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation: int, photos: dict[str, Image]) -> None:
    photo = photos["rocket"]
    turns = {1: photo, 2: photo[:, ::-1], 3: photo[::-1, ::-1], 4: photo[::-1], 5: photo.transpose(1, 0, 2),
             6: np.rot90(photo, 1), 7: photo[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(photo, -1)}  # fmt: skip
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    stored = Pillow.fromarray(np.ascontiguousarray(turns[orientation]))
    assert (load_image(_encode(stored, exif=exif)) == photo).all()


def test_broken_exif_does_not_matter(photos: dict[str, Image]) -> None:
    data = _encode(Pillow.fromarray(photos["rocket"]), exif=b"Exif\0\0broken beyond repair")
    assert (load_image(data) == photos["rocket"]).all()


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Pillow.new("RGB", (32, 32), colour) for colour in ("red", "blue", "green")]
    image = load_image(_encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert (image == (255, 0, 0)).all()


def test_an_animation_and_too_much_text_are_noted(photos: dict[str, Image], tmp_path: Path) -> None:
    frames = [Pillow.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    (tmp_path / "film.gif").write_bytes(_encode(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert load_noted(tmp_path / "film.gif")[1] == ("film.gif is an animation; its first frame is used.",)
    texts = PngInfo()
    for number in range(70):
        texts.add_text(f"note {number}", "x" * 1_000_000, zip=True)
    image, notes = load_noted(_encode(Pillow.fromarray(photos["coffee"]), pnginfo=texts), "Mine")
    assert np.array_equal(image, photos["coffee"])
    assert notes == ("The metadata of Mine is too large and was ignored.",)
    assert load_noted(_encode(Pillow.fromarray(photos["coffee"])))[1] == ()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("photo.png", "photo.png"),
        ("a\u202egnp.exe", "agnp.exe"),
        ("line\nbreak\x00\x1b[31m.png", "linebreak[31m.png"),
        ("x" * 60, "x" * 60),
        ("a" * 100 + ".png", "a" * 30 + "…" + "a" * 26 + ".png"),
        ("写真 ü.png", "写真 ü.png"),
    ],
)
def test_names_are_readable(name: str, shown: str) -> None:
    assert readable_name(name) == shown
    with pytest.raises(InputError, match="is empty") as caught:
        load_image(b"", readable_name(name))
    assert str(caught.value).startswith(shown)


def test_a_device_without_an_end_is_not_read_whole() -> None:
    with pytest.raises(InputError, match="zero has 20 MB; the limit is 20 MB"):
        read_bytes(Path("/dev/zero"), "zero", 20_000_000)


@pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png"])
def test_a_name_that_no_file_can_have_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="There is no file"):
        load_image(tmp_path / name)


def test_a_file_larger_than_any_picture_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError, match="huge.png has 100 MB; the limit is 100 MB"):
        load_image(path)


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (8, 8, None),
        (800, 8, None),
        (8000, 6000, None),
        (7, 8, "7x8 pixels; each side must be at least 8"),
        (801, 8, "801x8 pixels, too narrow: the long side may be 100 times"),
        (8001, 6000, "has 48 megapixels; the limit is 48"),
    ],
)
def test_sizes_at_the_limits(width: int, height: int, message: str | None) -> None:
    assert MAX_PIXELS == 8000 * 6000
    if message is None:
        check_size(width, height)
    else:
        with pytest.raises(InputError, match=message):
            check_size(width, height)


def test_numbers_of_32_bits_are_scaled_as_16() -> None:
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32)
    picture = Pillow.fromarray(ramp.astype(np.int32))
    assert picture.mode == "I"
    assert np.abs(load_image(_encode(picture))[..., 0] - ramp / 257).max() <= 0.51


def test_a_colour_profile_is_converted_and_a_wrong_one_ignored(photos: dict[str, Image]) -> None:
    photo = Pillow.fromarray(photos["coffee"])
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.abs(load_image(_encode(photo, icc_profile=srgb)).astype(int) - photos["coffee"]).max() <= 1
    swapped = bytearray(srgb)  # a profile whose red is sRGB's blue
    red, blue = swapped.index(b"rXYZ"), swapped.index(b"bXYZ")
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    converted = load_image(_encode(photo, icc_profile=bytes(swapped))).astype(int)
    assert np.abs(converted - photos["coffee"][..., ::-1]).mean() < 3
    assert np.abs(converted - photos["coffee"]).mean() > 20
    for broken in (b"no profile", srgb[:200]):
        assert np.array_equal(load_image(_encode(photo, icc_profile=broken)), photos["coffee"])


def test_a_picture_can_be_read_again_and_changed(photos: dict[str, Image], tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(_encode(Pillow.fromarray(photos["coffee"])))
    first = load_image(path)
    first[:] = 0
    assert np.array_equal(load_image(path), photos["coffee"])


def test_an_array_is_copied_and_may_be_a_view(photos: dict[str, Image]) -> None:
    view = photos["coffee"][::2, ::-2]
    image = from_array(view)
    assert np.array_equal(image, view)
    assert image.flags["C_CONTIGUOUS"] and image.flags.writeable
    assert not np.shares_memory(image, photos["coffee"])
    with pytest.raises(InputError, match="Mine is 4x4 pixels"):
        from_array(np.zeros((4, 4, 3), np.uint8), "Mine")
    with pytest.raises(InputError, match="transparent everywhere"):
        from_array(np.zeros((16, 16, 4), np.uint8))


def test_crop_and_stretch_of_known_pixels() -> None:
    ramp = np.tile(np.arange(0, 240, 4).astype(np.uint8)[None, :, None], (30, 1, 3))  # 60 px wide
    cropped = resize(ramp, 30, 30, "crop")
    assert np.array_equal(cropped, ramp[:, 15:45])
    tall = resize(ramp.transpose(1, 0, 2), 30, 30, "crop")
    assert np.array_equal(tall, cropped.transpose(1, 0, 2))
    stretched = resize(ramp, 30, 30, "stretch")
    assert stretched[:, :, 0].mean(axis=0) == pytest.approx(ramp[0, :, 0].reshape(30, 2).mean(axis=1), abs=1)
    assert resize(ramp, 60, 30) is ramp  # nothing to do


def test_arrays_from_elsewhere() -> None:
    assert from_array(np.zeros((9, 12), np.uint8)).shape == (9, 12, 3)
    assert from_array(np.zeros((9, 12, 1), np.uint8)).shape == (9, 12, 3)
    assert (from_array(np.full((9, 12, 4), (0, 0, 0, 9), np.uint8)) > 240).all()
    assert (from_array(np.full((9, 12, 2), (0, 9), np.uint8)) > 240).all()
    assert (from_array(np.ones((9, 12), np.bool_)) == 255).all()
    for wrong in (np.zeros((9, 12, 5), np.uint8), np.zeros((9, 12, 3)), np.zeros(9, np.uint8)):
        with pytest.raises(InputError, match="is an array of"):
            from_array(wrong)


@pytest.mark.parametrize("mode", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("size", [(64, 64), (128, 64), (8, 40), (640, 512)])
def test_resize_gives_the_size(mode: str, size: tuple[int, int], photos: dict[str, Image]) -> None:
    image = resize(photos["coffee"], *size, mode=mode)  # pyright: ignore[reportArgumentType]
    assert image.shape == (size[1], size[0], 3)
    assert image.dtype == np.uint8


def test_crop_keeps_the_middle_and_pad_keeps_all() -> None:
    image = np.zeros((20, 60, 3), np.uint8)
    image[:, :20], image[:, 20:40], image[:, 40:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    assert (resize(image, 40, 40, nearest=True) == (0, 255, 0)).all()
    padded = resize(image, 60, 60, mode="pad", nearest=True)
    assert (padded[20:40] == image).all()
    assert not padded[:20].any()


def test_around_a_padded_picture() -> None:
    image = np.random.default_rng(0).integers(1, 256, (4, 6, 3), np.uint8)
    assert (pad(image, 6, 9, (7, 8, 9))[[0, 1, 6, 7, 8]] == (7, 8, 9)).all()  # the odd pixel is below
    assert np.array_equal(pad(image, 6, 9, (7, 8, 9))[2:6], image)
    repeated = pad(image, 9, 4, None)
    assert np.array_equal(repeated[:, 1:7], image)
    assert (repeated[:, :1] == image[:, :1]).all()
    assert (repeated[:, 7:] == image[:, -1:]).all()
    assert np.array_equal(pad(image, 6, 4, None), image)
    assert (resize(image, 12, 12, "pad", fill=(255, 255, 255))[:2] == 255).all()


@pytest.mark.parametrize(
    ("size", "frame", "inside"),
    [((100, 50), (64, 64), (64, 32)), ((50, 100), (64, 64), (32, 64)), ((10, 20), (640, 512), (256, 512)),
     ((800, 8), (64, 64), (64, 1)), ((300, 200), (300, 200), (300, 200)), ((3, 500), (96, 100), (1, 100))],
)  # fmt: skip
def test_fit_inside(size: tuple[int, int], frame: tuple[int, int], inside: tuple[int, int]) -> None:
    assert fit_inside(*size, *frame) == inside


def test_nearest_makes_no_new_colours() -> None:
    labels = np.random.default_rng(0).choice([10, 90, 200], (33, 47, 1)).astype(np.uint8).repeat(3, axis=2)
    assert set(np.unique(resize(labels, 128, 64, nearest=True))) == {10, 90, 200}


def test_fit_size() -> None:
    assert fit_size(1000, 500, 512) == (512, 256)
    assert fit_size(500, 1000, 512) == (256, 512)
    assert fit_size(3000, 30, 512) == (512, 64)
