"""Numbers of whole folders: Fréchet distances to real pictures. Networks are loaded from this disk alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from annotators.base import Image
from annotators.sources.images import load_image, resize
from cnet_app.evaluation.pairing import pictures_below
from cnet_app.evaluation.report import TOO_FEW, Distance
from models.catalogue.weights import require
from models.errors import USER_ERRORS, InputError
from models.files import sha256_of

OWN_WEIGHTS = "embedded_annotator"
OWN_SIDE = 256
"""Of a picture that the project's own network reads, px."""
FID_LEAST = 2048
"""Pictures on each side: as many as Inception has features, or their covariance is singular."""
NO_REFERENCE = "needs the folder of real pictures, --reference"
Features = NDArray[np.float64]


@dataclass(frozen=True)
class Folders:
    """The pictures of one method, with what they may be compared with."""

    method: str
    pictures: tuple[Path, ...]
    prompts: tuple[str, ...]
    """One for each picture; empty where there is none."""
    reference: Path | None


class WholeFolder(Protocol):
    """A number of a whole folder."""

    def measure(self, folders: Folders) -> Distance:
        """Return the number, or why there is none."""
        ...


def frechet_distance(one: Features, other: Features) -> float:
    """Return the squared Fréchet distance of the normal distributions of two sets of features, (N, F) and (M, F).

    Raises InputError where a set has no more rows than features: its covariance would be singular.
    """
    for rows in (one, other):
        if len(rows) <= rows.shape[1]:
            raise InputError(TOO_FEW.format(least=rows.shape[1] + 1, count=len(rows)))
    means = one.mean(axis=0) - other.mean(axis=0)
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = _square_root(first)
    between = np.linalg.eigvalsh(root @ second @ root)
    spread = np.trace(first) + np.trace(second) - 2 * np.sqrt(between.clip(0)).sum()
    return float(max(means @ means + spread, 0.0))


def _square_root(covariance: Features) -> Features:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def read_pictures(paths: Sequence[Path]) -> Iterator[Image]:
    """Yield the pictures that can be read."""
    for path in paths:
        try:
            yield load_image(path, path.name)
        except USER_ERRORS:
            continue


@dataclass
class OwnDistance:
    """The Fréchet distance of features of the project's own small network. It is no FID, and compares with none."""

    device: str = "cpu"
    _reference: dict[Path, Features] = field(default_factory=dict, repr=False)

    def measure(self, folders: Folders) -> Distance:
        """Return the distance of a method's pictures to the real ones."""
        weights = require(OWN_WEIGHTS) / "model.safetensors"
        value, note, reference, own = None, "", np.empty((0, 0)), self.features(folders.pictures)
        if folders.reference is None:
            note = NO_REFERENCE
        else:
            reference = self._of_reference(folders.reference)
            try:
                value = frechet_distance(own, reference)
            except InputError as error:
                note = str(error)
        facts = {
            "model": "SceneNet of this project, deepest features",
            "sha256": sha256_of(weights),
            "resize": f"stretched to {OWN_SIDE}x{OWN_SIDE}",
            "crop": "none",
            "real pictures": str(len(reference)),
        }
        return Distance(
            id="fd_own", title="FD-own ↓", method=folders.method, value=value, count=len(own), facts=facts, note=note
        )  # fmt: skip

    def _of_reference(self, folder: Path) -> Features:
        if folder not in self._reference:
            self._reference[folder] = self.features(pictures_below(folder))
        return self._reference[folder]

    def features(self, paths: Sequence[Path]) -> Features:
        """Return (N, 128) of the pictures that can be read."""
        import torch

        from annotators.networks.loading import to_batch
        from annotators.networks.scene_net import load_scene_net

        network = load_scene_net(require(OWN_WEIGHTS)).to(self.device)
        found: list[Any] = []
        with torch.inference_mode():
            for picture in read_pictures(paths):
                batch = to_batch(resize(picture, OWN_SIDE, OWN_SIDE, "stretch"), self.device) / 255
                found.append(network.features(batch)[0].double().cpu().numpy())
        return np.stack(found) if found else np.empty((0, network.channels[-1]))


class InceptionDistance:
    """FID by torchmetrics and torch-fidelity, with weights that the user has."""

    def __init__(self, weights: Path, device: str = "cpu") -> None:
        """Raises InputError where a package or the weights are missing."""
        if not weights.is_file():
            raise InputError(
                f"--fid is {weights}, but there is no such file; give Inception's weights, pt_inception-2015-12-05-6726825d.pth."
            )
        self._weights, self._device = weights, device
        self._create()

    def _create(self) -> Any:
        try:
            from torchmetrics.image.fid import FrechetInceptionDistance

            return FrechetInceptionDistance(feature_extractor_weights_path=str(self._weights)).to(self._device)
        except ImportError as error:
            raise InputError(
                f"--fid needs the packages torchmetrics and torch-fidelity ({error}); run `pip install torchmetrics "
                "torch-fidelity`, or leave --fid out."
            ) from error
        except (RuntimeError, ValueError, OSError, KeyError, EOFError) as error:
            raise InputError(f"--fid is {self._weights}, which holds no weights of Inception ({error}).") from error

    def measure(self, folders: Folders) -> Distance:
        """Return the distance of a method's pictures to the real ones."""
        reference = pictures_below(folders.reference) if folders.reference else []
        few = min(len(folders.pictures), len(reference))
        note = "" if few >= FID_LEAST else TOO_FEW.format(least=FID_LEAST, count=few)
        note = note if folders.reference else NO_REFERENCE
        facts = {
            "model": "Inception v3 of 2015-12-05 by torch-fidelity",
            "sha256": sha256_of(self._weights),
            "resize": "bilinear to 299x299",
            "crop": "none",
            "real pictures": str(len(reference)),
        }
        value, count = (None, len(folders.pictures)) if note else self._distance(folders.pictures, reference)
        return Distance(
            id="fid", title="FID ↓", method=folders.method, value=value, count=count, facts=facts, note=note
        )  # fmt: skip

    def _distance(self, pictures: Sequence[Path], reference: Sequence[Path]) -> tuple[float, int]:
        """Return the distance, and how many of the pictures could be read."""
        import torch

        metric, count = self._create(), 0
        for paths, real in ((pictures, False), (reference, True)):
            for picture in read_pictures(paths):
                batch = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].to(self._device)
                metric.update(batch, real=real)
                count += not real
        return float(metric.compute()), count
