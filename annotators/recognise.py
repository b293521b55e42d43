"""What a picture is that claims to be a map: a map of this kind, one with a fault, or a photo."""

from __future__ import annotations

import numpy as np

from annotators.base import Image
from annotators.kinds import MapKind
from annotators.maps import ADE20K_PALETTE, is_blank


def looks_like(kind: MapKind, image: Image) -> bool:
    """True where a picture has what photos never have: bare lines on black, sticks, palette colours, unit vectors."""
    pixels = image.reshape(-1, 3).astype(np.int16)
    if is_blank(image):
        return False
    if kind.id in ("lines", "soft_lines"):
        ends = (pixels.max(axis=1) < 24) | (pixels.min(axis=1) > 231)
        return bool(ends.mean() > 0.97 and 0.0 < (pixels[:, 1] > 127).mean() < 0.4)
    if kind.id == "pose":
        black, colourful = pixels.max(axis=1) < 8, np.ptp(pixels, axis=1) > 80
        return bool(black.mean() > 0.8 and (black | colourful).mean() > 0.98)
    if kind.id == "labels":
        return _palette_share(image) > 0.98
    if kind.id == "normal":
        return _unit_share(image) > 0.95
    return False  # a depth map may be any grey photo


def doubt(kind: MapKind, control_image: Image, title: str) -> str | None:
    """What may be wrong with a map of the user's own, called by its condition's title, and what to do."""
    if is_blank(control_image):
        return "The map has one colour only and steers nothing; choose another, or an annotator to make one of a photo."
    coloured = float(np.ptp(control_image, axis=2).mean()) > 12
    if kind.polarity == "white on black" and not coloured and control_image.mean() > 127:
        return "The map has dark lines on white, but the ControlNet reads white lines on black: invert its colours."
    wrong = {
        "lines": coloured,
        "soft_lines": coloured,
        "depth": coloured,
        "pose": (control_image.max(axis=2) < 8).mean() < 0.5,
        "labels": _palette_share(control_image) < 0.9,
        "normal": _unit_share(control_image) < 0.5,
        "picture": False,
    }
    if not wrong[kind.id]:
        return None
    return f"This does not look like a {title} map, which is {kind.looks}; if it is a photo, choose an annotator."


def _unit_share(image: Image) -> float:
    """How many of the pixels are a vector of length 1, as in a normal map."""
    length = np.linalg.norm(image.reshape(-1, 3) / 127.5 - 1, axis=1)
    return float((np.abs(length - 1) < 0.06).mean())


def _palette_share(image: Image) -> float:
    """How many of the pixels have a colour of the ADE20K palette, or black."""
    weights = np.array([1 << 16, 1 << 8, 1])
    known = np.append(ADE20K_PALETTE.astype(np.int64) @ weights, 0)
    return float(np.isin(image.astype(np.int64) @ weights, known).mean())
