"""Reading of picture files as RGB arrays, with an error for every bad file; sizes and resizing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from annotators.base import Image
from annotators.sources.picture_files import check_size, decode_picture, read_bytes, readable_name
from annotators.sources.roles import PHOTO, Colour, Role, Start, to_rgb, to_start
from models.errors import InputError

ResizeMode = Literal["crop", "stretch", "pad"]
"""crop keeps the middle of the proportions asked for, pad keeps all and fills the rest, stretch distorts."""


def load_image(source: Path | str | bytes, name: str | None = None, role: Role = PHOTO) -> Image:
    """Return a picture file, or its bytes, as upright sRGB; an animation gives its first frame. Raises InputError.

    The role decides what transparency, 16 bits and colour profiles mean; a photo's transparency is white. A picture of
    more than 48 megapixels is reduced. Messages call the picture `name`.
    """
    return load_noted(source, name, role)[0]


def load_noted(
    source: Path | str | bytes, name: str | None = None, role: Role = PHOTO
) -> tuple[Image, tuple[str, ...]]:
    """Return `load_image`, and a sentence for each part of the file that is not used, or not used as it is."""
    name, data = _content(source, name)
    picture, notes = decode_picture(data, name, role.nearest)
    more: list[str] = []
    image = to_rgb(picture, role, name, more)
    return image, (*notes, *more)


def load_start(source: Path | str | bytes, name: str | None = None) -> tuple[Start, tuple[str, ...]]:
    """Return a picture to start from, the mask of a hole that was rubbed into it, and notes as `load_noted`."""
    name, data = _content(source, name)
    picture, notes = decode_picture(data, name)
    more: list[str] = []
    start = to_start(picture, name, more)
    return start, (*notes, *more)


def _content(source: Path | str | bytes, name: str | None) -> tuple[str, bytes]:
    """Return the name that messages call a file, and its bytes."""
    name = name or ("The picture" if isinstance(source, bytes) else readable_name(Path(source).name))
    return name, source if isinstance(source, bytes) else read_bytes(Path(source), name)


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
    return to_rgb(Pillow.fromarray(array), PHOTO, name, [])


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
