"""Label maps as others write them: class numbers in grey or with any palette, and the colours of COCO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from annotators.base import Image
from annotators.maps.coco import COCO_CLASSES, COCO_PALETTE, COCO_TO_ADE20K
from annotators.maps.encoders import ADE20K_CLASSES, ADE20K_COLOURS, colour_codes, encode_segmentation
from annotators.maps.recognise import REPAIRS
from annotators.sources.roles import HALF, Notes

KNOWN_SHARE = 0.98
"""Share of the pixels with a colour of a palette from which a picture is a label map in it."""
FLAT_SHARE = 0.8
"""Share of the pixels of a map of classes that equal their right neighbour; photos have fewer."""
UNLABELLED = (255, 65535)
"""Class numbers for no class, where classes count from 0."""
FROM_1 = REPAIRS["count_from_1"]
MOST_NAMED = 5
"""Classes in a note."""


def read_labels(picture: Pillow.Image, name: str, notes: Notes) -> Image | None:
    """Return a label map of other tools in ADE20K's colours, with a note; None for one that has them, or for no label map.

    Class numbers are 0 to 149. If 150 occurs, they are 1 to 150 instead, and 0 means no class.
    """
    if picture.mode == "CMYK":
        return None
    layer = _layer(picture)
    opacity = None if layer is None else layer[..., 3]
    if layer is not None and _share(layer[..., :3], ADE20K_COLOURS) >= KNOWN_SHARE:
        return None
    if layer is not None and _is_coco(layer[..., :3]):
        return _clear(_from_coco(layer[..., :3], name, notes), opacity)
    numbers = _numbers(picture, layer)
    return None if numbers is None else _clear(_from_numbers(numbers, name, notes), opacity)


def counts_from_0(picture: Pillow.Image) -> bool:
    """Return whether a picture is a label map of class numbers that `read_labels` takes to count from 0."""
    layer = None if picture.mode == "CMYK" else _layer(picture)
    if layer is not None and (_share(layer[..., :3], ADE20K_COLOURS) >= KNOWN_SHARE or _is_coco(layer[..., :3])):
        return False
    numbers = _numbers(picture, layer)
    return numbers is not None and not _counts_from_1(numbers)


def _layer(picture: Pillow.Image) -> NDArray[np.uint8] | None:
    """Return (H, W, 4) RGBA; None for numbers of more than 8 bits."""
    return None if picture.mode.startswith("I") else np.array(picture.convert("RGBA"))


def _share(colours: Image, palette: Image) -> float:
    return float(np.isin(colour_codes(colours), colour_codes(palette)).mean())


def _is_coco(colours: Image) -> bool:
    """Return whether a picture has the colours of two classes of COCO or more, and no others but black."""
    is_known = _share(colours, np.concatenate([COCO_PALETTE, ADE20K_COLOURS[:1]])) >= KNOWN_SHARE
    return is_known and len(np.intersect1d(colour_codes(colours), colour_codes(COCO_PALETTE))) > 1


def _clear(labels: Image, opacity: NDArray[np.uint8] | None) -> Image:
    """Return a label map without a class where its picture is transparent."""
    return labels if opacity is None else np.where((opacity > HALF)[..., None], labels, np.uint8(0))


def _from_coco(colours: Image, name: str, notes: Notes) -> Image:
    """Return the classes of ADE20K that show the same as those of COCO, whose colours the map has."""
    codes = colour_codes(COCO_PALETTE)
    order = np.argsort(codes)
    pixels = colour_codes(colours)
    places = np.minimum(np.searchsorted(codes[order], pixels), len(codes) - 1)
    found = np.where(codes[order][places] == pixels, order[places], -1)
    ade = [ADE20K_CLASSES.index(COCO_TO_ADE20K[one]) if one in COCO_TO_ADE20K else -1 for one in COCO_CLASSES]
    present = [COCO_CLASSES[one] for one in _by_size(found)]
    text = f"{name} has the colours of COCO's classes: they were replaced by those of ADE20K"
    strange = [one for one in present if one not in COCO_TO_ADE20K]
    notes.append(f"{text}; ADE20K has no {_listed(strange, 'or')}, which became black." if strange else f"{text}.")
    return encode_segmentation(np.where(found >= 0, np.array(ade)[found], -1))


def _numbers(picture: Pillow.Image, layer: NDArray[np.uint8] | None) -> NDArray[np.int64] | None:
    """Return the (H, W) class numbers that a picture's pixels are; None where they cannot be."""
    colours = None if layer is None else layer[..., :3]
    if picture.mode in ("L", "P") or picture.mode.startswith("I"):
        numbers = np.asarray(picture).astype(np.int64)
    elif picture.mode == "LA":
        numbers = np.asarray(picture)[..., 0].astype(np.int64)
    elif colours is not None and (colours == colours[..., :1]).all():
        numbers = colours[..., 0].astype(np.int64)
    else:
        return None
    classes = numbers[~np.isin(numbers, UNLABELLED)]
    if not classes.size or not 0 <= classes.min() <= classes.max() <= len(ADE20K_CLASSES):
        return None
    flat = (numbers[:, 1:] == numbers[:, :-1]).mean()
    return numbers if flat >= FLAT_SHARE and len(np.unique(classes)) > 1 else None


def _from_numbers(numbers: NDArray[np.int64], name: str, notes: Notes) -> Image:
    """Return class numbers in ADE20K's colours."""
    from_one = _counts_from_1(numbers)
    classes = np.where(np.isin(numbers, UNLABELLED), -1, numbers - from_one)
    names = _listed([ADE20K_CLASSES[one] for one in _by_size(classes)], "and")
    text = f"{name} holds class numbers, read as ADE20K's from {int(from_one)}: {names}"
    notes.append(
        f"{text}." if from_one else f"{text}; if they count from 1, choose the repair “{FROM_1.title}” ({FROM_1.id})."
    )
    return encode_segmentation(classes)


def _counts_from_1(numbers: NDArray[np.int64]) -> bool:
    return bool((numbers == len(ADE20K_CLASSES)).any())


def _by_size(classes: NDArray[Any]) -> list[int]:
    """Return the classes of a map, -1 left out, the largest first."""
    found, counts = np.unique(classes, return_counts=True)
    return [int(one) for one in found[np.argsort(-counts, kind="stable")] if one >= 0]


def _listed(names: Sequence[str], last: str) -> str:
    """Return 'a, b and c', or the first few and how many more."""
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"
    return f" {last} ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""
