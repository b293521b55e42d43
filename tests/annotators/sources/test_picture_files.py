"""Picture files of phones and scanners: large ones within bounded memory, HEIC, several pictures in one file."""

from __future__ import annotations

import base64
import importlib
import io
import json
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import features

from annotators.base import Image
from annotators.sources.images import load_image, load_noted
from annotators.sources.picture_files import MAX_PIXELS, REDUCED_PIXELS
from annotators.sources.png_bands import can_read_bands, read_reduced, reduced
from models.errors import InputError

# 64x48 pixels, red at the left and blue at the right; written by libheif.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAAAAAERA"
    "AAEAAQAAAAABoQABAAAAAAAAAHIAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/WlwcnAAAADdaXBjbwAA"
    "AHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq"
    "5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAA"
    "MAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAAHptZGF0AAAAbigBrwT4cWTTt/9/f///"
    "0mY7L+ypb3yD+JG1L/YlL//8rwv2kq5ZG9Pw81X+aAeoIH2PwFBJ4ijIL59NOzjeD7dsoDzUCUTe1sguhjGQ7c39tuYjr1AYASAB3hc1QM+DqCf6FR/J"
    "V1PjcQ9FLleA"
)
MEASURE = """
import json
import re, resource, sys
from annotators.sources.images import load_noted
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
image, notes = load_noted(sys.argv[1])
more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps([image.shape, image.mean(axis=(0, 1)).tolist(), notes, more / 1024]))
"""


def _encode(picture: Pillow.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _striped_png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """A PNG of one colour whose rows are stored by turns as they are and as the difference from the row above."""
    row = bytes(colour) * width
    packer = zlib.compressobj(1)
    rows = [packer.compress(b"\2" + bytes(3 * width) if y % 2 else b"\0" + row) for y in range(height)]
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = _chunk(b"IDAT", b"".join(rows) + packer.flush())
    return b"\x89PNG\r\n\x1a\n" + header + data + _chunk(b"IEND", b"")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_a_photo_of_many_megapixels_is_brought_to_size_with_little_memory(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"phone.{kind}"
    if kind == "jpg":
        width, height, colour = 16_320, 12_240, (90, 90, 90)
        Pillow.new("L", (width, height), 90).save(path, quality=80)
    else:
        width, height, colour = 12_000, 8_000, (200, 60, 20)
        path.write_bytes(_striped_png(width, height, colour))
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    shape, mean, notes, megabytes = json.loads(ran.stdout)
    assert shape == [height // 4, width // 4, 3]
    assert mean == pytest.approx(colour, abs=1)
    size = f"{width // 4}x{height // 4}"
    assert notes == [f"phone.{kind} has {width * height / 1e6:.0f} megapixels; it is used at {size} pixels."]
    assert megabytes < 250 < 4 * width * height / 1e6  # which the whole picture would take


def test_what_is_reduced_stays_upright_and_below_the_limit() -> None:
    stored = Pillow.new("L", (8_064, 6_048), 20)
    stored.paste(230, (0, 0, 8_064, 3_024))
    exif = Pillow.Exif()
    exif[0x0112] = 6
    image, notes = load_noted(_encode(stored, "JPEG", exif=exif), "phone.jpg")
    assert image.shape == (4_032, 3_024, 3)
    assert image.shape[0] * image.shape[1] <= REDUCED_PIXELS < MAX_PIXELS
    assert image[:, :1_400].max() < 40 and image[:, 1_600:].min() > 210
    assert notes == ("phone.jpg has 49 megapixels; it is used at 3024x4032 pixels.",)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("nearest", [False, True])
def test_a_png_read_in_bands_is_the_whole_one_reduced(
    mode: str, nearest: bool, photos: dict[str, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("annotators.sources.png_bands.BAND_BYTES", 9_000)  # many bands
    photo = Pillow.fromarray(photos["coffee"]).resize((203, 151))
    if mode == "I;16":
        picture = Pillow.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 200)
    elif mode in ("LA", "RGBA"):
        photo.putalpha(Pillow.linear_gradient("L").resize(photo.size))
        picture = photo.convert(mode)
    else:
        picture = photo.convert(mode)
    data = _encode(picture)
    assert can_read_bands(data)
    whole = Pillow.open(io.BytesIO(data))
    assert np.array_equal(np.asarray(read_reduced(data, 4, nearest)), np.asarray(reduced(whole, 4, nearest)))
    with pytest.raises((OSError, zlib.error)):
        read_reduced(data[: len(data) // 2], 4)


def test_an_interlaced_png_and_deep_colours_are_read_whole() -> None:
    header = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 1))
    assert not can_read_bands(header)
    assert not can_read_bands(header[:20])
    deep = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0))
    assert not can_read_bands(deep)
    large = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 9_000, 8_000, 16, 2, 0, 0, 0))
    with pytest.raises(InputError, match="has 72 megapixels; the limit is 64"):
        load_image(large + _chunk(b"IDAT", b"") + _chunk(b"IEND", b""))


def test_the_first_picture_of_several_in_a_jpeg_is_used() -> None:
    eyes = [Pillow.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    image, notes = load_noted(_encode(eyes[0], "MPO", save_all=True, append_images=eyes[1:]), "3d.jpg")
    assert image.mean(axis=(0, 1)) == pytest.approx((255, 0, 0), abs=3)
    assert notes == ("3d.jpg holds 2 pictures; the first is used.",)


def test_heic_of_a_phone_is_read() -> None:
    pytest.importorskip("pi_heif")
    image, notes = load_noted(HEIC, "phone.heic")
    assert image.shape == (48, 64, 3)
    assert image[:, :28].mean(axis=(0, 1)) == pytest.approx((200, 40, 40), abs=12)
    assert image[:, 36:].mean(axis=(0, 1)) == pytest.approx((40, 60, 200), abs=12)
    assert notes == ()
    for cut in (100, 300, 480):
        with pytest.raises(InputError, match=r"phone\.heic is damaged or cut off"):
            load_image(HEIC[:cut], "phone.heic")


def test_without_its_library_a_heic_says_how_to_convert_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(ImportError):
        importlib.import_module("pi_heif")
    with pytest.raises(InputError, match="needs the Python package pi-heif; install it, or save the photo as JPEG"):
        load_image(HEIC, "phone.heic")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_an_avif_whose_clock_stands_still_is_damaged() -> None:
    buffer = io.BytesIO()
    frames = [Pillow.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(buffer, "AVIF", save_all=True, append_images=frames[1:])
    data = buffer.getvalue()
    boxes = [match.end() for match in re.finditer(b"mvhd|mdhd", data)]
    for place in boxes:  # version 1: flags, two times of 8 bytes, then the ticks of a second
        data = data[: place + 20] + bytes(4) + data[place + 24 :]
    assert boxes
    with pytest.raises(InputError, match="damaged or cut off"):
        load_image(data)
