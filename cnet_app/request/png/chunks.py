"""Text chunks of PNG files, changed without decoding the picture."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from annotators.sources.picture_files import PNG_TEXTS
from annotators.sources.png_bands import PNG
from models.errors import InputError

HEAD, TAIL = 8, 4
"""Bytes of a chunk before its data (length and type) and after it (checksum)."""


def with_text(data: bytes, keyword: str, text: str) -> bytes:
    """Return a PNG file with this text under a keyword, in the place of earlier ones; every other chunk stays as it is.

    Keyword and text are ASCII. The text stands before the pixels, where readers of the head alone find it. Raises
    InputError where the file is no whole PNG.
    """
    content = keyword.encode("ascii") + b"\0" + text.encode("ascii")
    own = len(content).to_bytes(4, "big") + b"tEXt" + content + zlib.crc32(b"tEXt" + content).to_bytes(TAIL, "big")
    parts, placed = [PNG], False
    for kind, chunk in _chunks(data):
        if kind in PNG_TEXTS and chunk[HEAD:].startswith(keyword.encode("ascii") + b"\0"):
            continue
        if kind == b"IDAT" and not placed:
            parts.append(own)
            placed = True
        parts.append(chunk)
    if not placed:
        raise InputError("The file has no pixels of a PNG; choose a picture that was made here.")
    return b"".join(parts)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the type of each chunk and its bytes, to the end of the picture."""
    place, kind = len(PNG), b""
    while data.startswith(PNG) and kind != b"IEND":
        end = place + HEAD + int.from_bytes(data[place : place + 4], "big") + TAIL
        if end > len(data) or place + HEAD > len(data):
            break
        kind = data[place + 4 : place + HEAD]
        yield kind, data[place:end]
        place = end
    if kind != b"IEND":
        raise InputError("The file is not a PNG, or it is cut off; choose a picture that was made here.")
