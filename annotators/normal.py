"""Normals: red is left, green is up, blue faces the viewer."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Annotator, Image, param, resolution_param
from annotators.depth import FAR_TO_NEAR, DepthAnnotator, DepthAnythingV2, LeReS, Midas, Zoe
from annotators.embedded import DepthEmbedded
from annotators.maps import encode_normal, unit_range
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
    {kind.id: kind for kind in (Midas, DepthAnythingV2, Zoe, DepthEmbedded, LeReS)}
)
FIRST = "first"
STEP = 0.1


@dataclass(frozen=True)
class NormalBAE(Annotator):
    """Surface normals by Bae et al. (2021), trained on ScanNet; the network's own axes are those of the map."""

    id = "normal_bae"
    title = "Normals (BAE)"
    kind = "normal"
    weights = ("normal_bae",)
    library = "controlnet_aux"

    detect_resolution: int = resolution_param("surfaces are looked at")

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
    """Normals of the surface that a depth map shows, under a pinhole camera."""

    id = "normal_from_depth"
    title = "From a depth map"
    kind = "normal"
    note = "Only as good as the depth it is made from."

    depth: str = param(
        FIRST, "What looks for the depth; the first of them whose files are here.", choices=(FIRST, *DEPTHS)
    )
    strength: float = param(1.0, "Over 1 makes relief steeper, under 1 flatter.", minimum=0.1, maximum=10, step=0.1)
    smoothing: float = param(
        1.0, "Width over which the depth is smoothed, but for its steps, as part of the picture's short side.",
        minimum=0, maximum=3, step=0.25, unit="%",
    )  # fmt: skip
    background_threshold: float = param(
        0.1, "Nearness, 0 to 1, below which all is background and faces the viewer.", minimum=0, maximum=1, step=0.05
    )
    field_of_view: float = param(
        55.0, "Angle that the photo's longer side spans.", minimum=5, maximum=120, step=5, unit="°"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth == FIRST:  # settled here, so that recipes and caches name what was used
            object.__setattr__(self, "depth", _first_that_runs())

    def __call__(self, source_image: Image) -> Image:
        """Unit vectors as colours."""
        near = unit_range(DEPTHS[self.depth]().nearness(source_image))
        smooth = _smoothed(near, self.smoothing / 100 * min(near.shape))
        normals = normals_of(smooth + (1 - smooth) / FAR_TO_NEAR, self.field_of_view, self.strength)
        normals[near < self.background_threshold] = 0
        return encode_normal(normals)

    def needs(self) -> tuple[str, ...]:
        """Those of what looks for the depth."""
        return DEPTHS[self.depth].weights


def normals_of(inverse_depth: NDArray[Any], field_of_view: float, strength: float = 1.0) -> NDArray[np.float32]:
    """(H, W) of 1 / z in any unit → (H, W, 3) unit vectors: x right, y up, z to the viewer.

    Perspective: a pinhole camera before the picture's middle, whose longer side spans `field_of_view` degrees. Of a plane
    1 / z = a x + b y + c is linear in the place (x, y) on the picture, in focal lengths, and (a, b, c) is its normal; so
    this is exact for planes.
    """
    near = np.asarray(inverse_depth, np.float32)
    height, width = near.shape
    focal = np.float32(max(height, width) / 2 / np.tan(np.radians(field_of_view / 2)))
    x = (np.arange(width, dtype=np.float32) + np.float32(0.5 - width / 2)) / focal
    y = (np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5 - height / 2)) / focal
    across, down = _slope(near) * focal, _slope(near.T).T * focal
    tilt = np.float32(strength)
    vectors = np.dstack([-tilt * across, tilt * down, near - x * across - y * down])
    return vectors / np.maximum(np.linalg.norm(vectors, axis=2, keepdims=True), np.float32(1e-12))


def _slope(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Slope along the rows, a pixel, of the second order: of three stencils the least bent, so that none crosses a step.

    Essentially non-oscillatory differences (Harten et al., 1987).
    """
    padded = np.pad(values, ((0, 0), (2, 2)), mode="reflect", reflect_type="odd")
    step = np.diff(padded, axis=1)
    bend = np.diff(step, axis=1)
    before, here, after = bend[:, :-2], bend[:, 1:-1], bend[:, 2:]
    left, right = step[:, 1:-2], step[:, 2:-1]
    slope = np.where(np.abs(before) < np.abs(here), left + before / 2, left + here / 2)
    return np.where(np.abs(after) < np.minimum(np.abs(before), np.abs(here)), right - after / 2, slope)


def _smoothed(near: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """By a standard deviation of `width` pixels; what differs by more than STEP of the range is another surface."""
    return np.asarray(cv2.bilateralFilter(near, 0, STEP, width), np.float32) if width >= 0.3 else near


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
    return load_into(network, state, path, channels_last=False)
