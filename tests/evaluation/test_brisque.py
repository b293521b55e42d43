"""BRISQUE: its features against the paper's formulas written out, and regressors of made files against a sum written out."""

from __future__ import annotations

from math import exp, gamma, isclose, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch.nn import functional as F

from annotators.base import Image
from cnet_app.evaluation.brisque import AUTHORS_RANGES, GAMMA, RHO, Brisque
from cnet_app.evaluation.distances import Folders
from cnet_app.evaluation.scene_statistics import (
    FEATURES,
    Values,
    asymmetric_fit,
    halved,
    normalised,
    scene_statistics,
    symmetric_fit,
)
from models.errors import InputError
from models.files import sha256_of
from tests.evaluation.conftest import write


def scene(seed: int, height: int = 24, width: int = 32) -> Image:
    """Return smooth colours with noise."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(40, 200, width)[None, :, None] + rng.normal(0, 15, (height, width, 3))
    return slope.clip(0, 255).astype(np.uint8)


def written_out_contrast(grey: Values) -> Values:
    """Return the normalised contrasts, pixel by pixel, with zeros outside the picture."""
    window = [[exp(-(y * y + x * x) / (2 * (7 / 6) ** 2)) for x in range(-3, 4)] for y in range(-3, 4)]
    total = sum(map(sum, window))
    height, width = grey.shape
    found = np.zeros_like(grey)
    for row in range(height):
        for column in range(width):
            mean = square = 0.0
            for y in range(-3, 4):
                for x in range(-3, 4):
                    inside = 0 <= row + y < height and 0 <= column + x < width
                    value = float(grey[row + y, column + x]) if inside else 0.0
                    mean += window[y + 3][x + 3] / total * value
                    square += window[y + 3][x + 3] / total * value * value
            found[row, column] = (grey[row, column] - mean) / (sqrt(abs(square - mean * mean)) + 1)
    return found


def shape_of(wanted: float) -> float:
    """Return the shape whose squared mean size over mean square is wanted."""

    def difference(shape: float) -> float:
        return gamma(2 / shape) ** 2 / (gamma(1 / shape) * gamma(3 / shape)) - wanted

    return float(np.asarray(brentq(difference, 0.2, 10)))


def written_out_features(grey: Values) -> list[float]:
    """Return the 18 features of one scale, by root finding where ours search a table."""
    contrast = written_out_contrast(grey)
    wanted = float((abs(contrast).mean() ** 2) / (contrast**2).mean())
    found = [shape_of(wanted), float((contrast**2).mean())]
    for down, right in ((0, 1), (1, 0), (1, 1), (-1, 1)):
        height, width = contrast.shape
        pairs = [
            float(contrast[y, x] * contrast[(y - down) % height, (x - right) % width])
            for y in range(height)
            for x in range(width)
        ]
        below, above = [p for p in pairs if p < 0], [p for p in pairs if p > 0]
        left, high = sqrt(sum(p * p for p in below) / len(below)), sqrt(sum(p * p for p in above) / len(above))
        skew, size = left / high, sum(map(abs, pairs)) / len(pairs)
        wanted = size**2 / (sum(p * p for p in pairs) / len(pairs)) * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
        shape = shape_of(wanted)
        mean = (high - left) * gamma(2 / shape) / gamma(1 / shape) * sqrt(gamma(1 / shape) / gamma(3 / shape))
        found += [shape, mean, left**2, high**2]
    return found


def test_features_are_those_of_the_papers_formulas() -> None:
    picture = scene(0)
    grey: Values = np.round(picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114]))
    assert np.allclose(normalised(grey), written_out_contrast(grey), atol=1e-9)
    wanted = [*written_out_features(grey), *written_out_features(halved(grey))]
    found = scene_statistics(picture)
    assert found is not None and found.shape == (FEATURES,)
    # The shapes are searched in steps of 0.001, and the means follow from them.
    assert np.allclose(found, wanted, atol=2e-3)
    exact = [place for place in range(FEATURES) if place % 18 == 1 or (place % 18 > 1 and (place % 18 - 2) % 4 > 1)]
    assert np.allclose(found[exact], np.array(wanted)[exact], rtol=1e-6)


@pytest.mark.parametrize("size", [(24, 32), (25, 31)])
def test_half_the_size_is_antialiased_cubic_interpolation(size: tuple[int, int]) -> None:
    grey = np.random.default_rng(1).uniform(0, 255, size)
    padded = torch.from_numpy(np.pad(grey, 8, mode="symmetric"))[None, None]
    side = [(edge + edge % 2 + 16) // 2 for edge in size]
    padded = F.pad(padded, (0, size[1] % 2, 0, size[0] % 2))
    wanted = F.interpolate(padded, side, mode="bicubic", antialias=True)[0, 0, 4:-4, 4:-4].numpy()
    assert halved(grey).shape == wanted.shape
    assert np.allclose(halved(grey), wanted, atol=1e-4)


def test_fits_give_back_the_distribution_that_was_drawn() -> None:
    rng = np.random.default_rng(0)
    shape, variance = symmetric_fit(rng.normal(0, 2, 200_000))
    assert (shape, variance) == (pytest.approx(2, abs=0.05), pytest.approx(4, rel=0.02))
    assert symmetric_fit(rng.laplace(0, 1, 200_000))[0] == pytest.approx(1, abs=0.03)
    halves = np.abs(rng.normal(0, 1, 200_000)) * np.where(rng.uniform(size=200_000) < 1 / 4, -1, 3)
    shape, mean, left, right = asymmetric_fit(halves)
    assert (shape, left, right) == (pytest.approx(2, abs=0.05), pytest.approx(1, rel=0.03), pytest.approx(9, rel=0.03))
    assert mean == pytest.approx(2 * gamma(1) / sqrt(gamma(0.5) * gamma(1.5)), rel=0.05)


def libsvm_files(folder: Path, vectors: Values, weights: Values) -> Path:
    """Write a regressor in LIBSVM's form, zeros left out, and the ranges of its features."""
    folder.mkdir(exist_ok=True)
    head = f"svm_type epsilon_svr\nkernel_type rbf\ngamma 0.05\nnr_class 2\ntotal_sv {len(weights)}\nrho -153.591\nprobA 9\nSV\n"
    rows = [
        f"{weight:.17g} " + " ".join(f"{place}:{value:.17g}" for place, value in enumerate(row, 1) if value)
        for weight, row in zip(weights, vectors, strict=True)
    ]
    (folder / "allmodel").write_text(head + "\n".join(rows) + " \n")
    ranges = [f"{place} {low:.17g} {high:.17g}\n" for place, (low, high) in enumerate(AUTHORS_RANGES, 1)]
    (folder / "allrange").write_text("x\n-1 1\n" + "".join(ranges))
    return folder / "allmodel"


@pytest.fixture
def arrays() -> tuple[Values, Values]:
    """Support vectors and weights of true shapes; the authors' regressor has 774."""
    rng = np.random.default_rng(3)
    vectors = rng.uniform(-1, 1, (774, FEATURES)).round(3)
    vectors[0, 5] = 0.0
    return vectors, rng.uniform(-50, 50, 774)


def test_both_files_of_a_regressor_give_the_score_of_its_sum(tmp_path: Path, arrays: tuple[Values, Values]) -> None:
    vectors, weights = arrays
    text = libsvm_files(tmp_path / "authors", vectors, weights)
    torch.save((torch.from_numpy(weights), torch.from_numpy(vectors)), tmp_path / "brisque_svm_weights.pt")
    for number in range(2):
        write(tmp_path / "ours" / f"{number}.png", scene(number))
    write(tmp_path / "ours" / "flat.png", np.zeros((24, 24, 3), np.uint8))
    pictures = tuple(sorted((tmp_path / "ours").iterdir()))
    scores: list[float] = []
    for number in range(2):
        features = scene_statistics(scene(number))
        assert features is not None
        scaled = [2 * (f - low) / (high - low) - 1 for f, (low, high) in zip(features, AUTHORS_RANGES, strict=True)]
        kernel = [exp(-GAMMA * sum((s - v) ** 2 for s, v in zip(scaled, row, strict=True))) for row in vectors]
        scores.append(sum(w * k for w, k in zip(weights, kernel, strict=True)) - RHO)
    found = [Brisque(path).measure(Folders("a", pictures, ("",) * 3, None)) for path in (text, tmp_path / "brisque_svm_weights.pt")]  # fmt: skip
    for one in found:
        assert one.value is not None and isclose(one.value, sum(scores) / 2, rel_tol=1e-9)
        assert (one.id, one.title, one.count, one.facts["left out"]) == (
            "brisque",
            "BRISQUE ↓",
            2,
            "1 unreadable or flat",
        )
        assert "774 vectors" in one.facts["model"] and one.facts["crop"] == "none" and "half" in one.facts["resize"]
    assert found[0].facts["sha256"] == sha256_of(text)
    assert found[0].facts["sha256 of its ranges"] == sha256_of(tmp_path / "authors" / "allrange")
    empty = Brisque(text).measure(Folders("a", pictures[2:], ("",), None))
    assert (empty.value, empty.note) == (None, "no picture could be measured")


def test_files_that_are_no_regressor_are_refused(tmp_path: Path, arrays: tuple[Values, Values]) -> None:
    def refused(path: Path, words: str) -> None:
        with pytest.raises(InputError, match=words) as caught:
            Brisque(path)
        assert "BRISQUE_release.zip" in str(caught.value) and "brisque_svm_weights.pt" in str(caught.value)

    vectors, weights = arrays
    refused(tmp_path / "none", "is .*none, but there is no such file; give `allmodel`")
    text = libsvm_files(tmp_path / "authors", vectors, weights)
    good, ranges = text.read_text(), (tmp_path / "authors" / "allrange").read_text()
    for content, words in (
        (good.replace("epsilon_svr", "c_svc"), "not a LIBSVM regressor"),
        (good.replace("rbf", "linear"), "not a LIBSVM regressor"),
        (good.replace("36:", "37:"), "feature 37 is not from 1 to 36"),
        (good.replace("gamma 0.05\n", ""), "is damaged"),
        (good[: good.index("\nSV\n") + 4], "0 vectors in place of 774"),
        (good[: good.rstrip().rindex("\n")], "773 vectors in place of 774"),
        ("\N{SNOWMAN}", "cannot be read as text"),
    ):
        text.write_text(content)
        refused(text, words)
    text.write_text(good)
    for content, words in (
        (ranges.removeprefix("x\n"), "no line `x`"),
        (ranges[: ranges.index("\n36 ")], "is damaged"),
    ):
        (tmp_path / "authors" / "allrange").write_text(content)
        refused(text, words)
    (tmp_path / "authors" / "allrange").unlink()
    refused(text, "its folder has no allrange")
    saved = tmp_path / "weights.pt"
    saved.write_bytes(b"x")
    refused(saved, "cannot be read")
    for content, words in (
        ({"a": torch.ones(3)}, "no pair of weights and vectors"),
        ((torch.ones(3), torch.ones(3, 35)), r"weights of \(3,\) and vectors of \(3, 35\)"),
    ):
        torch.save(content, saved)
        refused(saved, words)
