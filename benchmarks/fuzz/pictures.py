"""Picture files of all formats, damaged by bytes and by the parts of their formats, read in every role."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image, ImageCms, features
from PIL.PngImagePlugin import PngInfo

from annotators.maps.kinds import KINDS
from annotators.maps.map_files import map_role
from annotators.sources.images import load_noted, load_start
from annotators.sources.png_bands import PNG
from annotators.sources.roles import MASK, PHOTO, WEIGHTS, Role
from benchmarks.fuzz.changes import EXTREMES, Files, any_text, changed_bytes, few
from tests.annotators.sources.test_picture_files import HEIC

ROLES: Mapping[str, Role] = MappingProxyType(
    {"photo": PHOTO, "mask": MASK, "weights": WEIGHTS, **{id: map_role(kind) for id, kind in KINDS.items()}}
)
START = "start"
TIMES = 16
"""Bytes of the times in a box of version 1."""
DATE = slice(24, 36)
"""Bytes of a colour profile that say when it was made."""
Chunk = tuple[bytes, bytes]
SIDES = (0, 1, 7, 64, 8_000, 30_000, 65_535, 2**31 - 1, 2**32 - 1)
"""Widths and heights that a header may claim, in pixels."""
UNPACKED = (10_000, 5_000_000, 200_000_000)
"""Bytes that a bomb unpacks to."""


def make_picture(random: Random) -> Files:
    """Return one picture, named like the role it is read in."""
    samples = sample_pictures()
    data = samples[random.choice(list(samples))]
    if random.random() < 0.95:
        data = damaged_picture(random, data)
    return {random.choice([*ROLES, START]): data}


def read_picture_role(folder: Path) -> None:
    """Read a picture in the role that its name gives."""
    for path in folder.iterdir():
        if path.name == START:
            load_start(path)
        else:
            load_noted(path, role=ROLES[path.name])


def damaged_picture(random: Random, data: bytes) -> bytes:
    """Return a picture with changes that know its format, and then perhaps any."""
    way = next((change for head, change in _FORMATS.items() if data.startswith(head)), None)
    if way and random.random() < 0.7:
        data = way(random, data)
    return changed_bytes(random, data) if random.random() < 0.5 else data


@cache
def sample_pictures() -> Mapping[str, bytes]:
    """Return small pictures by name: each format and mode that is read, and some that are not."""
    grid = np.indices((40, 56))
    rgb = np.stack([grid[0] * 6, grid[1] * 4, (grid[0] ^ grid[1]) * 4], axis=2).astype(np.uint8)
    photo = Image.fromarray(rgb)
    alpha = Image.fromarray(np.dstack([rgb, (grid[0] * 6).astype(np.uint8)]))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0a comment"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile[: DATE.start] + bytes(DATE.stop - DATE.start) + profile[DATE.stop :]
    deep = Image.fromarray((grid[0] * 900).astype(np.uint16))
    texts = PngInfo()
    texts.add_text("parameters", "a cat\nSteps: 5", zip=True)
    texts.add_itxt("Comment", "é", "de", "x", zip=True)
    many: dict[str, Any] = {"save_all": True, "append_images": [photo.rotate(180), photo]}
    made: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "png": (photo, "PNG", {"pnginfo": texts, "exif": exif, "icc_profile": profile}),
        "png with opacity": (alpha, "PNG", {}),
        "grey png": (photo.convert("L"), "PNG", {"icc_profile": profile}),
        "png of two colours": (photo.convert("1"), "PNG", {}),
        "png with a palette": (photo.quantize(60), "PNG", {"transparency": 3}),
        "grey png with opacity": (alpha.convert("LA"), "PNG", {}),
        "deep png": (deep, "PNG", {}),
        "animated png": (photo, "PNG", many),
        "jpeg": (photo, "JPEG", {"exif": exif, "icc_profile": profile}),
        "progressive jpeg": (photo, "JPEG", {"progressive": True, "quality": 95, "subsampling": 0}),
        "jpeg of four inks": (photo.convert("CMYK"), "JPEG", {}),
        "grey jpeg": (photo.convert("L"), "JPEG", {}),
        "jpeg of a phone": (photo, "MPO", many),
        "webp": (photo, "WEBP", {"exif": exif, "icc_profile": profile}),
        "webp with opacity": (alpha, "WEBP", {"lossless": True}),
        "animated webp": (photo, "WEBP", many),
        "gif": (photo, "GIF", many | {"loop": 0}),
        "bmp": (photo, "BMP", {}),
        "bmp with a palette": (photo.quantize(16), "BMP", {}),
        "tiff": (photo, "TIFF", {}),
    }
    if features.check("avif"):
        made |= {
            "avif": (alpha, "AVIF", {"exif": exif, "icc_profile": profile}),
            "animated avif": (photo, "AVIF", many),
        }
    return {name: _without_times(_encoded(*one)) for name, one in made.items()} | {"heic": HEIC}


def _encoded(picture: Image.Image, format: str, options: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def _without_times(data: bytes) -> bytes:
    """Return an animated AVIF without the time at which it was made, which would make it another one each second."""
    for name in (b"mvhd", b"tkhd", b"mdhd"):
        start = data.find(name) + len(name) + 4
        if data[4:8] == b"ftyp" and start > len(name) + 4:
            data = data[:start] + bytes(TIMES) + data[start + TIMES :]
    return data


def png_chunks(data: bytes) -> list[Chunk]:
    """Return the chunks of a whole PNG."""
    chunks: list[Chunk] = []
    place = len(PNG)
    while place + 8 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4])
        chunks.append((data[place + 4 : place + 8], data[place + 8 : end]))
        place = end + 4
    return chunks


def png_of(chunks: Sequence[Chunk]) -> bytes:
    """Return a PNG of these chunks, their checksums right."""
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return PNG + b"".join(parts)


def _changed_png(random: Random, data: bytes) -> bytes:
    chunks = png_chunks(data)
    for _ in range(few(random, 3)):
        place = random.randrange(len(chunks))
        way = random.randrange(6)
        if way == 0:
            chunks.insert(random.randrange(1, len(chunks) + 1), _strange_chunk(random))
        elif way == 1:
            chunks[place] = (chunks[place][0], changed_bytes(random, chunks[place][1]))
        elif way == 2 and len(chunks) > 1:
            del chunks[place]
        elif way == 3:
            other = random.randrange(len(chunks))
            chunks[place], chunks[other] = chunks[other], chunks[place]
        elif way == 4:
            chunks.insert(place, chunks[place])
        elif chunks[0][0] == b"IHDR" and len(chunks[0][1]) == 13:
            chunks[0] = (b"IHDR", _strange_head(random, chunks[0][1]))
    return png_of(chunks)


def _strange_head(random: Random, head: bytes) -> bytes:
    """Return a PNG's head with another size or another form of pixels."""
    width, height = struct.unpack(">II", head[:8])
    if random.random() < 0.7:
        width, height = random.choice([(random.choice(SIDES), random.choice(SIDES)), (random.choice(SIDES), height)])
        return struct.pack(">II", width, height) + head[8:]
    return head[:8] + bytes(
        random.choice(((1, 2, 4, 8, 16, 3), (0, 2, 3, 4, 6, 9), (0, 1), (0, 1), (0, 1, 2))[n]) for n in range(5)
    )


def _strange_chunk(random: Random) -> Chunk:
    kind = random.choice(
        (
            b"tEXt",
            b"zTXt",
            b"iTXt",
            b"iCCP",
            b"eXIf",
            b"tRNS",
            b"PLTE",
            b"acTL",
            b"fcTL",
            b"fdAT",
            b"gAMA",
            b"IDAT",
            b"quuX",
        )
    )
    noise = random.randbytes(few(random, 40))
    key = any_text(random)[:40].encode("latin-1", "replace")
    bomb = _bomb(random.choice(UNPACKED))
    ways = [
        noise,
        b"",
        key + b"\0" + noise,
        key + b"\0\0" + bomb,
        key + b"\0\1\0\0\0" + bomb,
        struct.pack(">II", *random.choices(EXTREMES, k=2)),
    ]
    return kind, random.choice(ways)


@cache
def _bomb(size: int) -> bytes:
    """Return few bytes that unpack to so many."""
    packer = zlib.compressobj(9)
    part = bytes(1_000_000)
    return b"".join(packer.compress(part[: size - done]) for done in range(0, size, len(part))) + packer.flush()


def _changed_jpeg(random: Random, data: bytes) -> bytes:
    """Change the size in the head, or put in a segment, or leave one out."""
    segments, place = list[bytes](), 2
    while data[place : place + 1] == b"\xff" and data[place + 1] != 0xDA and place < len(data) - 4:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        segments.append(data[place:end])
        place = end
    way = random.randrange(4)
    chosen = random.randrange(len(segments))
    if way == 0:
        body = random.choice((b"Exif\0\0", b"ICC_PROFILE\0\1\1", b"MPF\0", b"Adobe", b"JFIF\0")) + random.randbytes(
            few(random, 60)
        )
        segments.insert(
            chosen,
            bytes([0xFF, random.choice((0xE0, 0xE1, 0xE2, 0xEE, 0xC0, 0xC4, 0xDB, 0xDD))])
            + struct.pack(">H", len(body) + 2)
            + body,
        )
    elif way == 1:
        del segments[chosen]
    elif way == 2:
        random.shuffle(segments)
    else:
        sizes = struct.pack(">HH", *(random.choice(SIDES) & 0xFFFF for _ in range(2)))
        segments = [one[:5] + sizes + one[9:] if one[1] in (0xC0, 0xC1, 0xC2) else one for one in segments]
    return data[:2] + b"".join(segments) + data[place:]


def _changed_webp(random: Random, data: bytes) -> bytes:
    """Change the size of the canvas or of the frame, or put in a chunk."""
    way = random.randrange(3)
    if way == 0 and data[12:16] == b"VP8X":
        sizes = b"".join((random.choice(SIDES) & 0xFFFFFF).to_bytes(3, "little") for _ in range(2))
        return data[:24] + sizes + data[30:]
    if way == 1:
        body = random.randbytes(few(random, 40) & ~1)
        kind = random.choice((b"EXIF", b"ICCP", b"XMP ", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L"))
        data = data[:30] + kind + struct.pack("<I", len(body)) + body + data[30:]
        return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]
    place = random.randrange(12, min(60, len(data)))
    return data[:place] + struct.pack("<I", random.choice(EXTREMES)) + data[place + 4 :]


def _changed_boxes(random: Random, data: bytes) -> bytes:
    """Change numbers near the names of an AVIF's or HEIC's boxes."""
    names = (b"ispe", b"iloc", b"iinf", b"ipma", b"mdat", b"meta", b"hvcC", b"av1C", b"pitm", b"clap", b"irot", b"colr")
    found = [place for name in names if (place := data.find(name)) >= 0]
    for _ in range(few(random, 3) if found else 0):
        place = random.choice(found) + random.choice((-4, 4, 8, 12))
        data = data[:place] + struct.pack(">I", random.choice((*EXTREMES, *SIDES))) + data[place + 4 :]
    return data


_FORMATS: Mapping[bytes, Callable[[Random, bytes], bytes]] = MappingProxyType(
    {
        PNG: _changed_png,
        b"\xff\xd8": _changed_jpeg,
        b"RIFF": _changed_webp,
        b"\0\0\0": _changed_boxes,
    }
)
"""Changes by the first bytes of a format."""
