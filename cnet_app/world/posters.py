"""Posters: photos and drawings cut into a few tones and repainted in named colours.

They are the training pictures in which any edge may occur, so that the maps of real photos are nothing strange.
Every poster goes the same way: source → tone map at twice the size → paint → shrink. Same seed, same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cnet_app.world.sample import Sample
from cnet_app.world.shapes import DRAWINGS, ToneMap, blob, fill, nearest, noise

Image = NDArray[np.uint8]

TRAIN_PHOTOS = (
    "camera",
    "chelsea",
    "coins",
    "stereo_motorcycle",
    "page",
    "text",
    "horse",
    "hubble_deep_field",
    "immunohistochemistry",
    "retina",
    "brick",
    "gravel",
)
"""Photos that come with scikit-image, by the name of their function in skimage.data."""
PHOTO_WEIGHTS = (5, 6, 4, 6, 2, 2, 1, 1, 1, 1, 1, 1)
"""How often each is taken: scenes with things in them more often than textures."""
HELD_OUT_PHOTOS = ("astronaut", "coffee", "rocket")
"""Photos no training poster is made of."""

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
POSTER_STYLES: Mapping[str, str] = MappingProxyType(
    {"poster": "a poster", "ink": "an ink drawing", "glass": "a stained glass window"}
)
"""Style → how its captions begin."""

STYLE_SHARES = (0.42, 0.3, 0.28)
PHOTO_SHARE = 0.45
RICH_LEVELS = 12
"""Photo posters may have twice the palette's tones: weak edges then stay weak, as in a photo."""
BUSIEST: Mapping[str, float] = MappingProxyType({"poster": 0.11, "ink": 0.075, "glass": 0.06})
"""Most of the area that borders may take, at the picture's size; lines count twice, once for each of their sides."""


def create_poster(seed: int, size: int = 256, held_out: bool = False) -> Sample:
    """The poster of a seed: `size` pixels square. Only with `held_out` are its photos HELD_OUT_PHOTOS, and then only those."""
    rng = np.random.default_rng((0x905, seed, int(held_out)))
    style = str(rng.choice(list(POSTER_STYLES), p=STYLE_SHARES))
    palette = str(rng.choice(list(PALETTES)))
    levels = int(rng.integers(3, 7))
    if rng.random() < PHOTO_SHARE:
        content = "a photo"
        levels = RICH_LEVELS if style == "poster" and rng.random() < 0.5 else levels
        tones, strokes = cut_photo(take_crop(rng, size, held_out), rng, levels, BUSIEST[style])
        for _ in range(2):
            if border_share(tones) > 0.02:
                break
            tones, strokes = cut_photo(take_crop(rng, size, held_out), rng, levels, BUSIEST[style])
    else:
        content = str(rng.choice(list(DRAWINGS)))
        tones, strokes = draw(content, rng, 2 * size, levels, BUSIEST[style]), np.zeros((2 * size, 2 * size), np.uint8)
    if rng.random() < 0.25:
        tones, strokes = overlay(rng, tones, strokes, levels)
    return finish(tones, strokes, levels, rng, style, palette, content)


def poster_from_photo(photo: Image, seed: int, size: int, style: str, palette: str) -> Sample:
    """The middle square of a photo (RGB or grey, uint8) as a poster of that style (POSTER_STYLES) and palette (PALETTES)."""
    if style not in POSTER_STYLES:
        raise ValueError(f"style is {style!r}; posters come as {', '.join(POSTER_STYLES)}.")
    if palette not in PALETTES:
        raise ValueError(f"palette is {palette!r}; palettes are {', '.join(PALETTES)}.")
    rng = np.random.default_rng((0x907, seed))
    side = min(photo.shape[:2])
    top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
    square = cv2.resize(photo[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)
    levels = {"poster": RICH_LEVELS, "ink": 4, "glass": 5}[style]
    tones, strokes = cut_photo(as_grey(square), rng, levels, BUSIEST[style])
    return finish(tones, strokes, levels, rng, style, palette, "a photo")


@lru_cache(maxsize=32)
def load_photo(name: str) -> Image:
    """(h, w, 3) RGB uint8, read-only, the shorter side at most 640."""
    import skimage.data  # noqa: PLC0415 - only pictures with photos need it

    if name not in TRAIN_PHOTOS + HELD_OUT_PHOTOS:
        raise ValueError(f"photo is {name!r}; photos are {', '.join(TRAIN_PHOTOS + HELD_OUT_PHOTOS)}.")
    found = getattr(skimage.data, name)()
    photo = np.asarray(found[0] if isinstance(found, tuple) else found)
    if photo.dtype == bool:
        photo = photo.astype(np.uint8) * 255
    if photo.ndim == 2:
        photo = np.repeat(photo[..., None], 3, 2)
    scale = 640 / min(photo.shape[:2])
    if scale < 1:
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    photo.flags.writeable = False
    return photo


# Source → tone map


def as_grey(photo: Image) -> Image:
    return photo if photo.ndim == 2 else cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)


def draw(content: str, rng: Generator, n: int, levels: int, busiest: float) -> ToneMap:
    """A drawing, drawn again (three times at most) where it came out all but empty or too fine."""
    tones = DRAWINGS[content](rng, n, levels)
    for _ in range(3):
        if 0.035 < border_share(tones) * 2 < max(0.085, busiest):
            break
        tones = DRAWINGS[content](rng, n, levels)
    return tones


def border_share(tones: ToneMap) -> float:
    """Share of the pixels that have another tone to the left or above."""
    return float((cv2.morphologyEx(tones, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0).mean())


def take_crop(rng: Generator, size: int, held_out: bool) -> Image:
    """(size, size) grey: some part of some photo, turned, flipped, brightened or darkened."""
    weights = np.array([1] * len(HELD_OUT_PHOTOS) if held_out else PHOTO_WEIGHTS, float)
    photo = load_photo(str(rng.choice(HELD_OUT_PHOTOS if held_out else TRAIN_PHOTOS, p=weights / weights.sum())))
    grey, crop = as_grey(photo), np.zeros((size, size), np.uint8)
    height, width = grey.shape
    for _ in range(4):  # a part without anything on it is passed over
        side = min(height, width) * rng.uniform(0.35, 1.0)
        angle = rng.choice([0.0, rng.uniform(-25, 25), rng.uniform(0, 360)], p=[0.45, 0.35, 0.2])
        centre = rng.uniform(0.5 * side, [width - 0.5 * side + 1, height - 0.5 * side + 1])
        warp = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), float(angle), size / side)
        warp[:, 2] += size / 2 - centre
        soft = cv2.GaussianBlur(grey, (0, 0), 0.5 * side / size) if side > 1.5 * size else grey
        crop = cv2.warpAffine(soft, warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        if (cv2.Canny(crop, 80, 160) > 0).mean() > 0.035:
            break
    if rng.random() < 0.5:
        crop = cv2.flip(crop, 1)
    gamma = float(np.exp(rng.uniform(-0.4, 0.4)))
    return cv2.LUT(crop, (255 * np.linspace(0, 1, 256) ** gamma).astype(np.uint8))


def cut_photo(grey: Image, rng: Generator, levels: int, busiest: float) -> tuple[ToneMap, Image]:
    """Tone map and line mask (0 or 1) of a grey photo, both twice its size.

    A photo is simplified step by step until its borders take less than `busiest` of the area. With more tones than a palette
    has, most borders are too low to be seen as edges; then only its lines are counted.
    """
    rich, size = levels > 6, grey.shape[0]
    even = cv2.createCLAHE(rng.uniform(0.5, 2.5), (4, 4)).apply(grey)
    regions, strength = not rich and rng.random() < 0.75, rng.uniform(0.5, 0.8 if rich else 1.0)
    smallest, contrast = (6.0 if rich else 14.0) * (size / 256) ** 2, 1.0
    tones, edges = np.zeros_like(grey), np.zeros_like(grey)
    for _ in range(6):
        smooth = cv2.bilateralFilter(even, 7, 30 * strength, 3 * strength)
        smooth = cv2.GaussianBlur(smooth, (0, 0), 0.9 * strength)
        tones = drop_specks(level_grey(region_means(smooth) if regions else smooth, levels), round(smallest))
        edges = cv2.Canny(smooth, 60 * contrast, 130 * contrast)
        lines = float((edges > 0).mean())
        if (lines < 1.3 * busiest) if rich else max(lines, border_share(tones)) < busiest:
            break
        strength, smallest, contrast = 1.2 * strength, 2 * smallest, 1.2 * contrast
    large = cv2.resize(tones, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    large = cv2.medianBlur(cv2.medianBlur(large, 5), 5)
    wide = cv2.resize(edges, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    return large, (cv2.GaussianBlur(wide, (0, 0), 1.2) > 70).astype(np.uint8)


def region_means(grey: Image) -> Image:
    """Each basin of the gradient in its mean grey: borders lie on true edges, and shading makes none."""
    slope = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    _, seeds = cv2.connectedComponents((slope < 9).astype(np.uint8), connectivity=4)
    basins = cv2.watershed(cv2.cvtColor(slope, cv2.COLOR_GRAY2BGR), seeds)
    basins = np.maximum(basins, 0)
    count = np.bincount(basins.ravel())
    means = np.bincount(basins.ravel(), grey.ravel()) / np.maximum(count, 1)
    filled = means[basins].astype(np.uint8)
    lost = basins == 0  # the watershed's own lines, and seedless spots
    filled[lost] = cv2.dilate(np.where(lost, 0, filled).astype(np.uint8), np.ones((3, 3), np.uint8))[lost]
    return filled


def level_grey(grey: Image, levels: int) -> ToneMap:
    """Tones by grey value: half equal steps, half equal areas."""
    low, high = np.percentile(grey, [2, 98])
    steps = np.arange(1, levels) / levels
    bounds = 0.5 * (low + steps * (high - low)) + 0.5 * np.quantile(grey, steps)
    return np.searchsorted(bounds, np.arange(256)).astype(np.uint8)[grey]


def drop_specks(tones: ToneMap, smallest: int) -> ToneMap:
    """Give every connected region under `smallest` pixels to its nearest neighbour."""
    keep = np.zeros(tones.shape, bool)
    for tone in range(int(tones.max()) + 1):
        _, regions, stats, _ = cv2.connectedComponentsWithStats((tones == tone).astype(np.uint8), connectivity=4)
        large = stats[:, cv2.CC_STAT_AREA] >= smallest
        large[0] = False
        keep |= large[regions]
    if keep.all() or not keep.any():
        return tones
    _, owner = cv2.distanceTransformWithLabels((~keep).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    table = np.zeros(int(owner.max()) + 1, np.uint8)
    table[owner[keep]] = tones[keep]
    return table[owner]


def overlay(rng: Generator, tones: ToneMap, strokes: Image, levels: int) -> tuple[ToneMap, Image]:
    """Inside a blob, something else: another drawing, or the same in reversed tones."""
    n = tones.shape[0]
    mask = np.zeros((n, n), np.uint8)
    fill(mask, blob(rng, rng.uniform(0.2, 0.8, 2) * n, n * rng.uniform(0.2, 0.45)), 1)
    if rng.random() < 0.4:
        return np.where(mask > 0, np.uint8(levels - 1) - tones, tones), strokes
    other = DRAWINGS[str(rng.choice(list(DRAWINGS)))](rng, n, levels)
    return np.where(mask > 0, other, tones), strokes * (1 - mask)


# Tone map → picture


def finish(
    tones: ToneMap, strokes: Image, levels: int, rng: Generator, style: str, palette: str, content: str
) -> Sample:
    """Paint tones and lines in a style; the caption says style, palette and content."""
    colours = np.array(PALETTES[palette], np.float32)
    paint = {"poster": paint_poster, "ink": paint_ink, "glass": paint_glass}[style]
    picture = paint(tones, strokes, colours, levels, rng)
    caption = f"{POSTER_STYLES[style]} in {palette} colours of {content}"
    return Sample(
        image=np.clip(np.round(picture), 0, 255).astype(np.uint8), caption=caption, style=style, palette=palette
    )


def halve(field: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
    size = field.shape[0] // 2
    return cv2.resize(field, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)


def lay(picture: NDArray[np.float32], cover: Image, colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """Paint over a picture where the double-sized mask (0 or 1) covers it."""
    share = halve(cover)[..., None]
    return picture + share * (colour - picture)


def spread(colours: NDArray[np.float32], levels: int) -> NDArray[np.float32]:
    """As many of the colours as there are tones, first and last among them; between them where they are not enough."""
    place = np.linspace(0, len(colours) - 1, levels)
    if levels <= len(colours):
        return colours[place.round().astype(int)]
    below = np.minimum(place.astype(int), len(colours) - 2)
    return colours[below] + (place - below)[:, None].astype(np.float32) * (colours[below + 1] - colours[below])


def borders(regions: NDArray[np.uint8] | NDArray[np.uint16], width: int) -> Image:
    """0 or 1: the lines between regions, `width` pixels wide."""
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    return (cv2.dilate(regions, brush) != cv2.erode(regions, brush)).astype(np.uint8)


def paint_poster(
    tones: ToneMap, strokes: Image, colours: NDArray[np.float32], levels: int, rng: Generator
) -> NDArray[np.float32]:
    """Flat regions, dark to light as in the source; at times with its lines in the darkest colour."""
    picture = halve(spread(colours, levels).astype(np.uint8)[tones])
    return lay(picture, strokes, colours[0]) if rng.random() < 0.3 else picture


def paint_ink(
    tones: ToneMap, strokes: Image, colours: NDArray[np.float32], levels: int, rng: Generator
) -> NDArray[np.float32]:
    """Lines and solid darks on tinted paper, the next tone hatched or washed."""
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


def paint_glass(
    tones: ToneMap, strokes: Image, colours: NDArray[np.float32], levels: int, rng: Generator
) -> NDArray[np.float32]:
    """Cells of glowing colour between dark lead; large regions are cut in pieces."""
    n = tones.shape[0]
    tones = drop_specks(tones, round(0.0012 * n * n))
    pieces = int(rng.choice([1, 8, 16] if border_share(tones) > 0.02 else [8, 16, 30]))
    parts = nearest(rng.integers(0, n, (pieces, 2)), n)
    cells = tones.astype(np.uint16) * np.uint16(pieces + 1) + parts.astype(np.uint16)
    light = halve(rng.uniform(0.82, 1.12, int(cells.max()) + 1).astype(np.float32)[cells])
    glow = light * (0.86 + 0.28 * noise(rng, n // 2, 3, 2))
    picture = halve(spread(colours[1:], levels).astype(np.uint8)[tones]) * glow[..., None]
    lead = borders(cells, max(3, round(n * rng.uniform(0.005, 0.013))))
    return lay(picture, lead, 0.5 * colours[0])
