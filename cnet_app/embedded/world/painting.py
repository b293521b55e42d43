"""Painters of tone maps in named colours: flat, ink and stained glass.

A tone map and its line mask are twice the size of the picture; shrinking makes the edges smooth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cnet_app.embedded.world.photos import Image, border_share, drop_specks
from cnet_app.embedded.world.shapes import ToneMap, nearest, noise

Colours = NDArray[np.float32]

PALETTES: Mapping[str, tuple[tuple[int, int, int], ...]] = MappingProxyType(
    {
        "fire": ((40, 8, 12), (118, 18, 20), (200, 44, 22), (240, 118, 28), (252, 190, 66), (255, 240, 184)),
        "ocean": ((6, 20, 50), (12, 58, 108), (18, 108, 156), (56, 164, 188), (140, 212, 212), (230, 247, 240)),
        "forest": ((14, 28, 18), (32, 66, 34), (70, 108, 44), (128, 152, 58), (192, 194, 110), (242, 238, 200)),
        "candy": ((70, 20, 96), (176, 32, 134), (246, 88, 152), (96, 208, 200), (255, 192, 206), (255, 246, 224)),
        "mono": ((16, 16, 18), (62, 62, 66), (110, 110, 114), (158, 158, 162), (206, 206, 208), (246, 246, 246)),
        "dusk": ((22, 18, 60), (62, 48, 124), (112, 84, 172), (178, 124, 180), (238, 172, 158), (253, 226, 198)),
    }
)
"""Six tones each, dark to light, RGB."""


def halve(field: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
    size = field.shape[0] // 2
    return cv2.resize(field, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)


def lay(picture: NDArray[np.float32], cover: Image, colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a picture with a colour where the double-sized mask (0 or 1) is 1."""
    share = halve(cover)[..., None]
    return (picture + share * (colour - picture)).astype(np.float32)


def spread(colours: Colours, levels: int) -> NDArray[np.float32]:
    """Return one colour per tone, first and last included; interpolated where there are more tones than colours."""
    place = np.linspace(0, len(colours) - 1, levels)
    if levels <= len(colours):
        return colours[place.round().astype(int)]
    below = np.minimum(place.astype(int), len(colours) - 2)
    share = (place - below)[:, None].astype(np.float32)
    return (colours[below] + share * (colours[below + 1] - colours[below])).astype(np.float32)


def borders(regions: NDArray[np.uint8] | NDArray[np.uint16], width: int) -> Image:
    """Return the lines between regions as 0 or 1, `width` pixels wide."""
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    return (cv2.dilate(regions, brush) != cv2.erode(regions, brush)).astype(np.uint8)


def paint_poster(tones: ToneMap, strokes: Image, colours: Colours, levels: int, rng: Generator) -> NDArray[np.float32]:
    """Paint flat regions, dark to light as in the source; sometimes with its lines in the darkest colour."""
    picture = halve(spread(colours, levels).astype(np.uint8)[tones])
    return lay(picture, strokes, colours[0]) if rng.random() < 0.3 else picture


def paint_ink(tones: ToneMap, strokes: Image, colours: Colours, levels: int, rng: Generator) -> NDArray[np.float32]:
    """Paint lines and solid darks on tinted paper, the next tone hatched or washed."""
    n = tones.shape[0]
    paper, ink = 0.6 * colours[-1] + 0.4 * 255, colours[0]
    picture = np.broadcast_to(paper, (n // 2, n // 2, 3)).astype(np.float32)
    shade = (tones == 1).astype(np.uint8)
    if rng.random() < 0.4 and shade.mean() < 0.3:
        y, x = np.mgrid[:n, :n]
        spacing = n * rng.uniform(0.03, 0.05)
        shade = shade * (((x + rng.choice([-1, 1]) * y) % spacing) < 0.3 * spacing).astype(np.uint8)
        picture = lay(picture, shade, ink)
    else:
        picture = lay(picture, shade, 0.5 * colours[-2] + 0.5 * colours[-3])
    lines = borders(tones, max(3, round(n * rng.uniform(0.006, 0.011)))) | strokes
    solid = (tones == 0).astype(np.uint8) if (tones == 0).mean() < 0.5 else np.zeros_like(tones)
    return lay(picture, lines | solid, ink)


def paint_glass(tones: ToneMap, strokes: Image, colours: Colours, levels: int, rng: Generator) -> NDArray[np.float32]:
    """Paint cells of bright colour between dark lead; large regions are cut in pieces."""
    n = tones.shape[0]
    tones = drop_specks(tones, round(0.0012 * n * n))
    pieces = int(rng.choice([1, 8, 16] if border_share(tones) > 0.02 else [8, 16, 30]))
    parts = nearest(rng.integers(0, n, (pieces, 2)), n)
    cells = tones.astype(np.uint16) * np.uint16(pieces + 1) + parts.astype(np.uint16)
    light = halve(rng.uniform(0.82, 1.12, int(cells.max()) + 1).astype(np.float32)[cells])
    glow = light * (0.86 + 0.28 * noise(rng, n // 2, 3, 2))
    picture = (halve(spread(colours[1:], levels).astype(np.uint8)[tones]) * glow[..., None]).astype(np.float32)
    lead = borders(cells, max(3, round(n * rng.uniform(0.005, 0.013))))
    return lay(picture, lead, 0.5 * colours[0])


PAINTERS: Mapping[str, Callable[[ToneMap, Image, Colours, int, Generator], NDArray[np.float32]]] = MappingProxyType(
    {"poster": paint_poster, "ink": paint_ink, "glass": paint_glass}
)
"""Style → painter: tone map, line mask (0 or 1), palette, number of tones, chance → (size, size, 3) in 0 to 255."""
