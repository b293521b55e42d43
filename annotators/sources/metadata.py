"""Removal of the metadata of picture files: place, time, device, texts and previews."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator

from PIL import Image as Pillow

from annotators.sources.png_bands import PNG

FORMATS = ("JPEG", "PNG", "WEBP")
ORIENTATION = 0x0112
"""Of Exif; 1 is upright."""
EXIF = b"Exif\0\0"
PNG_KEPT = frozenset(
    {
        b"IHDR",
        b"PLTE",
        b"IDAT",
        b"IEND",
        b"tRNS",
        b"gAMA",
        b"cHRM",
        b"sRGB",
        b"iCCP",
        b"cICP",
        b"sBIT",
        b"bKGD",
        b"pHYs",
    }
)
WEBP_DROPPED = frozenset({b"EXIF", b"XMP "})
WEBP_FLAGS = 0xFF ^ 0x0C
"""Of the extended header, without the bits that announce Exif and XMP."""
APP0, APP1, APP2, APP14, APP15, COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
SCAN, END = 0xDA, 0xD9


def without_metadata(data: bytes) -> bytes | None:
    """Return a JPEG, PNG or WebP that can be read, with the same pixels, orientation and colours, and nothing else.

    Further pictures in the file are left out. None for a file of another format, or one that is not as its format has it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of many pixels, which are not decoded here
            opened = Pillow.open(io.BytesIO(data), formats=FORMATS)
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError):
        return None
    strip = {"PNG": _png, "WEBP": _webp}.get(opened.format or "", _jpeg)
    try:
        return strip(data, _orientation_alone(opened))
    except (struct.error, IndexError, ValueError):
        return None


def _orientation_alone(opened: Pillow.Image) -> bytes:
    """Return an Exif block that holds the orientation alone; empty for a picture that is stored upright."""
    try:
        orientation = opened.getexif().get(ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, TypeError, struct.error):
        return b""
    if orientation not in range(2, 9):
        return b""
    exif = Pillow.Exif()
    exif[ORIENTATION] = orientation
    return exif.tobytes()


def _jpeg(data: bytes, exif: bytes) -> bytes:
    kept = [data[:2]]
    if exif:
        kept.append(bytes((0xFF, APP1)) + struct.pack(">H", len(exif) + 2) + exif)
    kept += [segment for marker, segment in _segments(data) if _is_of_the_pixels(marker, segment)]
    return b"".join(kept)


def _is_of_the_pixels(marker: int, segment: bytes) -> bool:
    """Return whether a segment is needed to decode the pixels and to know their colours."""
    if marker == APP2:
        return segment[4:].startswith(b"ICC_PROFILE\0")
    return marker in (APP0, APP14) or not (APP0 <= marker <= APP15 or marker == COMMENT)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and bytes of each segment up to the end of the first picture; a scan's with its coded pixels."""
    place = 2
    while True:
        if data[place] != 0xFF:
            raise ValueError("no marker")
        marker = data[place + 1]
        if marker == END:
            yield marker, data[place : place + 2]
            return
        end = place + 2 + struct.unpack_from(">H", data, place + 2)[0]
        if marker == SCAN:
            end = _end_of_scan(data, end)
        yield marker, data[place:end]
        place = end


def _end_of_scan(data: bytes, place: int) -> int:
    """Return the offset of the next marker after the coded pixels; stuffed bytes and restart markers do not count."""
    while True:
        place = data.index(0xFF, place)
        if data[place + 1] != 0 and not 0xD0 <= data[place + 1] <= 0xD7:
            return place
        place += 2


def _png(data: bytes, exif: bytes) -> bytes:
    kept, place = [PNG], len(PNG)
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if kind in PNG_KEPT:
            kept.append(data[place:end])
        if kind == b"IHDR" and exif:
            block = exif.removeprefix(EXIF)
            kept.append(
                struct.pack(">I4s", len(block), b"eXIf") + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
            )
        if kind == b"IEND":
            break
        place = end
    return b"".join(kept)


def _webp(data: bytes, exif: bytes) -> bytes:
    kept, place, end = [b"WEBP"], 12, 8 + struct.unpack_from("<I", data, 4)[0]
    while place + 8 <= min(end, len(data)):
        kind, length = struct.unpack_from("<4sI", data, place)
        stop = place + 8 + length + length % 2
        chunk = data[place:stop]
        if kind == b"VP8X":
            flags = chunk[8] & WEBP_FLAGS | (0x08 if exif else 0)
            chunk = chunk[:8] + bytes((flags,)) + chunk[9:]
        if kind not in WEBP_DROPPED:
            kept.append(chunk)
        place = stop
    if exif:
        kept.append(struct.pack("<4sI", b"EXIF", len(exif)) + exif + bytes(len(exif) % 2))
    body = b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body
