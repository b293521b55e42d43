"""Where a picture follows a unit and where not, drawn over the picture, with a legend. Loads no torch.

Lines and poses are drawn in three colours: what agrees, what is missing, what is extra. Dense maps give a heat of their
difference, classes the places where another class is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image
from annotators.maps.encoders import ADE20K_CLASSES, ADE20K_PALETTE
from annotators.maps.kinds import KindId
from annotators.people.poses import Points
from annotators.people.sticks import LIMBS
from annotators.sources.images import Colour
from cnet_app.fidelity.compare import Annotate, Comparison, compare
from cnet_app.fidelity.measures import LINE, Mask, angles, best_match, lines_of, near_lines
from cnet_app.request.units import ControlUnit

AGREE: Colour = (0, 158, 115)
MISSING: Colour = (213, 94, 0)
EXTRA: Colour = (86, 180, 233)
"""Bluish green, vermilion and sky blue of Okabe and Ito 2008, told apart with every kind of colour vision."""
DIMMED = 0.4
"""Brightness of the grey picture below."""
SOFT_LINE = 64
"""Grey level above which a pixel of a soft map is drawn as a line."""
FULL_DIFFERENCE, FULL_ANGLE = 0.5, 60.0
"""Share of the range, and degrees, from which a difference is drawn in full colour."""
TINT = 0.35
"""Opacity of what agrees where whole areas do."""
MAX_CLASSES = 8
"""Classes in a legend, those with the largest difference."""

Legend = tuple[tuple[str, Colour], ...]


@dataclass(frozen=True)
class Overlay:
    """A drawing of agreement."""

    image: Image
    """(H, W, 3), of the picture's size."""
    legend: Legend
    """Meaning and colour, in the order to be listed."""


def overlay(
    unit: ControlUnit, picture: Image, annotate: Annotate | None = None, inpaint_mask: bytes | None = None
) -> Overlay:
    """Return the agreement of a finished picture with a unit; arguments and errors are those of `compare`."""
    return draw_overlay(compare(unit, picture, annotate, inpaint_mask), picture)


def draw_overlay(compared: Comparison, picture: Image) -> Overlay:
    """Return the agreement of a comparison over its picture, (H, W, 3), in grey and darkened."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    below = np.repeat((grey * DIMMED).astype(np.uint8)[..., None], 3, axis=2)
    drawn, legend = PAINTERS[compared.condition.kind.id](compared, below)
    if compared.where is not None:
        drawn = np.where(compared.where[..., None], drawn, below)
    return Overlay(drawn, legend)


def _lines(compared: Comparison, below: Image) -> tuple[Image, Legend]:
    level = LINE if compared.condition.kind.id == "lines" else SOFT_LINE
    wanted, found = lines_of(compared.wanted, level), lines_of(compared.found, level)
    extra, missing = found & ~near_lines(wanted), wanted & ~near_lines(found)
    agree = (found & ~extra) | (wanted & ~missing)
    drawn = below.copy()
    for part, colour in ((extra, EXTRA), (missing, MISSING), (agree, AGREE)):
        drawn[part] = colour
    return drawn, (("line as wanted", AGREE), ("line is missing", MISSING), ("line was not wanted", EXTRA))


def _depth(compared: Comparison, below: Image) -> tuple[Image, Legend]:
    drawn = _signed(_brightness(compared.found) - _brightness(compared.wanted), below)
    return drawn, (("nearer than wanted", EXTRA), ("farther than wanted", MISSING))


def _normals(compared: Comparison, below: Image) -> tuple[Image, Legend]:
    drawn = _heat(angles(compared.wanted, compared.found) / FULL_ANGLE, MISSING, below)
    return drawn, (("surface turned another way", MISSING),)


def _colours(compared: Comparison, below: Image) -> tuple[Image, Legend]:
    """Return the signed difference of two grey maps, else how far the colours differ."""
    if all((np.ptp(one, axis=2) == 0).all() for one in (compared.wanted, compared.found)):
        drawn = _signed(_brightness(compared.found) - _brightness(compared.wanted), below)
        return drawn, (("lighter than wanted", EXTRA), ("darker than wanted", MISSING))
    difference = np.abs(compared.found.astype(np.float64) - compared.wanted).max(axis=2) / 255
    return _heat(difference / FULL_DIFFERENCE, MISSING, below), (("another colour than wanted", MISSING),)


def _brightness(one: Image) -> NDArray[np.float64]:
    return cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255


def _signed(difference: NDArray[np.float64], below: Image) -> Image:
    above = _heat(difference / FULL_DIFFERENCE, EXTRA, below)
    return _heat(-difference / FULL_DIFFERENCE, MISSING, above)


def _heat(amount: NDArray[np.float64], colour: Colour, below: Image) -> Image:
    """Return a colour over a picture; an amount of 0 or less shows nothing of it, 1 and more nothing of the picture."""
    opacity = amount.clip(0, 1)[..., None]
    return np.rint(below * (1 - opacity) + np.array(colour) * opacity).astype(np.uint8)


def _classes(compared: Comparison, below: Image) -> tuple[Image, Legend]:
    """Return the wanted class, in its own colour, wherever another one is."""
    differs = (compared.wanted != compared.found).any(axis=2)
    tinted = _heat(np.where(differs, 0, TINT), AGREE, below)
    drawn = np.where(differs[..., None], compared.wanted, tinted)
    counted = differs if compared.where is None else differs & compared.where
    whole = differs.size if compared.where is None else int(compared.where.sum())
    colours, counts = np.unique(compared.wanted[counted], axis=0, return_counts=True)
    largest = np.argsort(-counts, kind="stable")[:MAX_CLASSES]
    rows = [
        (
            f"{_class_name(colours[one])} was wanted, another class is there: {100 * counts[one] / whole:.0f} %",
            colours[one],
        )
        for one in largest
    ]
    return drawn, (("class as wanted", AGREE), *((text, _colour(value)) for text, value in rows))


def _class_name(colour: NDArray[np.uint8]) -> str:
    known = np.flatnonzero((colour == ADE20K_PALETTE).all(axis=1))
    return ADE20K_CLASSES[int(known[0])] if len(known) else "no known class"


def _colour(values: NDArray[np.uint8]) -> Colour:
    red, green, blue = values.tolist()
    return red, green, blue


def _pose(compared: Comparison, below: Image) -> tuple[Image, Legend]:
    drawn, found = below.copy(), compared.found_people
    matches = [best_match(person, found) for person in compared.wanted_people]
    for number, person in enumerate(found):
        claimed = [hits for hits, index in matches if index == number]
        used = np.logical_or.reduce(claimed) if claimed else np.zeros(len(person), np.bool_)
        free = (person[:, 2] > 0) & ~used
        _draw_body(drawn, person, _limbs_of(free), EXTRA)
        _draw_joints(drawn, person, free, EXTRA)
    for person, (hits, _) in zip(compared.wanted_people, matches, strict=True):
        visible = person[:, 2] > 0
        both, shown = _limbs_of(visible), _limbs_of(hits)
        _draw_body(drawn, person, [limb for limb in both if limb not in shown], MISSING)
        _draw_body(drawn, person, shown, AGREE)
        _draw_joints(drawn, person, visible & ~hits, MISSING)
        _draw_joints(drawn, person, hits, AGREE)
    return drawn, (("joint as wanted", AGREE), ("joint is missing", MISSING), ("joint was not wanted", EXTRA))


def _limbs_of(joints: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the limbs both of whose joints are marked."""
    return [(start, end) for start, end in LIMBS if joints[start] and joints[end]]


def _draw_body(drawn: Image, person: Points, limbs: Iterable[tuple[int, int]], colour: Colour) -> None:
    for limb in limbs:
        start, end = (tuple(map(int, person[joint, :2])) for joint in limb)
        cv2.line(drawn, start, end, colour, _width(drawn), cv2.LINE_AA)


def _draw_joints(drawn: Image, person: Points, joints: Mask, colour: Colour) -> None:
    for x, y in person[joints, :2].astype(int).tolist():
        cv2.circle(drawn, (x, y), 2 * _width(drawn), colour, -1, cv2.LINE_AA)


def _width(drawn: Image) -> int:
    """Return the thickness of a limb: 3 px at a short side of 512."""
    return max(1, round(3 * min(drawn.shape[:2]) / 512))


PAINTERS: Mapping[KindId, Callable[[Comparison, Image], tuple[Image, Legend]]] = MappingProxyType(
    {
        "lines": _lines,
        "soft_lines": _lines,
        "depth": _depth,
        "normal": _normals,
        "labels": _classes,
        "pose": _pose,
        "picture": _colours,
    }
)
"""By kind of map: from a comparison and the picture below to the drawing and its legend."""
