"""Roles of pictures: the meaning of transparency, colour profile and 16-bit numbers in a photo, a map, a mask, a start."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms

from annotators.base import Image
from models.errors import InputError

Colour = tuple[int, int, int]
"""RGB, 0 to 255."""
Notes = list[str]
"""Sentences about what was done with a file; a reader adds to it."""
Decode = Callable[[Pillow.Image, str, Notes], Image | None]
"""Converts a decoded file whose pixels are data, not colours; returns None for an ordinary picture."""
HALF = 127
"""Opacity up to which a pixel counts as transparent where it must be one or the other."""
ONE_COLOUR = 48
"""Distance of colours, in each channel, that are one paint with its soft border."""
SPACE = slice(16, 20)
"""Bytes of an ICC profile that name the space of its pictures."""
ROUNDING = 2
"""Largest change of a channel by a colour profile that is only rounding: the pixels stay as they are."""


@dataclass(frozen=True)
class Role:
    """How a picture file is read: as a photo, a map of some kind, a mask or weights."""

    paper: Colour = (255, 255, 255)
    """Colour that shows where it is transparent."""
    nearest: bool = False
    """Whether colours are codes, which must not be blended with the paper or interpolated."""
    numbers: bool = False
    """Whether pixels are numbers, so that colour profiles are ignored."""
    ink: bool = False
    """Whether lines are expected to be bright; dark lines on a transparent sheet are put on white."""
    decode: Decode | None = None


def _mask(layer: NDArray[np.uint8], name: str, notes: Notes) -> Image:
    """(H, W, 4) RGBA → a mask: what is painted, or the hole in a picture."""
    alpha, seen = layer[..., 3], layer[layer[..., 3] > HALF][:, :3]
    middle = np.median(seen, axis=0) if len(seen) else np.zeros(3)
    if not len(seen) or (np.abs(seen - middle).max(axis=1) <= ONE_COLOUR).mean() > 0.98:
        notes.append(f"{name} is transparent: what is painted in it, in any colour, is the mask.")
        return _grey(alpha)
    ends = (seen.max(axis=1) < 64) | (seen.min(axis=1) > 191)
    if ends.mean() > 0.9:
        notes.append(f"{name} is transparent in parts, which count as black.")
        return _grey(_over(layer, (0, 0, 0)).max(axis=2))
    notes.append(f"{name} is a picture with a hole: the hole is the mask.")
    return _grey(255 - alpha)


PHOTO = Role()
WEIGHTS = Role(paper=(128, 128, 128), numbers=True)
"""A map of weights, whose middle grey is 0."""
MASK = Role(paper=(0, 0, 0), numbers=True)
"""White is masked; in a picture with transparency its opacity is."""


@dataclass(frozen=True, eq=False)
class Start:
    """A picture to start from."""

    image: Image
    """Without its holes, which are filled from around them."""
    hole: Image | None
    """A mask, white where the picture is transparent; None where it is not."""


def to_rgb(picture: Pillow.Image, role: Role, name: str, notes: Notes) -> Image:
    """Return a decoded picture as its role reads it, (H, W, 3). Raises InputError where all of it is transparent."""
    found = role.decode(picture, name, notes) if role.decode else None
    if found is not None:
        return found
    layer = _layer(picture, role, name, notes)
    if layer.shape[2] == 3:
        return layer
    if role is MASK:
        return _mask(layer, name, notes)
    if role.nearest:
        shown = layer[..., 3:] > HALF
        return np.where(shown, layer[..., :3], np.array(role.paper, np.uint8))
    if role.ink and _is_dark(layer):
        notes.append(f"{name} has dark lines on a transparent sheet, which was laid on white.")
        return _over(layer, (255, 255, 255))
    return _over(layer, role.paper)


def to_start(picture: Pillow.Image, name: str, notes: Notes) -> Start:
    """Return a decoded picture to start from, and the hole in it."""
    layer = _layer(picture, PHOTO, name, notes)
    if layer.shape[2] == 3:
        return Start(layer, None)
    hole = layer[..., 3] <= HALF
    if not hole.any():
        return Start(_over(layer, PHOTO.paper), None)
    return Start(_filled(layer), _grey(hole.astype(np.uint8) * np.uint8(255)))


def _layer(picture: Pillow.Image, role: Role, name: str, notes: Notes) -> Image:
    """(H, W, 3) RGB, or (H, W, 4) with opacity where some of it is transparent. Raises InputError where all of it is."""
    if is_deep(picture):
        picture = _with_info(_eight_bits(picture), picture)
    alpha = None
    if picture.has_transparency_data:
        with_alpha = picture.convert("RGBA")
        alpha = np.asarray(with_alpha)[..., 3]
        if alpha.max() <= 1:
            raise InputError(f"{name} is transparent everywhere, so it shows nothing; choose another picture.")
        grey = picture.mode in ("L", "LA", "La", "1")
        picture = _with_info(picture.convert("L") if grey else with_alpha.convert("RGB"), picture)
    profile = picture.info.get("icc_profile")
    rgb = None if role.numbers or not profile else _managed(picture, profile, name, notes)
    if rgb is None:
        rgb = np.array(picture.convert("RGB"))
    return rgb if alpha is None or alpha.min() == 255 else np.dstack([rgb, alpha])


def is_deep(picture: Pillow.Image) -> bool:
    """Return whether a picture has more than 8 bits a pixel's channel."""
    return picture.mode.startswith("I") or picture.mode == "F"


def _eight_bits(picture: Pillow.Image) -> Pillow.Image:
    grey = np.asarray(picture).astype(np.float32) / 257
    return Pillow.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))


def _with_info(made: Pillow.Image, source: Pillow.Image) -> Pillow.Image:
    made.info = {"icc_profile": source.info.get("icc_profile")}
    return made


def _managed(picture: Pillow.Image, profile: bytes, name: str, notes: Notes) -> Image | None:
    """Return a picture of a colour profile as sRGB, whatever its mode; None where the profile does not fit, which is noted."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = profile[SPACE].decode("ascii").strip()
        modes = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
        is_grey = picture.mode in ("L", "LA", "1")
        if space not in modes or (space == "CMYK") != (picture.mode == "CMYK") or (space == "GRAY") != is_grey:
            raise ImageCms.PyCMSError(f"a profile for {space} in a picture of mode {picture.mode}")
        plain = picture.convert(modes[space])
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(plain, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, SyntaxError):
        notes.append(f"The colour profile of {name} does not fit its picture and was ignored.")
        return None
    before, after = np.asarray(picture.convert("RGB")), np.array(converted)
    return np.array(before) if int(cv2.absdiff(before, after).max()) <= ROUNDING else after


def _over(layer: NDArray[np.uint8], paper: Colour) -> Image:
    """(H, W, 4) RGBA → RGB on paper of one colour."""
    sheet = Pillow.new("RGBA", (layer.shape[1], layer.shape[0]), (*paper, 255))
    return np.array(Pillow.alpha_composite(sheet, Pillow.fromarray(layer)).convert("RGB"))


def _is_dark(layer: NDArray[np.uint8]) -> bool:
    """Return whether what is painted on a transparent sheet is mostly dark."""
    seen = layer[layer[..., 3] > HALF][:, :3]
    return bool(len(seen) and np.median(seen.max(axis=1)) < 96)


def _filled(layer: NDArray[np.uint8]) -> Image:
    """(H, W, 4) RGBA → RGB whose transparent parts have the colours around them, the larger the hole the softer."""
    opacity = layer[..., 3:].astype(np.float32) / 255
    own = layer[..., :3].astype(np.float32) * opacity
    spread = _spread(own, opacity)
    return np.clip(np.rint(own + (1 - opacity) * spread), 0, 255).astype(np.uint8)


def _spread(own: NDArray[Any], opacity: NDArray[Any]) -> NDArray[Any]:
    """Return the mean colour around every pixel, from the smallest neighbourhood that has any."""
    height, width = opacity.shape[:2]
    known = own / np.maximum(opacity, 1e-6)
    if opacity.min() > 0 or max(height, width) < 2:
        return known
    half = ((width + 1) // 2, (height + 1) // 2)
    smaller = [cv2.resize(part, half, interpolation=cv2.INTER_AREA) for part in (own, opacity)]
    coarse = _spread(smaller[0], smaller[1][..., None])
    around = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(opacity > 0, known, around)


def _grey(values: NDArray[np.uint8]) -> Image:
    return np.asarray(cv2.merge([values] * 3), np.uint8)
