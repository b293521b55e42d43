"""Reading of picture files as RGB arrays, with an error for every bad file; sizes and resizing."""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms, ImageOps, UnidentifiedImageError

from annotators.base import Image
from models.errors import InputError

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "GIF")
MAX_BYTES = 100_000_000
MAX_PIXELS = 48_000_000
MIN_SIDE = 8
"""Pixels."""
MAX_RATIO = 100
"""Limit of long side over short side; beyond it, a resized picture has a side of 0."""
MAX_NAME = 60
"""Characters of a file's name in a message."""
Colour = tuple[int, int, int]
"""RGB, 0 to 255."""
ResizeMode = Literal["crop", "stretch", "pad"]
"""crop keeps the middle of the proportions asked for, pad keeps all and fills the rest, stretch distorts."""

PNG, PNG_TEXTS = b"\x89PNG\r\n\x1a\n", (b"tEXt", b"zTXt", b"iTXt")
# Raised by Pillow's decoders for broken files.
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, zlib.error)


def load_image(source: Path | str | bytes, name: str | None = None) -> Image:
    """Return a picture file, or its bytes, as upright sRGB; an animation gives its first frame. Raises InputError.

    Transparency becomes white, 16 bits are scaled to 8, colour profiles are converted. Messages call the picture `name`.
    """
    return load_noted(source, name)[0]


def load_noted(source: Path | str | bytes, name: str | None = None) -> tuple[Image, tuple[str, ...]]:
    """Return `load_image`, and a sentence for each part of the file that is not used."""
    name = name or ("The picture" if isinstance(source, bytes) else readable_name(Path(source).name))
    data = source if isinstance(source, bytes) else _read(Path(source), name)
    if not data:
        raise InputError(f"{name} is empty (0 bytes); choose another picture.")
    notes: list[str] = []
    try:
        picture = _decode(data, name)
    except InputError:
        bare = _without_texts(data)
        if bare == data:
            raise
        picture = _decode(bare, name)  # only the texts were too large
        notes.append(f"The metadata of {name} is too large and was ignored.")
    if getattr(picture, "is_animated", False):
        notes.append(f"{name} is an animation; its first frame is used.")
    return np.array(_to_rgb(_upright(picture), name)), tuple(notes)


def readable_name(name: str) -> str:
    """Return a file's name for a message: without control and invisible characters, and shortened."""
    readable = "".join(character for character in name if character.isprintable())
    return readable if len(readable) <= MAX_NAME else f"{readable[: MAX_NAME // 2]}…{readable[-MAX_NAME // 2 :]}"


def from_array(values: NDArray[Any], name: str = "The picture") -> Image:
    """Return an array (H, W) or (H, W, 1 to 4), uint8 or bool, as RGB on white. Raises InputError for any other array.

    Channels are grey, grey and opacity, RGB, or RGB and opacity.
    """
    array = np.asarray(values)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and not 2 <= array.shape[2] <= 4):
        raise InputError(
            f"{name} is an array of {array.dtype} and shape {array.shape}; "
            "give uint8 of height x width, with 1 to 4 channels."
        )
    check_size(array.shape[1], array.shape[0], name)
    return np.array(_to_rgb(Pillow.fromarray(array), name))


def check_size(width: int, height: int, name: str = "The picture") -> None:
    """Raise InputError for a picture that is too large, too small or too narrow."""
    if width * height > MAX_PIXELS:
        raise InputError(_too_large(name, width * height))
    if min(width, height) < MIN_SIDE:
        raise InputError(
            f"{name} is {width}x{height} pixels; each side must be at least {MIN_SIDE}, choose a larger one."
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise InputError(
            f"{name} is {width}x{height} pixels, too narrow: the long side may be {MAX_RATIO} times the short one; crop it."
        )


def resize(
    image: Image,
    width: int,
    height: int,
    mode: ResizeMode = "crop",
    nearest: bool = False,
    fill: Colour | None = (0, 0, 0),
) -> Image:
    """Return the image at another size. `nearest` keeps the colours of label maps, `fill` is as for `pad`."""
    old_height, old_width = image.shape[:2]
    if (old_width, old_height) == (width, height):
        return image
    if mode == "stretch":
        return _scale(image, width, height, nearest)
    if mode == "crop":
        scale = max(width / old_width, height / old_height)
        wide, high = min(old_width, round(width / scale)), min(old_height, round(height / scale))
        left, top = (old_width - wide) // 2, (old_height - high) // 2
        return _scale(image[top : top + max(high, 1), left : left + max(wide, 1)], width, height, nearest)
    return pad(_scale(image, *fit_inside(old_width, old_height, width, height), nearest), width, height, fill)


def pad(image: Image, width: int, height: int, fill: Colour | None) -> Image:
    """Return the image in the middle of a larger one, in one colour around it; None repeats its border pixels."""
    top, bottom, left, right = margins(image.shape[1], image.shape[0], width, height)
    border = cv2.BORDER_REPLICATE if fill is None else cv2.BORDER_CONSTANT
    return np.asarray(cv2.copyMakeBorder(image, top, bottom, left, right, border, value=fill or (0, 0, 0)), np.uint8)


def margins(width: int, height: int, frame_width: int, frame_height: int) -> tuple[int, int, int, int]:
    """Return the pixels above, below, left and right of a picture in the middle of a frame."""
    left, top = (frame_width - width) // 2, (frame_height - height) // 2
    return top, frame_height - height - top, left, frame_width - width - left


def fit_inside(width: int, height: int, frame_width: int, frame_height: int) -> tuple[int, int]:
    """Return the largest width and height of the same proportions inside a frame, each at least 1."""
    scale = min(frame_width / width, frame_height / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def fit_size(width: int, height: int, long_side: int, multiple: int = 64) -> tuple[int, int]:
    """Return width and height of nearly the same proportions with this long side, both multiples of `multiple`."""
    scale = long_side / max(width, height)
    return (
        max(multiple, round(width * scale / multiple) * multiple),
        max(multiple, round(height * scale / multiple) * multiple),
    )


def _scale(image: Image, width: int, height: int, nearest: bool) -> Image:
    smaller = width * height < image.shape[0] * image.shape[1]
    method = cv2.INTER_NEAREST_EXACT if nearest else cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=method), np.uint8)


def _read(path: Path, name: str) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"{name} has {size / 1e6:.0f} MB; the limit is {MAX_BYTES / 1e6:.0f} MB, save it smaller.")
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"There is no file {name}; check its name and folder.") from None
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror}); choose a picture file.") from error


def _decode(data: bytes, name: str) -> Pillow.Image:
    """Return the decoded picture, or the first frame of an animation."""
    picture = _open(data, name)
    check_size(picture.width, picture.height, name)
    try:
        if picture.format == "PNG":
            _open(data, name).verify()  # decoding alone does not compare the checksums
        picture.load()
    except _DECODING_ERRORS as error:
        raise InputError(f"{name} is damaged or cut off; save or download it again.") from error
    return picture


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
    """Open a picture, which reads its header only."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", Pillow.DecompressionBombWarning
            )  # check_size refuses it with our own message
            return Pillow.open(io.BytesIO(data), formats=FORMATS)
    except Pillow.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        raise InputError(_too_large(name, int(pixels[0]) if pixels else 2 * MAX_PIXELS)) from error
    except UnidentifiedImageError as error:
        raise InputError(f"{name} is not a picture that can be read; give one of {', '.join(FORMATS)}.") from error
    except _DECODING_ERRORS as error:
        raise InputError(f"{name} is damaged or cut off; save or download it again.") from error


def _too_large(name: str, pixels: int) -> str:
    limit = MAX_PIXELS // 1_000_000
    return f"{name} has {pixels / 1e6:.0f} megapixels; the limit is {limit}, make it smaller."


def _upright(picture: Pillow.Image) -> Pillow.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except (*_DECODING_ERRORS, TypeError, AttributeError):
        return picture  # the picture is good, only its EXIF is broken


def _to_rgb(picture: Pillow.Image, name: str) -> Pillow.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        grey = np.asarray(picture).astype(np.float32) / 257
        return Pillow.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        if np.asarray(layer)[..., 3].max() <= 1:
            raise InputError(f"{name} is transparent everywhere, so it shows nothing; choose another picture.")
        return Pillow.alpha_composite(Pillow.new("RGBA", layer.size, "white"), layer).convert("RGB")
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in ("RGB", "CMYK"):
        try:
            # A profile that does not fit its picture is ignored.
            converted = ImageCms.profileToProfile(
                picture, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            return converted or picture.convert("RGB")
        except (ImageCms.PyCMSError, *_DECODING_ERRORS):
            return picture.convert("RGB")
    return picture.convert("RGB")
