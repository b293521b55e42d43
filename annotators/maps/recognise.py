"""Diagnosis of maps that users bring: a map of the right kind, one with a fault that can be repaired, or a photo."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image, shown
from annotators.maps.encoders import ADE20K_COLOURS, colour_codes, is_blank
from annotators.maps.kinds import KINDS, KindId, MapKind
from annotators.people.sticks import LIMB_BRIGHTNESS, LIMBS, POSE_COLOURS
from models.errors import InputError

EXACT = 0.999
"""Share of a label map's pixels with a colour of the palette: all but a few that were drawn by hand."""
MIXED = 0.5
"""Share of such pixels in a label map whose colours were mixed by resizing or JPEG."""
COMPRESSED = 0.8
"""Share of the pixels that are NEAR a colour of the palette after JPEG."""
NEAR = 12
"""Distance, in each channel, that JPEG moves a colour."""
SAMPLE = 16_384
"""Pixels from which a share is estimated."""
CLEAR = 6
"""Grey levels from the middle at which the mean green of normals shows whether they face up or down."""


@dataclass(frozen=True)
class Repair:
    """The repair of one fault of a map, applied only on request."""

    id: str
    title: str
    """Label of its button."""
    done: str
    """Sentence about the repaired map."""
    apply: Callable[[Image], Image]
    kinds: tuple[KindId, ...]
    """Kinds of maps that may have this fault."""


@dataclass(frozen=True)
class Finding:
    """A possible fault of a map, with its repairs."""

    message: str
    repairs: tuple[Repair, ...] = ()


def _flip(channel: int) -> Callable[[Image], Image]:
    """Return the function that inverts one channel."""

    def apply(image: Image) -> Image:
        flipped = image.copy()
        flipped[..., channel] = 255 - flipped[..., channel]
        return flipped

    return apply


def snap_palette(image: Image) -> Image:
    """Return the map with palette colours only: a colour that fills no block anywhere becomes that of the nearest pixel.

    The border of two classes has mixtures of their colours, some of which are nearly the colour of a third class.
    """
    names = _nearest(image, ADE20K_COLOURS, NEAR)
    real = _in_blocks(_nearest(image, ADE20K_COLOURS, 0), 3) | _in_blocks(names, 5)
    sure = np.isin(names, list(real))
    if not sure.any():
        return ADE20K_COLOURS[_nearest(image, ADE20K_COLOURS, 255)]
    _, places = cv2.distanceTransformWithLabels(
        (~sure).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.asarray(places, np.intp)
    of_place = np.zeros(int(places.max()) + 1, np.intp)
    of_place[places[sure]] = names[sure]
    return ADE20K_COLOURS[of_place[places]]


def _from_one(image: Image) -> Image:
    """Return a label map with each class replaced by the one before it; the first becomes none."""
    classes = np.maximum(_nearest(image, ADE20K_COLOURS, 0), 0)
    return ADE20K_COLOURS[np.maximum(classes - 1, 0)]


def _in_blocks(names: NDArray[np.int32], side: int) -> set[int]:
    """Return the names that fill a square of this side somewhere."""
    block = np.ones((side, side), np.uint8)
    found = (int(name) for name in np.unique(names) if name >= 0)
    return {name for name in found if cv2.erode((names == name).astype(np.uint8), block).any()}


_GREY: tuple[KindId, ...] = ("lines", "soft_lines", "depth")
REPAIRS: Mapping[str, Repair] = MappingProxyType(
    {
        repair.id: repair
        for repair in (
            Repair("invert", "Invert", "Its colours were inverted.", lambda image: 255 - image, _GREY),
            Repair("flip_red", "Flip red", "Its left and right were exchanged.", _flip(0), ("normal",)),
            Repair("flip_green", "Flip green", "Its up and down were exchanged.", _flip(1), ("normal",)),
            Repair(
                "reverse_channels", "Exchange red and blue", "Its red and blue were exchanged.",
                lambda image: image[..., ::-1], ("normal", "labels", "pose"),
            ),
            Repair(
                "snap_palette", "Unmix the colours", "Its colours were brought back to the palette.", snap_palette,
                ("labels",),
            ),
            Repair(
                "count_from_1", "Count classes from 1", "Its classes were counted from 1, not from 0.", _from_one,
                ("labels",),
            ),
            Repair("as_it_is", "Use it as it is", "The picture is used as the map, unchanged.", np.copy, tuple(KINDS)),
        )
    }
)  # fmt: skip


def repair(image: Image, kind: MapKind, ids: Sequence[str]) -> tuple[Image, tuple[str, ...]]:
    """Return the map after these repairs, in order, and a sentence for each. Raises InputError for one of other kinds of map."""
    for id in ids:
        if id not in REPAIRS or kind.id not in REPAIRS[id].kinds:
            allowed = ", ".join(repair.id for repair in REPAIRS.values() if kind.id in repair.kinds)
            raise InputError(f"There is no repair {shown(id)} for this kind of map; choose from: {allowed}.")
        image = np.ascontiguousarray(REPAIRS[id].apply(image))
    return image, tuple(REPAIRS[id].done for id in ids)


def looks_like(kind: MapKind, image: Image) -> bool:
    """Return whether a picture has features of maps that photos lack: bare lines, sticks, palette colours, unit vectors."""
    if is_blank(image):
        return False
    strongest, weakest = _extremes(image)
    if kind.id in ("lines", "soft_lines"):
        ends, bright = (strongest < 24) | (weakest > 231), (image[..., 1] > 127).mean()
        bare = ends.mean() > 0.97 and 0.0 < bright < 0.4
        soft = (strongest - weakest).max() < 8 and (strongest < 8).mean() > 0.5 and bright < 0.2
        return bool(bare or soft)
    if kind.id == "pose":
        black, colourful = strongest < 8, strongest - weakest > 80
        return bool(black.mean() > 0.8 and (black | colourful).mean() > 0.98)
    if kind.id == "labels":
        return _palette_share(image, NEAR) > 0.9
    if kind.id == "normal":
        return _unit_share(image) > 0.5
    return False  # a depth map may be any grey photo


def is_drawn(kind: MapKind, image: Image) -> bool:
    """Return whether a picture is a map of lines in reverse: dark lines on white paper."""
    return kind.id in ("lines", "soft_lines") and looks_like(kind, np.asarray(255 - image, np.uint8))


def diagnose(kind: MapKind, control_image: Image, title: str) -> Finding | None:
    """Return the fault of a map for the condition with this title, or None."""
    if is_blank(control_image):
        return Finding(
            "The map has one colour only and steers nothing; choose another, or an annotator to make one from a photo."
        )
    if kind.polarity == "white on black" and _is_on_paper(control_image):
        return Finding(
            "The map has dark lines on white, but the ControlNet reads white lines on black: invert its colours.",
            (REPAIRS["invert"],),
        )
    if kind.polarity == "near is white" and _is_upside_down(control_image):
        return Finding(
            "The map's top is brighter, which means nearer, than its bottom: if dark is near in it, invert its colours.",
            (REPAIRS["invert"],),
        )
    if kind.id == "normal" and _unit_share(control_image) >= 0.5:
        return _diagnose_normals(control_image)
    if kind.palette and (found := _diagnose_palette(control_image, kind)):
        return found
    if not _is_another(kind, control_image):
        return None
    return Finding(
        f"This does not look like a map for {title}, which is {kind.looks}; if it is a photo, choose an annotator."
    )


def _is_another(kind: MapKind, image: Image) -> bool:
    """Return whether a picture lacks a feature that every map of this kind has."""
    if kind.id == "pose":
        return bool((_extremes(image)[0] < 8).mean() < 0.5)
    if kind.id == "labels":
        return _palette_share(image) < MIXED
    if kind.id == "normal":
        return True  # its pixels are not unit vectors
    return kind.channels == "grey" and _coloured(image)


def _diagnose_normals(image: Image) -> Finding | None:
    """Return the fault in the order or the signs of a normal map's channels, or None."""
    red, _, blue = image.reshape(-1, 3).mean(axis=0)
    if red > blue + 16:
        return Finding(
            "The map's red is its front, as in files with blue, green, red: exchange red and blue.",
            (REPAIRS["reverse_channels"],),
        )
    # Photos have more floors than ceilings: a map that faces up on average has the right green.
    up, mirrored = image[..., 1].mean() - 127, _is_mirrored(image)
    flip_red, flip_green = REPAIRS["flip_red"], REPAIRS["flip_green"]
    if mirrored and abs(up) < CLEAR:
        message = "One of the map's channels looks flipped, its left and right or its up and down: flip red or green."
        return Finding(message, (flip_red, flip_green))
    if mirrored and up > 0:
        message = "The map's left and right look exchanged, as in maps of other programs: flip that channel."
        return Finding(message, (flip_red, flip_green))
    if up > -CLEAR:
        return None
    if mirrored is False:
        message = "The map's red and green both look flipped, because it faces down on average: flip both."
        return Finding(message, (flip_red, flip_green))
    message = "The map's up and down look exchanged, as in maps of other programs: flip that channel."
    return Finding(message, (flip_green, flip_red))


def _is_mirrored(image: Image) -> bool | None:
    """Return whether exactly one of red and green has the wrong sign; None where the map is too flat to decide.

    Slopes of one surface obey d(slope x)/dy = d(slope y)/dx. Red is left and green is up, but rows count downwards, so the
    two differences below are opposite in a true map and equal in a mirrored one. Borders of objects are left out.
    """
    vectors = image.astype(np.float32) / 127.5 - 1
    steep = vectors[..., 2] < 0.3
    depth = np.where(steep, 1, vectors[..., 2])
    a = np.gradient(vectors[..., 0] / depth, axis=0)
    b = np.gradient(vectors[..., 1] / depth, axis=1)
    smooth = ~steep & (np.abs(a) < 0.2) & (np.abs(b) < 0.2) & (np.abs(a) + np.abs(b) > 0.004)
    if smooth.mean() < 0.002:
        return None
    same, opposite = np.abs(a - b)[smooth].sum(), np.abs(a + b)[smooth].sum()
    return bool(same > 1.5 * opposite)


def _diagnose_palette(image: Image, kind: MapKind) -> Finding | None:
    exact = _palette_share(image) if kind.id == "labels" else 1
    exchanged = _joins_exchanged(image, kind) if kind.id == "pose" else _palette_share(image[..., ::-1]) > exact + 0.05
    if exchanged:
        return Finding(
            f"The map's colours look like {kind.palette}'s with red and blue exchanged: exchange them back.",
            (REPAIRS["reverse_channels"],),
        )
    if exact < EXACT and (exact > MIXED or _palette_share(image, NEAR) > COMPRESSED):
        return Finding(
            f"The map's colours are mixed, by resizing or JPEG, and not in {kind.palette}'s palette: unmix them.",
            (REPAIRS["snap_palette"],),
        )
    return None


def _joins_exchanged(image: Image, kind: MapKind) -> bool:
    """Return whether the limbs of a pose end at their own joints only when red and blue are exchanged."""
    if _is_another(kind, image):
        return False
    right, exchanged = _joined(image), _joined(image[..., ::-1])
    return exchanged >= 2 and exchanged > 2 * right


def _joined(image: Image) -> int:
    """Return the number of limbs' ends at a joint of the right colour."""
    full = np.array(POSE_COLOURS)
    names = _nearest(image, np.concatenate([full, (full * LIMB_BRIGHTNESS).astype(int)]), NEAR)
    near = np.ones((5, 5), np.uint8)
    count = 0
    for limb, ends in enumerate(LIMBS):
        around = cv2.dilate((names == len(full) + limb).astype(np.uint8), near).astype(np.bool_)
        touched = np.unique(names[around])
        count += len(np.intersect1d(touched, ends))
    return count


def _is_on_paper(image: Image) -> bool:
    """Return whether most of a picture has one bright tone, nearly grey."""
    paper = np.median(image.reshape(-1, 3), axis=0)
    like_paper = (np.abs(image - paper) < 32).all(axis=2).mean()
    return bool(paper.min() > 127 and np.ptp(paper) < 48 and like_paper > 0.5)


def _is_upside_down(image: Image) -> bool:
    """Return whether a depth map's upper third is clearly brighter than its lower one, which mostly shows the ground."""
    third = max(1, len(image) // 3)
    return not _coloured(image) and float(image[:third].mean()) > float(image[-third:].mean()) + 40


def _extremes(image: Image) -> tuple[Image, Image]:
    """Return the strongest and the weakest channel of each pixel, (H, W)."""
    red, green, blue = cv2.split(image)
    return np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)


def _coloured(image: Image) -> bool:
    """Return whether a picture is clearly not grey."""
    strongest, weakest = _extremes(image)
    return float((strongest - weakest).mean()) > 12


def _unit_share(image: Image) -> float:
    """Return the share of the pixels that are a vector of length 1, as in a normal map."""
    squares = sum(np.square(channel.astype(np.float32) / 127.5 - 1) for channel in cv2.split(image))
    return float((np.abs(np.sqrt(squares) - 1) < 0.06).mean())


def _palette_share(image: Image, tolerance: int = 0) -> float:
    """Return the share of the pixels with a colour of ADE20K or black; with a tolerance, from a sample."""
    if not tolerance:
        return float(np.isin(colour_codes(image), colour_codes(ADE20K_COLOURS)).mean())
    step = max(1, round((image.shape[0] * image.shape[1] / SAMPLE) ** 0.5))
    return float((_nearest(image[::step, ::step], ADE20K_COLOURS, tolerance) >= 0).mean())


def _nearest(image: Image, colours: NDArray[Any], tolerance: int) -> NDArray[np.int32]:
    """Return the number of the nearest colour, (H, W); -1 where none is within the tolerance in every channel."""
    codes, places = np.unique(colour_codes(image), return_inverse=True)
    distinct = _colours(codes)
    nearest, least = np.full(len(distinct), -1, np.int32), np.full(len(distinct), np.iinfo(np.int32).max)
    for number, colour in enumerate(colours.astype(np.int32)):
        apart = np.abs(distinct - colour)
        distance = np.square(apart).sum(axis=1)
        closer = (distance < least) & (apart.max(axis=1) <= tolerance)
        nearest[closer], least[closer] = number, distance[closer]
    return nearest[places.ravel()].reshape(image.shape[:2])


def _colours(codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """(N) → (N, 3): the inverse of `colour_codes`."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1)
