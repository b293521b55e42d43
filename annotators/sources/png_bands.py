"""Reduction of pictures by a whole factor; a PNG in bands of rows, so that it is never whole in memory."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

BAND_BYTES = 8_000_000
"""Of the rows that are decoded together."""
PNG = b"\x89PNG\r\n\x1a\n"
GREY, PALETTE = 0, 3
"""Colour types of a PNG."""
_CHANNELS = {GREY: 1, 2: 3, PALETTE: 1, 4: 2, 6: 4}


@dataclass(frozen=True)
class Header:
    """The header of a PNG."""

    width: int
    height: int
    depth: int
    """Bits of a channel."""
    colour_type: int
    interlaced: bool

    @classmethod
    def read(cls, data: bytes) -> Header:
        """Return the header of a PNG's bytes. Raises struct.error for too few."""
        width, height, depth, colour_type, _, _, interlace = struct.unpack(">IIBBBBB", data[16:29])
        return cls(width, height, depth, colour_type, interlace != 0)

    @property
    def row_bytes(self) -> int:
        """Return the bytes of a row without its filter."""
        return (self.width * self.depth * _CHANNELS[self.colour_type] + 7) // 8


def can_read_bands(data: bytes) -> bool:
    """Return whether `read_reduced` reads these bytes: a PNG in one pass, of a depth whose rows Pillow gives back."""
    try:
        header = Header.read(data) if data.startswith(PNG) else None
    except struct.error:
        return False
    if header is None or header.interlaced or header.colour_type not in _CHANNELS:
        return False
    return header.depth == 8 or (header.colour_type == GREY and header.depth in (1, 16))


def read_reduced(data: bytes, factor: int, nearest: bool = False) -> Pillow.Image:
    """Return a PNG at 1/factor of its size. Raises OSError where it is cut off, and the errors of zlib and Pillow.

    `nearest` takes the middle pixel of each block, else a block becomes its mean.
    """
    header = Header.read(data)
    rows = factor * max(1, BAND_BYTES // (factor * header.row_bytes))
    above = bytes(header.row_bytes)
    pieces: list[NDArray[Any]] = []
    band = None
    left = header.height
    for filtered in _inflated(data, rows * (header.row_bytes + 1)):
        count = min(left, len(filtered) // (header.row_bytes + 1))
        band = _decoded(data, header, above, filtered[: count * (header.row_bytes + 1)])
        above = _last_row(band)
        left -= count
        if count >= factor:
            pieces.append(np.asarray(reduced(band, factor, nearest)))
        if not left:
            break
    if left or band is None:
        raise OSError("The PNG has fewer rows than its header says.")
    small = Pillow.fromarray(np.concatenate(pieces))
    if band.mode == "P" and nearest and (palette := band.getpalette()):
        small.putpalette(palette)
    return small


def reduced(picture: Pillow.Image, factor: int, nearest: bool = False) -> Pillow.Image:
    """Return a decoded picture at 1/factor of its size, as `read_reduced`; colours of a palette are mixed as RGB."""
    if picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode == "P" and not nearest:
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    pixels = np.asarray(picture)
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    if nearest:
        small = pixels[factor // 2 :: factor, factor // 2 :: factor][:height, :width]
    else:
        blocks = np.ascontiguousarray(pixels[: height * factor, : width * factor])
        small = np.asarray(cv2.resize(blocks, (width, height), interpolation=cv2.INTER_AREA), pixels.dtype)
    made = Pillow.fromarray(np.ascontiguousarray(small), picture.mode if picture.mode == "CMYK" else None)
    if picture.mode == "P" and (palette := picture.getpalette()):
        made.putpalette(palette)
    made.info = dict(picture.info)
    return made


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of each chunk."""
    place = len(PNG)
    while place + 8 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8]
        yield kind, data[place + 8 : place + 8 + length]
        place += 12 + length


def _inflated(data: bytes, size: int) -> Iterator[bytes]:
    """Yield the filtered rows in pieces of `size` bytes; the last may be shorter."""
    inflate, pending = zlib.decompressobj(), bytearray()
    for kind, content in _chunks(data):
        waiting = content if kind == b"IDAT" else b""
        while waiting:
            made = inflate.decompress(waiting, size)
            waiting = inflate.unconsumed_tail
            pending += made
            while len(pending) >= size:
                yield bytes(pending[:size])
                del pending[:size]
            if inflate.eof:
                break
    while made := inflate.decompress(inflate.unconsumed_tail, size):
        pending += made
    yield bytes(pending)


def _decoded(data: bytes, header: Header, above: bytes, filtered: bytes) -> Pillow.Image:
    """Return rows as a picture, decoded by Pillow as a PNG of their own, whose first row is the one above them."""
    count = len(filtered) // (header.row_bytes + 1)
    top = struct.pack(">IIBBBBB", header.width, count + 1, header.depth, header.colour_type, 0, 0, 0)
    shared = [(kind, content) for kind, content in _before_pixels(data) if kind in (b"PLTE", b"tRNS")]
    parts = [(b"IHDR", top), *shared, (b"IDAT", zlib.compress(b"\0" + above + filtered, 0)), (b"IEND", b"")]
    picture = Pillow.open(io.BytesIO(PNG + b"".join(_chunk(*part) for part in parts)), formats=("PNG",))
    picture.load()
    cut = picture.crop((0, 1, header.width, count + 1))
    cut.info = dict(picture.info)
    return cut


def _before_pixels(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for kind, content in _chunks(data):
        if kind == b"IDAT":
            return
        yield kind, content


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _last_row(band: Pillow.Image) -> bytes:
    """Return the last row as a PNG stores it unfiltered: 16 bits with the high byte first."""
    row = band.crop((0, band.height - 1, band.width, band.height))
    if band.mode.startswith("I;16"):
        return np.asarray(row).astype(">u2").tobytes()
    return row.tobytes()
