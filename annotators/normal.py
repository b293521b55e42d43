"""Normal maps, on which red is left, green is up and blue faces the viewer."""

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

from annotators.base import Image, NetworkAnnotator, param, resolution_param
from annotators.depth import FAR_TO_NEAR, DepthAnnotator, DepthAnythingV2, LeReS, Midas, Zoe
from annotators.embedded import DepthEmbedded
from annotators.maps.encoders import encode_normal, unit_range
from annotators.networks.loading import (
    aux_module,
    load_into,
    load_state,
    resize_for_network,
    resize_to,
    to_batch,
    weights_file,
)
from annotators.runtime import Runtime
from models.catalogue.weights import find

if TYPE_CHECKING:
    import torch

# ImageNet's, with which the network was trained; for pixels from 0 to 255.
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)

DEPTHS: Mapping[str, type[DepthAnnotator]] = MappingProxyType(
    {annotator.id: annotator for annotator in (Midas, DepthAnythingV2, Zoe, DepthEmbedded, LeReS)}
)
FIRST = "first"
"""Chooses the first depth annotator whose files are on this disk."""
STEP = 0.1
"""Difference in nearness, 0 to 1, that smoothing keeps as a step."""


@dataclass(frozen=True)
class NormalBAE(NetworkAnnotator):
    """Surface normals by Bae et al. (2021), trained on ScanNet; the network's axes are the map's."""

    id = "normal_bae"
    title = "Normals (BAE)"
    kind = "normal"
    weights = ("normal_bae",)
    library = "controlnet_aux"

    detect_resolution: int = resolution_param("normals are estimated")

    def annotate(self, source_image: Image, runtime: Runtime) -> Image:
        """Return unit vectors as colours."""
        path = weights_file("normal_bae")
        import torch

        network = runtime.load(_load, path)
        photo = resize_for_network(source_image, self.detect_resolution, multiple=64)
        with torch.inference_mode():
            finest = network(to_batch((photo - MEAN) / DEVIATION, runtime.device))[0][-1]
        vectors = resize_to(finest[0, :3].permute(1, 2, 0).float().cpu().numpy(), source_image)
        return np.clip(np.rint(vectors * 127.5 + 127.5), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class NormalFromDepth(NetworkAnnotator):
    """Normals of the surface that a depth map shows, under a pinhole camera."""

    id = "normal_from_depth"
    title = "From a depth map"
    kind = "normal"
    note = "As good as its depth map."

    depth: str = param(
        FIRST, "Depth annotator; first takes the first one whose files are on this disk.", choices=(FIRST, *DEPTHS)
    )
    strength: float = param(1.0, "Above 1 makes relief steeper, below 1 flatter.", minimum=0.1, maximum=10, step=0.1)
    smoothing: float = param(
        1.0, "Smooths the depth over this share of the short side, and keeps its steps.",
        minimum=0, maximum=3, step=0.25, unit="%",
    )  # fmt: skip
    background_threshold: float = param(
        0.1,
        "Nearness, 0 to 1, below which a pixel is background and faces the viewer.",
        minimum=0,
        maximum=1,
        step=0.05,
    )
    field_of_view: float = param(
        55.0, "Angle of view along the longer side of the photo.", minimum=5, maximum=120, step=5, unit="°"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth == FIRST:  # resolved here, so that recipes and caches name the annotator that is used
            object.__setattr__(self, "depth", _first_that_runs())

    def annotate(self, source_image: Image, runtime: Runtime) -> Image:
        """Return unit vectors as colours."""
        near = unit_range(DEPTHS[self.depth]().nearness(source_image, runtime))
        smooth = _smoothed(near, self.smoothing / 100 * min(near.shape))
        normals = normals_of(smooth + (1 - smooth) / FAR_TO_NEAR, self.field_of_view, self.strength)
        normals[near < self.background_threshold] = 0
        return encode_normal(normals)

    def needs(self) -> tuple[str, ...]:
        """Return the catalogue ids of the depth annotator's files."""
        return DEPTHS[self.depth].weights


def normals_of(inverse_depth: NDArray[Any], field_of_view: float, strength: float = 1.0) -> NDArray[np.float32]:
    """(H, W) of 1 / z in any unit → (H, W, 3) unit vectors: x right, y up, z to the viewer.

    The camera is a pinhole whose longer side spans `field_of_view` degrees. For a plane, 1 / z = a x + b y + c is linear in
    the place (x, y) on the picture, in focal lengths, and (a, b, c) is its normal, so the result is exact for planes.
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
    """Return the slope along the rows per pixel, of second order, by the least bent of three stencils: none crosses a step.

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
    """Smooth with a standard deviation of `width` pixels, within surfaces: a difference above STEP is another surface."""
    return np.asarray(cv2.bilateralFilter(near, 0, STEP, width), np.float32) if width >= 0.3 else near


def _first_that_runs() -> str:
    """Return the id of the first depth annotator whose files are on this disk."""
    return next(id for id, annotator in DEPTHS.items() if all(find(weights) for weights in annotator.weights))


def _load(device: str, path: Path) -> torch.nn.Module:
    # The sampling ratios have no effect outside training.
    options = SimpleNamespace(architecture="BN", sampling_ratio=0.4, importance_ratio=0.7)
    module = aux_module("normalbae.nets.NNET")
    with contextlib.redirect_stdout(sys.stderr):  # its constructor prints
        network = module.NNET(options)
    state = {name.removeprefix("module."): value for name, value in load_state(path).items()}
    return load_into(network, state, path, device, channels_last=False)
