"""Posters: photos and drawings cut into a few tones and repainted in named colours.

Any edge may occur in them, so that a model trained on them can follow the maps of real photos.
Every poster is made in the same steps: source → tone map at twice the size → paint → shrink. Same seed, same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.random import Generator

from cnet_app.embedded.world.painting import PAINTERS, PALETTES
from cnet_app.embedded.world.photos import (
    HELD_OUT_PHOTOS,
    RICH_LEVELS,
    TRAIN_PHOTOS,
    Image,
    as_grey,
    border_share,
    cut_photo,
    load_photo,
    take_crop,
)
from cnet_app.embedded.world.sample import Sample
from cnet_app.embedded.world.shapes import DRAWINGS, ToneMap, blob, fill

__all__ = [
    "HELD_OUT_PHOTOS",
    "PALETTES",
    "POSTER_STYLES",
    "TRAIN_PHOTOS",
    "create_poster",
    "load_photo",
    "poster_from_photo",
]

POSTER_STYLES: Mapping[str, str] = MappingProxyType(
    {"poster": "a poster", "ink": "an ink drawing", "glass": "a stained glass window"}
)
"""Style → the start of its captions."""

STYLE_SHARES = (0.42, 0.3, 0.28)
PHOTO_SHARE = 0.45
BUSIEST: Mapping[str, float] = MappingProxyType({"poster": 0.11, "ink": 0.075, "glass": 0.06})
"""Most of the area that borders may take, at the picture's size; lines count twice, once for each of their sides."""


def create_poster(seed: int, size: int = 256, held_out: bool = False) -> Sample:
    """Return the poster of a seed, `size` pixels square, from TRAIN_PHOTOS, or with `held_out` from HELD_OUT_PHOTOS."""
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
    """Return the middle square of a photo (RGB or grey, uint8) as a poster; raise ValueError for an unknown style or palette."""
    if style not in POSTER_STYLES:
        raise ValueError(f"style is {style!r}; posters come as {', '.join(POSTER_STYLES)}.")
    if palette not in PALETTES:
        raise ValueError(f"palette is {palette!r}; palettes are {', '.join(PALETTES)}.")
    rng = np.random.default_rng((0x907, seed))
    side = min(photo.shape[:2])
    top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
    square = cv2.resize(photo[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)
    levels = {"poster": RICH_LEVELS, "ink": 4, "glass": 5}[style]
    tones, strokes = cut_photo(as_grey(np.asarray(square, np.uint8)), rng, levels, BUSIEST[style])
    return finish(tones, strokes, levels, rng, style, palette, "a photo")


def finish(
    tones: ToneMap, strokes: Image, levels: int, rng: Generator, style: str, palette: str, content: str
) -> Sample:
    """Paint tones and lines in a style; the caption has style, palette and content."""
    colours = np.array(PALETTES[palette], np.float32)
    picture = PAINTERS[style](tones, strokes, colours, levels, rng)
    caption = f"{POSTER_STYLES[style]} in {palette} colours of {content}"
    return Sample(
        image=np.clip(np.round(picture), 0, 255).astype(np.uint8), caption=caption, style=style, palette=palette
    )


def draw(content: str, rng: Generator, n: int, levels: int, busiest: float) -> ToneMap:
    """Return a drawing, drawn again (at most three times) where it is nearly empty or too fine."""
    tones = DRAWINGS[content](rng, n, levels)
    for _ in range(3):
        if 0.035 < border_share(tones) * 2 < max(0.085, busiest):
            break
        tones = DRAWINGS[content](rng, n, levels)
    return tones


def overlay(rng: Generator, tones: ToneMap, strokes: Image, levels: int) -> tuple[ToneMap, Image]:
    """Return the tones with another drawing, or their reverse, inside a blob."""
    n = tones.shape[0]
    mask = np.zeros((n, n), np.uint8)
    fill(mask, blob(rng, rng.uniform(0.2, 0.8, 2) * n, n * rng.uniform(0.2, 0.45)), 1)
    if rng.random() < 0.4:
        return np.where(mask > 0, np.uint8(levels - 1) - tones, tones), strokes
    other = DRAWINGS[str(rng.choice(list(DRAWINGS)))](rng, n, levels)
    return np.where(mask > 0, other, tones), strokes * (1 - mask)
