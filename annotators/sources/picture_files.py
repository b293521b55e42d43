"""Picture files decoded within bounded memory, the large ones of phones and scanners at a reduced size at once."""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as Pillow
from PIL import ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from annotators.sources.png_bands import PNG, can_read_bands, read_reduced, reduced
from models.errors import InputError

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "GIF")
"""Of Pillow's readers; HEIC is read by pi-heif."""
SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".avifs", ".bmp", ".gif", ".heic", ".heif", ".hif",
)  # fmt: skip
"""Endings, in small letters, of the files in a folder that count as pictures."""
MAX_BYTES = 100_000_000
MAX_PIXELS = 48_000_000
"""Of a picture in memory; a file with more is reduced while it is read."""
MAX_FILE_PIXELS = 200_000_000
"""Of a JPEG, or a PNG that is not interlaced, which are reduced before they are whole in memory."""
MAX_WHOLE_PIXELS = 64_000_000
"""Of any other file, which is decoded whole: 4 bytes a pixel, for WebP three times."""
REDUCED_PIXELS = 16_000_000
"""Largest size of a reduced picture: four times the largest picture that is made."""
MIN_SIDE = 8
"""Pixels."""
MAX_RATIO = 100
"""Limit of long side over short side; beyond it, a resized picture has a side of 0."""
MAX_NAME = 60
"""Characters of a file's name in a message."""
HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})

PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# Raised by Pillow's and libheif's decoders for broken files.
_DECODING_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, RuntimeError, ArithmeticError, struct.error, zlib.error,
)  # fmt: skip


def read_bytes(path: Path, name: str, most: int = MAX_BYTES, what: str = "picture") -> bytes:
    """Return the content of a file of at most `most` bytes. Raises InputError for one that is missing, too large or unreadable.

    A device has no size and no end: no more than that is read of it.
    """
    try:
        size = path.stat().st_size
        if size <= most:
            with path.open("rb") as file:
                data = file.read(most + 1) if size == 0 else file.read()
            size = len(data)
            if size <= most:
                return data
        raise InputError(f"{name} has {size / 1e6:.0f} MB; the limit is {most / 1e6:.0f} MB, save it smaller.")
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise _missing(name) from None
        raise InputError(f"{name} cannot be read ({error.strerror}); choose a {what} file.") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise _missing(name) from None  # a name that no file can have


def _missing(name: str) -> InputError:
    return InputError(f"There is no file {name}; check its name and folder.")


def decode_picture(data: bytes, name: str, nearest: bool = False) -> tuple[Pillow.Image, tuple[str, ...]]:
    """Return a picture file upright, the first frame of an animation, and a sentence for each part that is not used.

    A picture of more than MAX_PIXELS is reduced to at most REDUCED_PIXELS; with `nearest` no two of its colours are mixed.
    Raises InputError, whose messages call the picture `name`.
    """
    if not data:
        raise InputError(f"{name} is empty (0 bytes); choose another picture.")
    try:
        found, notes = _decode(data, name, nearest), ()
    except InputError:
        bare = _without_texts(data)
        if bare == data:
            raise
        found = _decode(bare, name, nearest)  # only the texts were too large
        notes = (f"The metadata of {name} is too large and was ignored.",)
    picture = _upright(found.picture)
    notes += found.notes
    pixels = found.size[0] * found.size[1]
    if pixels > MAX_PIXELS:
        notes += (f"{name} has {pixels / 1e6:.0f} megapixels; it is used at {picture.width}x{picture.height} pixels.",)
    return picture, notes


def readable_name(name: str) -> str:
    """Return a file's name for a message: without control and invisible characters, and shortened."""
    readable = "".join(character for character in name if character.isprintable())
    return readable if len(readable) <= MAX_NAME else f"{readable[: MAX_NAME // 2]}…{readable[-MAX_NAME // 2 :]}"


def check_size(width: int, height: int, name: str = "The picture", most: int = MAX_PIXELS) -> None:
    """Raise InputError for a picture that is too large, too small or too narrow."""
    if width * height > most:
        pixels = width * height / 1e6
        raise InputError(f"{name} has {pixels:.0f} megapixels; the limit is {most // 1_000_000}, make it smaller.")
    if min(width, height) < MIN_SIDE:
        raise InputError(
            f"{name} is {width}x{height} pixels; each side must be at least {MIN_SIDE}, choose a larger one."
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise InputError(
            f"{name} is {width}x{height} pixels, too narrow: the long side may be {MAX_RATIO} times the short one; crop it."
        )


@dataclass(frozen=True)
class _Decoded:
    picture: Pillow.Image
    size: tuple[int, int]
    """Width and height in the file."""
    notes: tuple[str, ...] = ()


def _decode(data: bytes, name: str, nearest: bool) -> _Decoded:
    """Return the picture, reduced where it is large. Raises InputError."""
    if _is_heic(data):
        return _decode_heic(data, name, nearest)
    opened = _open(data, name)
    size = opened.size
    in_bands = can_read_bands(data)
    is_drafted = isinstance(opened, JpegImageFile)
    check_size(*size, name, MAX_FILE_PIXELS if in_bands or is_drafted else MAX_WHOLE_PIXELS)
    factor = _reduction(*size)
    try:
        if opened.format == "PNG":
            _open(data, name).verify()  # decoding alone does not compare the checksums
        if in_bands and factor > 1:
            picture = read_reduced(data, factor, nearest)
            picture.info = opened.info | {key: value for key, value in picture.info.items() if value is not None}
        else:
            picture = _loaded(opened, factor, nearest)
        return _Decoded(picture, size, tuple(_frame_notes(opened, name)))
    except Pillow.DecompressionBombError as error:  # of a frame that is larger than its picture
        raise _too_large(name, error) from error
    except _DECODING_ERRORS as error:
        raise _damaged(name) from error


def _loaded(opened: Pillow.Image, factor: int, nearest: bool) -> Pillow.Image:
    """Return a picture decoded at 1/factor of its size: a JPEG's decoder reduces by itself, any other is decoded whole."""
    width = opened.width
    if factor > 1:
        opened.draft(None, (opened.width // factor, opened.height // factor))
    opened.load()
    factor //= round(width / opened.width)
    return reduced(opened, factor, nearest) if factor > 1 else opened


def _decode_heic(data: bytes, name: str, nearest: bool) -> _Decoded:
    """Return the main picture of a HEIC file, which libheif turns upright. Raises InputError."""
    try:
        import pi_heif
    except ImportError:
        raise InputError(
            f"{name} is a HEIC photo, which needs the Python package pi-heif; install it, or save the photo as JPEG "
            "(on an iPhone: Settings, Camera, Formats, Most Compatible)."
        ) from None
    try:
        file = pi_heif.open_heif(data)
        width, height = file.size
        check_size(width, height, name, MAX_WHOLE_PIXELS)
        picture = file.to_pillow()
    except _DECODING_ERRORS as error:
        if isinstance(error, InputError):
            raise
        raise _damaged(name) from error
    factor = _reduction(width, height)
    notes = (f"{name} holds {len(file)} pictures; the main one is used.",) if len(file) > 1 else ()
    return _Decoded(reduced(picture, factor, nearest) if factor > 1 else picture, (width, height), notes)


def _is_heic(data: bytes) -> bool:
    """Return whether the file type box at the start of a file names HEIC, first or among what it is compatible with."""
    if data[4:8] != b"ftyp":
        return False
    box = data[8 : min(int.from_bytes(data[:4]), 256)]
    brands = {box[place : place + 4] for place in range(0, len(box), 4)}
    return bool(brands & HEIC_BRANDS) and not brands & AVIF_BRANDS


def _reduction(width: int, height: int) -> int:
    """Return the power of two that brings a picture above MAX_PIXELS to at most REDUCED_PIXELS; 1 for any other."""
    factor = 1
    while width * height > MAX_PIXELS and width * height > REDUCED_PIXELS * factor**2:
        factor *= 2
    return factor


def _frame_notes(opened: Pillow.Image, name: str) -> Iterator[str]:
    if opened.format == "MPO":
        yield f"{name} holds {getattr(opened, 'n_frames', 2)} pictures; the first is used."
    elif getattr(opened, "is_animated", False):
        yield f"{name} is an animation; its first frame is used."


def _without_texts(data: bytes) -> bytes:
    """Return a PNG without its texts, and any other file as it is."""
    if not data.startswith(PNG):
        return data
    chunks, place = [PNG], len(PNG)
    while place < len(data):
        length, kind = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8]
        end = place + 12 + length
        if kind not in PNG_TEXTS:
            chunks.append(data[place:end])
        place = end
    return b"".join(chunks)


def _open(data: bytes, name: str) -> Pillow.Image:
    """Open a picture, which reads its header only. Pillow's own limit of pixels does not count: check_size has ours."""
    Pillow.init()
    for format in FORMATS:
        factory, accept = Pillow.OPEN.get(format, (None, None))
        if factory is None or (accept is not None and accept(data[:16]) is not True):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a malformed MPO, whose first picture is good
                return factory(io.BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue  # another format may begin alike
        except Pillow.DecompressionBombError as error:
            raise _too_large(name, error) from error
        except _DECODING_ERRORS as error:
            raise _damaged(name) from error
    raise InputError(f"{name} is not a picture that can be read; give one of {', '.join(FORMATS)}, HEIC.")


def _too_large(name: str, error: Exception) -> InputError:
    """Return the error of a size that Pillow refuses by itself, from its text."""
    found = re.search(r"\d+", str(error))
    pixels = int(found[0]) if found else MAX_FILE_PIXELS
    limit = MAX_WHOLE_PIXELS // 1_000_000
    return InputError(f"{name} has {pixels / 1e6:.0f} megapixels; the limit is {limit}, make it smaller.")


def _damaged(name: str) -> InputError:
    return InputError(f"{name} is damaged or cut off; save or download it again.")


def _upright(picture: Pillow.Image) -> Pillow.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except (*_DECODING_ERRORS, TypeError, AttributeError):
        return picture  # the picture is good, only its EXIF is broken
