"""BRISQUE, with the trained regressor of a file that the user has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnet_app.evaluation.distances import Folders, read_pictures
from cnet_app.evaluation.report import Distance
from cnet_app.evaluation.scene_statistics import FEATURES, Values, scene_statistics
from models.errors import USER_ERRORS, InputError
from models.files import sha256_of

RANGES = "allrange"
"""Name of the file with the ranges of the features, in the folder of a LIBSVM regressor."""
WHERE = (
    "give `allmodel` of its authors' release (live.ece.utexas.edu/research/Quality/BRISQUE_release.zip) in one folder with "
    "`allrange`, or the package piq's brisque_svm_weights.pt (github.com/photosynthesis-team/piq/releases/tag/v0.4.0)"
)
PICKLES = (".pt", ".pth")
GAMMA, RHO = 0.05, -153.591
"""Of the authors' regressor: width of its kernel, and what is taken off the sum. The file of piq leaves them out."""
AUTHORS_RANGES = np.array([
    (0.338, 10), (0.017204, 0.806612),
    (0.236, 1.642), (-0.123884, 0.20293), (0.000155, 0.712298), (0.001122, 0.470257),
    (0.244, 1.641), (-0.123586, 0.179083), (0.000152, 0.710456), (0.000975, 0.470984),
    (0.249, 1.555), (-0.135687, 0.100858), (0.000174, 0.684173), (0.000913, 0.534174),
    (0.258, 1.561), (-0.143408, 0.100486), (0.000179, 0.685696), (0.000888, 0.536508),
    (0.471, 3.264), (0.012809, 0.703171),
    (0.218, 1.046), (-0.094876, 0.187459), (0.000015, 0.442057), (0.001272, 0.40803),
    (0.222, 1.042), (-0.115772, 0.162604), (0.000016, 0.444362), (0.001374, 0.40243),
    (0.227, 0.996), (-0.117188, 0.098323), (0.00003, 0.531903), (0.001122, 0.369589),
    (0.228, 0.99), (-0.12243, 0.098658), (0.000028, 0.530092), (0.001118, 0.370399),
])  # fmt: skip
"""Lowest and highest value of each feature in the authors' training data: their `allrange`, which piq's file leaves out."""


@dataclass(frozen=True)
class Regressor:
    """Features to a score: a support vector regressor with a Gaussian kernel."""

    ranges: Values
    """(36, 2): the values of each feature that become the bounds."""
    bounds: tuple[float, float]
    vectors: Values
    """(N, 36)."""
    weights: Values
    """(N,)."""
    gamma: float
    rho: float

    def score(self, features: Values) -> float:
        """Return the score of 36 features: about 0 for the best pictures of its training data, 100 for the worst."""
        low, high = self.bounds
        place = (features - self.ranges[:, 0]) / (self.ranges[:, 1] - self.ranges[:, 0])
        distances = ((low + (high - low) * place - self.vectors) ** 2).sum(axis=1)
        return float(self.weights @ np.exp(-self.gamma * distances) - self.rho)


class Brisque:
    """BRISQUE of a method's pictures: lower is better, and no real pictures are needed."""

    def __init__(self, path: Path) -> None:
        """Raises InputError where the file is missing or holds no regressor of 36 features."""
        if not path.is_file():
            raise InputError(f"--brisque is {path}, but there is no such file; {WHERE}.")
        self._path = path
        self.regressor = _of_piq(path) if path.suffix.lower() in PICKLES else _of_libsvm(path)

    @property
    def facts(self) -> dict[str, str]:
        """Return what a number depends on."""
        facts = {
            "model": f"support vector regressor {self._path.name} of {len(self.regressor.weights)} vectors",
            "sha256": sha256_of(self._path),
        }
        if self._path.suffix.lower() not in PICKLES:
            facts |= {"sha256 of its ranges": sha256_of(self._path.with_name(RANGES))}
        return facts | {"resize": "none; the second scale is half the size, by cubic interpolation", "crop": "none"}

    def measure(self, folders: Folders) -> Distance:
        """Return the mean score over a method's pictures."""
        found = [scene_statistics(picture) for picture in read_pictures(folders.pictures)]
        scores = [self.regressor.score(features) for features in found if features is not None]
        note = "" if scores else "no picture could be measured"
        facts = self.facts
        if scores and len(scores) < len(folders.pictures):
            facts |= {"left out": f"{len(folders.pictures) - len(scores)} unreadable or flat"}
        return Distance(
            id="brisque", title="BRISQUE ↓", method=folders.method, value=float(np.mean(scores)) if scores else None,
            count=len(scores), facts=facts, note=note,
        )  # fmt: skip


def _of_piq(path: Path) -> Regressor:
    """Return the regressor of piq's file: weights and vectors of the authors' one, without its other numbers."""
    import torch

    from models.layouts.pickles import read_pickle

    try:
        content: Any = read_pickle(path)
    except USER_ERRORS as error:
        raise InputError(f"--brisque is {path}, which cannot be read ({error}); {WHERE}.") from error
    parts: list[Any] = list(content) if isinstance(content, list | tuple) else []
    if len(parts) != 2 or not all(isinstance(part, torch.Tensor) for part in parts):
        raise InputError(f"--brisque is {path}, which holds no pair of weights and vectors; {WHERE}.")
    weights, vectors = parts[0].double().flatten().numpy(), parts[1].double().numpy()
    if vectors.shape != (len(weights), FEATURES) or not len(weights):
        raise InputError(
            f"--brisque is {path}, with weights of {tuple(parts[0].shape)} and vectors of {tuple(vectors.shape)}, but it "
            f"must have (N,) and (N, {FEATURES}); {WHERE}."
        )
    return Regressor(AUTHORS_RANGES, (-1.0, 1.0), vectors, weights, GAMMA, RHO)


def _of_libsvm(path: Path) -> Regressor:
    """Return the regressor of a LIBSVM model file; the ranges that `svm-scale` wrote are in the same folder."""
    ranges_file = path.with_name(RANGES)
    if not ranges_file.is_file():
        raise InputError(f"--brisque is {path}, but its folder has no {RANGES}; {WHERE}.")
    head, _, body = _text(path).partition("\nSV")
    facts = dict(line.split(maxsplit=1) for line in head.splitlines() if " " in line)
    if not facts.get("svm_type", "").endswith("_svr") or facts.get("kernel_type") != "rbf":
        raise InputError(f"--brisque is {path}, but it is not a LIBSVM regressor with a Gaussian kernel; {WHERE}.")
    rows = [line.split() for line in body.splitlines() if line.strip()]
    try:
        if len(rows) != int(facts["total_sv"]) or not rows:
            raise ValueError(f"{len(rows)} vectors in place of {facts['total_sv']}")
        weights = np.array([float(row[0]) for row in rows])
        vectors = np.array([_sparse(row[1:]) for row in rows]).reshape(len(rows), FEATURES)
        bounds, ranges = _ranges(_text(ranges_file))
        return Regressor(ranges, bounds, vectors, weights, float(facts["gamma"]), float(facts["rho"]))
    except (ValueError, LookupError) as error:
        raise InputError(
            f"--brisque is {path}, but this file or {ranges_file} is damaged ({error}); {WHERE}."
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--brisque is {path}, which cannot be read as text ({error}); {WHERE}.") from error


def _sparse(parts: list[str]) -> Values:
    """Return the values of `index:value`, counted from 1, with 0 for those that are left out."""
    values = np.zeros(FEATURES)
    for part in parts:
        index, value = part.split(":")
        if not 1 <= int(index) <= FEATURES:
            raise ValueError(f"feature {index} is not from 1 to {FEATURES}")
        values[int(index) - 1] = float(value)
    return values


def _ranges(text: str) -> tuple[tuple[float, float], Values]:
    """Return the bounds and (36, 2) ranges of a file of `svm-scale`: after a line `x`, the bounds, then a feature a line."""
    match = re.search(r"^x\n(\S+) (\S+)\n(.*)", text, re.MULTILINE | re.DOTALL)
    if match is None:
        raise ValueError("the ranges have no line `x`")
    rows = {int(index): (float(low), float(high)) for index, low, high in map(str.split, match[3].splitlines())}
    return (float(match[1]), float(match[2])), np.array([rows[index] for index in range(1, FEATURES + 1)])
