"""A picture file keeps its pixels and loses what it tells of its maker."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import PngImagePlugin
from skimage import data

from annotators.base import Image
from annotators.sources.images import load_image
from annotators.sources.metadata import without_metadata
from tests.annotators.sources.profiles import wide_rgb

PHOTO: Image = np.asarray(data.astronaut())[::8, ::4]
SECRETS = (b"51.5", b"Jane", b"Camera", b"GPS", b"a prompt of mine", b"http://ns.adobe.com/xap")
KINDS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95},
    "progressive JPEG": {"quality": 90, "progressive": True},
    "PNG": {},
    "WEBP": {"quality": 90},
    "lossless WEBP": {"lossless": True},
}


def told(kind: str, orientation: int = 1, profile: bytes | None = None) -> bytes:
    """A photo whose file tells place, names and texts."""
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Camera 3"
    exif[0x013B] = "Jane"
    exif.get_ifd(0x8825)[29] = "51.5 GPS"
    packet = b"<x xmlns='http://ns.adobe.com/xap/1.0/'>Jane</x>"
    options: dict[str, Any] = {"exif": exif, "icc_profile": profile}
    name = kind.split()[-1]
    if name == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("parameters", "a prompt of mine")
        texts.add_itxt("XML:com.adobe.xmp", packet.decode())
        options["pnginfo"] = texts
    else:
        options["xmp"] = packet
    if name == "JPEG":
        options["comment"] = b"a prompt of mine"
    buffer = io.BytesIO()
    Pillow.fromarray(PHOTO).save(buffer, name, **options, **KINDS[kind])
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_keeps_pixels_and_orientation_and_tells_nothing_else(kind: str, orientation: int) -> None:
    given = told(kind, orientation)
    assert all(secret in given for secret in SECRETS[:4])
    bare = without_metadata(given)
    assert bare and len(bare) < len(given)
    assert not [secret for secret in SECRETS if secret in bare]
    assert (load_image(bare) == load_image(given)).all()
    assert without_metadata(bare) == bare


@pytest.mark.parametrize("kind", KINDS)
def test_colours_keep_their_profile(kind: str) -> None:
    given = told(kind, 6, wide_rgb())
    bare = without_metadata(given)
    assert bare
    assert (load_image(bare) == load_image(given)).all()
    assert (load_image(bare) != load_image(told(kind, 6))).any()


def test_inks_and_a_second_picture() -> None:
    buffer = io.BytesIO()
    Pillow.fromarray(PHOTO).convert("CMYK").save(buffer, "JPEG", comment=b"Jane")
    inks = without_metadata(buffer.getvalue())
    assert inks and b"Jane" not in inks and (load_image(inks) == load_image(buffer.getvalue())).all()
    first, second = (Pillow.fromarray(PHOTO[:, ::step]) for step in (1, -1))
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    both = buffer.getvalue()
    alone = without_metadata(both)
    assert alone and len(alone) < 0.7 * len(both) and (load_image(alone) == load_image(both)).all()


@pytest.mark.parametrize(
    "content",
    [b"", b"no picture", b"GIF89a" + bytes(60), b"\xff\xd8\xff\xe0\0\x10JFIF"],
    ids=["empty", "text", "GIF", "cut off"],
)
def test_what_is_of_another_format_is_left_to_the_caller(content: bytes) -> None:
    assert without_metadata(content) is None
    for kind in KINDS:
        cut = told(kind)[:-40]
        bare = without_metadata(cut)
        assert bare is None or b"Jane" not in bare
