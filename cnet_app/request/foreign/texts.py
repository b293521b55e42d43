"""The texts inside a picture file: PNG text chunks, and EXIF in JPEG and WebP. Every size is bounded, no pixel is decoded."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from annotators.sources.picture_files import MAX_BYTES, PNG_TEXTS, readable_name
from annotators.sources.png_bands import PNG
from cnet_app.request.recipe import CHUNK
from models.errors import InputError

NAMES = frozenset(
    (
        CHUNK,
        "parameters",
        "prompt",
        "invokeai_metadata",
        "fooocus_scheme",
        "Comment",
        "Description",
        "Software",
        "Source",
    )
)
"""Names of the texts that are read; each is read once."""
MAX_TEXT = 4_000_000
"""Bytes of one text, unpacked."""
MAX_CHUNKS = 200_000
"""Of a PNG; pictures of 40 megapixels have some ten thousand."""
MAX_NAME = 80
"""Bytes of a chunk's name, with the zero behind it."""

_EXIF, _USER_COMMENT, _MAKER_NOTE, _CAMERA = 0x8769, 0x9286, 0x927C, 0x0110
_PILLOW_ERRORS = (OSError, SyntaxError, ValueError, KeyError, IndexError, TypeError, struct.error)


@dataclass(frozen=True)
class Texts:
    """Texts by name."""

    values: Mapping[str, str]
    faults: Mapping[str, str]
    """Why a text that is there cannot be used, as a clause."""


def read_texts(path: Path) -> Texts:
    """Return the texts of a PNG, JPEG or WebP. Raises InputError for a file that is none of these."""
    name = readable_name(path.name)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{name} has more than {MAX_BYTES / 1e6:.0f} MB; choose a smaller picture.")
        with path.open("rb") as stream:
            if stream.read(len(PNG)) == PNG:
                return _png_texts(stream)
        return _exif_texts(path)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}; check its name and folder.") from error
    except (*_PILLOW_ERRORS, Image.DecompressionBombError) as error:
        raise InputError(f"{name} cannot be read as a PNG, JPEG or WebP; choose a picture.") from error


def _png_texts(stream: BinaryIO) -> Texts:
    values: dict[str, str] = {}
    faults: dict[str, str] = {}
    for _ in range(MAX_CHUNKS):
        head = stream.read(8)
        length, kind = struct.unpack(">I4s", head) if len(head) == 8 else (0, b"IEND")
        if kind == b"IEND":
            break
        data = stream.read(min(length, MAX_TEXT + MAX_NAME)) if kind in PNG_TEXTS else b""
        stream.seek(length - len(data) + 4, 1)  # and its checksum
        key, zero, rest = data.partition(b"\0")
        name = key.decode("latin-1") if zero and len(key) < MAX_NAME else ""
        if name not in NAMES or name in values or name in faults:
            continue
        try:
            values[name] = _text_of(kind, rest) if length == len(data) else _too_large()
        except _FaultError as fault:
            faults[name] = str(fault)
    return Texts(values, faults)


class _FaultError(Exception):
    """Why a text cannot be used."""


def _too_large() -> str:
    raise _FaultError(f"is larger than {MAX_TEXT / 1e6:.0f} MB")


def _text_of(kind: bytes, data: bytes) -> str:
    """The text of a chunk behind its name and zero."""
    if kind == b"tEXt":
        return _decoded(data)
    if kind == b"zTXt":
        return _decoded(_unpacked(data[1:]))
    packed, rest = data[:1] != b"\0", data[2:]
    _, _, translated = rest.partition(b"\0")  # behind the language
    _, _, text = translated.partition(b"\0")
    try:
        return (_unpacked(text) if packed else text).decode("utf-8")
    except UnicodeDecodeError:
        raise _FaultError("is not UTF-8") from None


def _unpacked(data: bytes) -> bytes:
    """At most MAX_TEXT bytes, however much the data would unpack to."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, MAX_TEXT + 1)
    except zlib.error:
        raise _FaultError("cannot be unpacked") from None
    if len(text) > MAX_TEXT:
        _too_large()
    return text


def _decoded(data: bytes) -> str:
    """Latin-1 by the standard, but many programs write UTF-8, which other text hardly ever is by chance."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _exif_texts(path: Path) -> Texts:
    """The user comment, under the name that the same text has in a PNG; a graph is where the camera's name would be."""
    with Image.open(path, formats=("JPEG", "WEBP")) as picture:
        exif = picture.getexif()
        inner = exif.get_ifd(_EXIF)
        found = {
            "parameters": inner.get(_USER_COMMENT, exif.get(_USER_COMMENT)),
            "fooocus_scheme": inner.get(_MAKER_NOTE, exif.get(_MAKER_NOTE)),
            "prompt": exif.get(_CAMERA),
        }
    values: dict[str, str] = {}
    faults: dict[str, str] = {}
    for name, value in found.items():
        if not isinstance(value, str | bytes):
            continue
        if len(value) > MAX_TEXT:
            faults[name] = f"is larger than {MAX_TEXT / 1e6:.0f} MB"
            continue
        text = _comment(value).strip("\0 ") if isinstance(value, bytes) else value
        if name == "prompt":
            if not text.startswith("prompt:"):
                continue
            text = text.removeprefix("prompt:")
        if text:
            values[name] = text
    return Texts(values, faults)


def _comment(data: bytes) -> str:
    """A user comment: eight bytes that name its encoding, then the text. Some programs leave the eight bytes out."""
    code, text = data[:8], data[8:]
    if code == b"UNICODE\0":
        # UTF-16 in either order of bytes: most characters have a zero, which stands first in the one and last in the other.
        little = text[:2] == b"\xff\xfe" or (text[:2] != b"\xfe\xff" and text[1::2].count(0) > text[::2].count(0))
        return text.decode("utf-16-le" if little else "utf-16-be", "replace").removeprefix("\ufeff")
    return _decoded(text if code in (b"ASCII\0\0\0", bytes(8)) else data)
