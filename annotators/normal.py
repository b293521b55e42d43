"""Normals: red is left, green is up, blue faces the viewer."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from annotators.base import Annotator, Image, param
from annotators.depth import DepthAnnotator, DepthAnythingV2, LeReS, Midas, Zoe
from annotators.embedded import DepthEmbedded
from annotators.maps import encode_normal
from annotators.networks import (
    aux_module,
    kept,
    load_into,
    load_state,
    resize_for_network,
    resize_to,
    to_batch,
    weights_file,
)
from models.weights import find

if TYPE_CHECKING:
    import torch

# Of ImageNet, with which the network was trained; for pixels from 0 to 255.
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)

DEPTHS: Mapping[str, type[DepthAnnotator]] = MappingProxyType(
    {kind.id: kind for kind in (Midas, DepthAnythingV2, Zoe, LeReS, DepthEmbedded)}
)
FIRST = "first"


@dataclass(frozen=True)
class NormalBAE(Annotator):
    """Surface normals by Bae et al. (2021), trained on ScanNet; the network's own axes are those of the map."""

    id = "normal_bae"
    title = "Normals (BAE)"
    kind = "normal"
    weights = ("normal_bae",)

    detect_resolution: int = param(
        512, "Short side at which surfaces are looked at.", minimum=128, maximum=1024, step=64, unit="px"
    )

    def __call__(self, source_image: Image) -> Image:
        """Unit vectors as colours."""
        path = weights_file("normal_bae")
        import torch

        network = _load(path)
        photo = resize_for_network(source_image, self.detect_resolution, multiple=64)
        with torch.inference_mode():
            finest = network(to_batch((photo - MEAN) / DEVIATION))[0][-1]
        vectors = resize_to(finest[0, :3].permute(1, 2, 0).float().cpu().numpy(), source_image)
        return np.clip(np.rint(vectors * 127.5 + 127.5), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class NormalFromDepth(Annotator):
    """Normals of the relief that a depth map is, seen without perspective."""

    id = "normal_from_depth"
    title = "From a depth map"
    kind = "normal"
    note = "Only as good as the depth it is made from."

    depth: str = param(
        FIRST, "What looks for the depth; the first of them whose files are here.", choices=(FIRST, *DEPTHS)
    )
    relief: float = param(
        0.5, "From the farthest to the nearest, in short sides of the picture; larger is steeper.",
        minimum=0.05, maximum=5.0, step=0.05,
    )  # fmt: skip
    background_threshold: float = param(
        0.1,
        "Nearness, 0 to 1, below which all is background and faces the viewer.",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
    )

    def __call__(self, source_image: Image) -> Image:
        """Unit vectors as colours."""
        chosen = self.depth if self.depth != FIRST else _first_that_runs()
        return encode_normal(
            normals_of(DEPTHS[chosen]().nearness(source_image), self.relief, self.background_threshold)
        )


def normals_of(nearness: NDArray[Any], relief: float, background_threshold: float = 0.0) -> NDArray[np.float32]:
    """(H, W) relative inverse depth → (H, W, 3) unit vectors: x right, y up, z to the viewer; zero where it is background.

    The picture is a relief whose height is the nearness, from 0 to `relief` short sides. Slopes are central differences
    of second order, one-sided at the picture's border.
    """
    depth = np.asarray(nearness, np.float32)
    low, high = float(depth.min()), float(depth.max())
    share = (depth - low) / max(high - low, 1e-12)
    down, right = np.gradient(share * np.float32(relief * min(depth.shape)), edge_order=2)
    vectors = np.dstack([-right, down, np.ones_like(share)])
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    vectors[share < background_threshold] = 0
    return vectors


def _first_that_runs() -> str:
    return next(id for id, kind in DEPTHS.items() if all(find(weights) for weights in kind.weights))


@kept
def _load(path: Path) -> torch.nn.Module:
    # What the sampling ratios are does not matter outside training.
    options = SimpleNamespace(architecture="BN", sampling_ratio=0.4, importance_ratio=0.7)
    module = aux_module("normalbae.nets.NNET")
    with contextlib.redirect_stdout(sys.stderr):  # it reports on building itself
        network = module.NNET(options)
    state = {name.removeprefix("module."): value for name, value in load_state(path).items()}
    return load_into(network, state, path)
