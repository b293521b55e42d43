"""What a picture is that claims to be a map: a map of this kind, one with a fault that can be mended, or a photo."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image, InputError
from annotators.kinds import MapKind
from annotators.maps import ADE20K_PALETTE, is_blank
from annotators.sticks import LIMB_BRIGHTNESS, POSE_COLOURS

EXACT = 0.9
"""Share of a label map's pixels that have a colour of the palette."""
MIXED = 0.5
"""Share of them in a label map that was resized with its colours mixed, or stored as JPEG."""
COMPRESSED = 0.8
"""Share of them that are at least near such a colour after JPEG."""
NEAR = 12
"""How far, in each channel, JPEG moves a colour."""


@dataclass(frozen=True)
class Mend:
    """A fault of a map taken out of it; never done unless asked for."""

    id: str
    title: str
    """On the button."""
    done: str
    """Said of the map afterwards."""
    apply: Callable[[Image, MapKind], Image]


@dataclass(frozen=True)
class Finding:
    """What may be wrong with a map, and what would mend it."""

    sentence: str
    mends: tuple[Mend, ...] = ()


def _flip(channel: int) -> Callable[[Image, MapKind], Image]:
    def apply(image: Image, kind: MapKind) -> Image:
        flipped = image.copy()
        flipped[..., channel] = 255 - flipped[..., channel]
        return flipped

    return apply


def snap_palette(image: Image, kind: MapKind) -> Image:
    """Every pixel in the colour of the palette, or black, that is nearest to it."""
    palette = palette_of(kind)
    codes, places = np.unique(_codes(image), return_inverse=True)
    colours = _colours(codes)
    nearest, least = np.zeros(len(colours), np.intp), np.full(len(colours), np.iinfo(np.int32).max)
    for number, colour in enumerate(palette.astype(np.int32)):
        distance = np.square(colours - colour).sum(axis=1)
        closer = distance < least
        nearest[closer], least[closer] = number, distance[closer]
    return palette[nearest[places.ravel()]].reshape(image.shape)


MENDS: Mapping[str, Mend] = MappingProxyType(
    {
        mend.id: mend
        for mend in (
            Mend("invert", "Invert", "Its colours were inverted.", lambda image, kind: 255 - image),
            Mend("flip_red", "Flip red", "Left and right were exchanged in it.", _flip(0)),
            Mend("flip_green", "Flip green", "Up and down were exchanged in it.", _flip(1)),
            Mend(
                "reverse_channels", "Exchange red and blue", "Its red and blue were exchanged.",
                lambda image, kind: image[..., ::-1],
            ),
            Mend("snap_palette", "Unmix the colours", "Its colours were brought back to the palette.", snap_palette),
            Mend("as_it_is", "Take it as it is", "It was taken for a map as it is.", lambda image, kind: image),
        )
    }
)  # fmt: skip


def mend(image: Image, kind: MapKind, ids: Sequence[str]) -> tuple[Image, tuple[str, ...]]:
    """The map with these mends, in order, and what to say of it. An unknown one is an InputError."""
    for id in ids:
        if id not in MENDS:
            raise InputError(f"There is no mend {id!r}; choose from: {', '.join(MENDS)}.")
        image = np.ascontiguousarray(MENDS[id].apply(image, kind))
    return image, tuple(MENDS[id].done for id in ids)


def looks_like(kind: MapKind, image: Image) -> bool:
    """True where a picture has what photos never have: bare lines on black, sticks, palette colours, unit vectors."""
    if is_blank(image):
        return False
    strongest, weakest = _extremes(image)
    if kind.id in ("lines", "soft_lines"):
        ends = (strongest < 24) | (weakest > 231)
        return bool(ends.mean() > 0.97 and 0.0 < (image[..., 1] > 127).mean() < 0.4)
    if kind.id == "pose":
        black, colourful = strongest < 8, strongest - weakest > 80
        return bool(black.mean() > 0.8 and (black | colourful).mean() > 0.98)
    if kind.id == "labels":
        return _palette_share(image, kind) > 0.98
    if kind.id == "normal":
        return _unit_share(image) > 0.95
    return False  # a depth map may be any grey photo


def examine(kind: MapKind, control_image: Image, title: str) -> Finding | None:
    """What may be wrong with a map of the user's own, called by its condition's title; None where nothing is seen."""
    if is_blank(control_image):
        return Finding(
            "The map has one colour only and steers nothing; choose another, or an annotator to make one of a photo."
        )
    if kind.polarity == "white on black" and not _coloured(control_image) and control_image.mean() > 127:
        return Finding(
            "The map has dark lines on white, but the ControlNet reads white lines on black: invert its colours.",
            (MENDS["invert"],),
        )
    if kind.id == "normal" and _unit_share(control_image) >= 0.5:
        return _examine_normals(control_image)
    if kind.palette and (found := _examine_palette(control_image, kind)):
        return found
    if not _is_another(kind, control_image):
        return None
    return Finding(
        f"This does not look like a {title} map, which is {kind.looks}; if it is a photo, choose an annotator."
    )


def _is_another(kind: MapKind, image: Image) -> bool:
    """Whether a picture has not what every map of this kind has."""
    if kind.id == "pose":
        return bool((_extremes(image)[0] < 8).mean() < 0.5)
    if kind.id == "labels":
        return _palette_share(image, kind) < EXACT
    if kind.id == "normal":
        return True  # its pixels are no unit vectors
    return kind.channels == "grey" and _coloured(image)


def _examine_normals(image: Image) -> Finding | None:
    """A map of unit vectors: are its channels in their order, and their signs right?"""
    red, _, blue = image.reshape(-1, 3).mean(axis=0)
    if red > blue + 16:
        return Finding(
            "The map's red is its front, as in files with blue, green, red: exchange red and blue.",
            (MENDS["reverse_channels"],),
        )
    if _is_mirrored(image):
        # There are more floors than ceilings: a map that faces up, on the whole, has its green right.
        faces_up = image[..., 1].mean() >= 127
        wrong, other = ("flip_red", "flip_green") if faces_up else ("flip_green", "flip_red")
        sides = {"flip_red": "left and right", "flip_green": "up and down"}
        return Finding(
            f"The map's {sides[wrong]} look exchanged, as in maps of other programs: flip that channel.",
            (MENDS[wrong], MENDS[other]),
        )
    return None


def _is_mirrored(image: Image) -> bool:
    """Whether one of red and green, not both, has the wrong sign.

    Slopes of one surface obey d(slope x)/dy = d(slope y)/dx. Red is left and green is up, but rows are counted downwards:
    of a true map the two differences below are opposite, of a mirrored one the same. Borders of things are left out.
    """
    vectors = image.astype(np.float32) / 127.5 - 1
    steep = vectors[..., 2] < 0.3
    depth = np.where(steep, 1, vectors[..., 2])
    a = np.gradient(vectors[..., 0] / depth, axis=0)
    b = np.gradient(vectors[..., 1] / depth, axis=1)
    smooth = ~steep & (np.abs(a) < 0.2) & (np.abs(b) < 0.2) & (np.abs(a) + np.abs(b) > 0.004)
    if smooth.mean() < 0.002:
        return False
    same, opposite = np.abs(a - b)[smooth].sum(), np.abs(a + b)[smooth].sum()
    return bool(same > 1.5 * opposite)


def _examine_palette(image: Image, kind: MapKind) -> Finding | None:
    exact = _palette_share(image, kind)
    exchanged = (
        _stands_on_its_head(image) if kind.id == "pose" else _palette_share(image[..., ::-1], kind) > exact + 0.05
    )
    if exchanged:
        return Finding(
            f"The map's colours look like {kind.palette}'s with red and blue exchanged: exchange them back.",
            (MENDS["reverse_channels"],),
        )
    if kind.id == "labels" and exact < EXACT and (exact > MIXED or _palette_share(image, kind, NEAR) > COMPRESSED):
        return Finding(
            f"The map's colours are mixed, by resizing or JPEG, and {kind.palette} has no such ones: unmix them.",
            (MENDS["snap_palette"],),
        )
    return None


def _stands_on_its_head(image: Image) -> bool:
    """Whether what is blue, a left foot, lies above what is red, a nose and a neck; exchanged colours look so.

    The palette goes once round the hues: exchanged, it has the same colours in other places.
    """
    share = image.astype(np.float32) / np.maximum(image.max(axis=2, keepdims=True), 1)
    bright = image.max(axis=2) > 100
    red = bright & (share[..., 0] == 1) & (share[..., 1] < 0.4) & (share[..., 2] < 0.2)
    blue = bright & (share[..., 2] == 1) & (share[..., 1] < 0.4) & (share[..., 0] < 0.2)
    return bool(red.any() and blue.any() and np.nonzero(blue)[0].mean() < np.nonzero(red)[0].mean())


def palette_of(kind: MapKind) -> NDArray[np.uint8]:
    """(N, 3) every colour a map of this kind may have, black among them."""
    if kind.palette == "ADE20K":
        colours = ADE20K_PALETTE
    else:
        full = np.array(POSE_COLOURS)
        colours = np.concatenate([full, (full * LIMB_BRIGHTNESS).astype(int)])
    return np.concatenate([np.zeros((1, 3), np.uint8), colours.astype(np.uint8)])


def _extremes(image: Image) -> tuple[Image, Image]:
    """(H, W): the strongest and the weakest channel of each pixel."""
    red, green, blue = cv2.split(image)
    return np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)


def _coloured(image: Image) -> bool:
    strongest, weakest = _extremes(image)
    return float((strongest - weakest).mean()) > 12


def _unit_share(image: Image) -> float:
    """How many of the pixels are a vector of length 1, as in a normal map."""
    squares = sum(np.square(channel.astype(np.float32) / 127.5 - 1) for channel in cv2.split(image))
    return float((np.abs(np.sqrt(squares) - 1) < 0.06).mean())


def _palette_share(image: Image, kind: MapKind, tolerance: int = 0) -> float:
    """How many of the pixels have a colour of the kind's palette, or black."""
    codes, counts = np.unique(_codes(image), return_counts=True)
    palette = palette_of(kind)
    if not tolerance:
        return float(counts[np.isin(codes, _codes(palette))].sum() / counts.sum())
    colours = _colours(codes)
    known = np.zeros(len(colours), np.bool_)
    for colour in palette.astype(np.int32):
        known |= (np.abs(colours - colour) <= tolerance).all(axis=1)
    return float(counts[known].sum() / counts.sum())


def _codes(colours: Image) -> NDArray[np.int32]:
    """(…, 3) → (…): a number for each colour."""
    red, green, blue = (colours[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _colours(codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """(N) → (N, 3): the opposite of `_codes`."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1)
