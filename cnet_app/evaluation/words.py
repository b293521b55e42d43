"""Does a picture show the words of its caption? Colours by hue, sky and style by the nearest true pictures."""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from cnet_app.world import Sample, create_scene
from cnet_app.world.words import COLOURS

Image = NDArray[np.uint8]
REFERENCE_SEED = 7_000_000
REFERENCES = 200
NEIGHBOURS = 5
SKY_CLASSES = (0, 2)
"""ADE20K wall and sky: what is behind the floor."""


def named_colour(image: Image, mask: NDArray[np.bool_]) -> str:
    """The named colour nearest in hue to a region, its pixels weighed by how colourful they are."""
    pixels = image[mask].astype(np.float64)
    chroma = pixels.max(axis=1) - pixels.min(axis=1)
    r, g, b = (pixels * chroma[:, None]).sum(axis=0) / max(chroma.sum(), 1e-9) / 255
    hue = colorsys.rgb_to_hsv(r, g, b)[0]

    def distance(name: str) -> float:
        apart = abs(colorsys.rgb_to_hsv(*(v / 255 for v in COLOURS[name]))[0] - hue)
        return min(apart, 1 - apart)

    return min(COLOURS, key=distance)


def colours_right(image: Image, sample: Sample) -> list[bool]:
    """For every thing of the scene: is it of its colour?"""
    assert sample.instances is not None
    right = []
    for number, thing in enumerate(sample.things, 1):
        mask = (sample.instances == number).astype(np.uint8)
        core = cv2.erode(mask, np.ones((5, 5), np.uint8)) > 0
        chosen = mask > 0 if sample.style == "neon" or not core.any() else core  # neon colours only the outline
        right.append(bool(chosen.any()) and named_colour(image, chosen) == thing.colour)
    return right


class WordJudge:
    """Names the sky and the style of a picture by its nearest neighbours among true pictures."""

    def __init__(self, references: Sequence[Sample]) -> None:
        self._skies = [(sky_features(s.image, s), s.sky) for s in references if s.sky]
        self._styles = [(style_features(s.image), s.style) for s in references]

    def sky(self, image: Image, sample: Sample) -> str:
        """The sky of a picture made for a scene, looked at where the scene has sky or wall."""
        return _nearest(sky_features(image, sample), self._skies)

    def style(self, image: Image) -> str:
        """The style of a whole picture."""
        return _nearest(style_features(image), self._styles)


def create_word_judge(size: int = 256) -> WordJudge:
    """A judge that knows 200 true pictures nobody trained on."""
    return WordJudge([create_scene(REFERENCE_SEED + i, size) for i in range(REFERENCES)])


def sky_features(image: Image, sample: Sample) -> NDArray[np.float64]:
    """Mean and spread of Lab where the scene's sky is, (6,)."""
    assert sample.segmentation is not None
    mask = np.isin(sample.segmentation, SKY_CLASSES)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[mask if mask.any() else ...].reshape(-1, 3).astype(np.float64)
    return np.concatenate((lab.mean(axis=0), lab.std(axis=0)))


def style_features(image: Image) -> NDArray[np.float64]:
    """Shares of brightness and colourfulness, dark lines, and fine relief, (19,)."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    brightness = np.histogram(hsv[..., 2], bins=8, range=(0, 256))[0] / grey.size
    colourful = np.histogram(hsv[..., 1], bins=8, range=(0, 256))[0] / grey.size
    darker = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, np.ones((7, 7), np.uint8))
    relief = np.abs(cv2.Laplacian(grey, cv2.CV_64F))
    return np.concatenate((brightness, colourful, [(darker > 60).mean() * 8, (relief > 2).mean(), relief.mean() / 16]))


def _nearest(features: NDArray[np.float64], known: Sequence[tuple[NDArray[np.float64], str]]) -> str:
    table = np.stack([f for f, _ in known])
    scale = table.std(axis=0) + 1e-6
    distances = np.square((table - features) / scale).sum(axis=1)
    votes = Counter(known[i][1] for i in np.argsort(distances)[:NEIGHBOURS])
    return votes.most_common(1)[0][0]
