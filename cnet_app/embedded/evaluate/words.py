"""Tests of a picture against the words of its caption: colours by hue, skies by nearest neighbours, styles by regression."""

from __future__ import annotations

import colorsys
from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from annotators.base import Image
from cnet_app.embedded.world import Sample, clouded, create_scene
from cnet_app.embedded.world.words import COLOURS

REFERENCE_SEED = 7_000_000
REFERENCES = 300
"""True pictures the judge learns from."""
NEIGHBOURS = 5
CLOUDS = (4, 8, 12)
"""Grey levels of the blotches on further copies of every reference; without them flat pictures pass for shaded at 4."""
PENALTY = 1e-3
"""Factor on the squares of the regression's weights."""
SKY_CLASSES = (0, 2)
"""ADE20K wall and sky: the background above the floor."""


def named_colour(image: Image, mask: NDArray[np.bool_]) -> str:
    """Return the named colour nearest in hue to a region, its pixels weighted by their chroma."""
    pixels = image[mask].astype(np.float64)
    chroma = pixels.max(axis=1) - pixels.min(axis=1)
    r, g, b = (pixels * chroma[:, None]).sum(axis=0) / max(chroma.sum(), 1e-9) / 255
    hue = colorsys.rgb_to_hsv(r, g, b)[0]

    def distance(name: str) -> float:
        apart = abs(colorsys.rgb_to_hsv(*(v / 255 for v in COLOURS[name]))[0] - hue)
        return min(apart, 1 - apart)

    return min(COLOURS, key=distance)


def colours_right(image: Image, sample: Sample) -> list[bool]:
    """Return, for every thing of the scene, whether it has its colour."""
    assert sample.instances is not None
    right = []
    for number, thing in enumerate(sample.things, 1):
        mask = (sample.instances == number).astype(np.uint8)
        core = cv2.erode(mask, np.ones((5, 5), np.uint8)) > 0
        chosen = mask > 0 if sample.style == "neon" or not core.any() else core  # neon colours only the outline
        right.append(bool(chosen.any()) and named_colour(image, chosen) == thing.colour)
    return right


class WordJudge:
    """Classifiers of sky and style, fitted to true pictures."""

    def __init__(self, references: Sequence[Sample]) -> None:
        with_sky = [s for s in references if s.sky]
        self._sky = Nearest([sky_features(s.image, s) for s in with_sky], [str(s.sky) for s in with_sky])
        rng = np.random.default_rng(0)
        looks = [(clouded(s.image, rng, strength), s) for s in references for strength in (0, *CLOUDS)]
        self._style = Regression([style_features(image, s) for image, s in looks], [s.style for _, s in looks])

    def sky(self, image: Image, sample: Sample) -> str:
        """Return the sky of a picture that was made for a scene, read where the scene has sky or wall."""
        return self._sky.name(sky_features(image, sample))

    def style(self, image: Image, sample: Sample) -> str:
        """Return the style of a picture that was made for a scene."""
        return self._style.name(style_features(image, sample))


class Nearest:
    """Nearest neighbours by the Mahalanobis distance of the spread within one name."""

    def __init__(self, features: Sequence[NDArray[np.float64]], names: Sequence[str]) -> None:
        table, self._names = np.stack(features), list(names)
        inside = table.copy()
        for name in set(names):
            mine = np.array([n == name for n in names])
            inside[mine] -= inside[mine].mean(axis=0)
        spread = inside.std(axis=0) + 1e-3
        covariance = np.cov((inside / spread).T) + 0.05 * np.eye(table.shape[1])
        self._whiten = np.linalg.inv(np.linalg.cholesky(covariance)).T / spread[:, None]
        self._table = table @ self._whiten

    def name(self, features: NDArray[np.float64]) -> str:
        """Return the commonest name among the nearest."""
        distances = np.square(self._table - features @ self._whiten).sum(axis=1)
        votes = Counter(self._names[i] for i in np.argsort(distances)[:NEIGHBOURS])
        return votes.most_common(1)[0][0]


class Regression:
    """Multinomial logistic regression on standardised features and their products."""

    def __init__(self, features: Sequence[NDArray[np.float64]], names: Sequence[str]) -> None:
        table, self._names = np.stack(features), sorted(set(names))
        self._mean, self._spread = table.mean(axis=0), table.std(axis=0) + 1e-3
        inputs = self._with_products(table)
        truth = np.array([[name == one for one in self._names] for name in names], float)

        def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weights = flat.reshape(-1, truth.shape[1])
            logs = log_softmax(inputs @ weights, axis=1)
            slope = inputs.T @ (np.exp(logs) - truth) / len(truth) + 2 * PENALTY * weights
            return float(PENALTY * np.square(weights).sum() - (truth * logs).sum() / len(truth)), slope.ravel()

        start = np.zeros(inputs.shape[1] * truth.shape[1])
        self._weights = minimize(loss, start, jac=True, method="L-BFGS-B").x.reshape(-1, truth.shape[1])

    def name(self, features: NDArray[np.float64]) -> str:
        """Return the likeliest name."""
        return self._names[int(np.argmax(self._with_products(features[None]) @ self._weights))]

    def _with_products(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, F) → (N, 1 + F + F (F + 1) / 2)."""
        standard = (table - self._mean) / self._spread
        one, other = np.triu_indices(table.shape[1])
        return np.hstack([np.ones((len(table), 1)), standard, standard[:, one] * standard[:, other] / 3])


def create_word_judge(size: int = 256, count: int = REFERENCES) -> WordJudge:
    """Return a judge fitted to `count` scenes that are in no training data."""
    return WordJudge([create_scene(REFERENCE_SEED + i, size) for i in range(count)])


def sky_features(image: Image, sample: Sample) -> NDArray[np.float64]:
    """Return mean and spread of Lab where the scene has sky or wall, (6,)."""
    assert sample.segmentation is not None
    mask = np.isin(sample.segmentation, SKY_CLASSES)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[mask if mask.any() else ...].reshape(-1, 3).astype(np.float64)
    return np.concatenate((lab.mean(axis=0), lab.std(axis=0)))


def style_features(image: Image, sample: Sample) -> NDArray[np.float64]:
    """Return brightness, saturation and relief of the things and of the rest, and the share of dark lines, (37,)."""
    assert sample.instances is not None
    things = cv2.erode((sample.instances > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    around = cv2.dilate((sample.instances > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float64) / 255
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    slope = np.log2(1 + np.hypot(cv2.Sobel(grey, cv2.CV_64F, 1, 0), cv2.Sobel(grey, cv2.CV_64F, 0, 1)))
    darker = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, np.ones((7, 7), np.uint8))
    found = [np.array([(darker > 60).mean() * 8])]
    for mask in (things, around):
        here = mask if mask.any() else np.ones_like(mask)
        found += [np.quantile(hsv[..., channel][here], (0.05, 0.25, 0.5, 0.75, 0.95)) for channel in (1, 2)]
        found.append(np.histogram(slope[here], bins=8, range=(0, 10))[0] / here.sum())
    return np.concatenate(found)
