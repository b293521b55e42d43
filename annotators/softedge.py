"""Soft edges: outlines as grey lines, strong where the shape changes, faint in texture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Annotator, Image, param
from annotators.maps import lines
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

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SoftEdgeGradient(Annotator):
    """Colour gradient over three scales; what the surroundings have as well (texture) is taken off."""

    id = "softedge_gradient"
    title = "Soft edge (no weights)"
    kind = "soft_lines"
    note = "Works at once, without any network; HED tells outlines from texture better."

    smoothing: float = param(1.0, "Larger lets fine texture go.", minimum=0.5, maximum=4.0, step=0.1)
    gain: float = param(1.0, "Larger makes faint outlines visible.", minimum=0.2, maximum=4.0, step=0.1)

    def __call__(self, source_image: Image) -> Image:
        """White on black, soft."""
        lab = cv2.cvtColor(source_image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        pixel = self.smoothing * min(source_image.shape[:2]) / 512
        scales = [_gradient(lab, max(0.6, sigma * pixel)) for sigma in (1.5, 3.0, 6.0)]
        # A real outline shows at every scale, texture only at the finest: the geometric mean keeps the first.
        strength = np.cbrt(scales[0] * scales[1] * scales[2]) + 0.25 * scales[1]
        texture = cv2.GaussianBlur(strength, (0, 0), max(2.0, 16 * pixel))
        relief = np.maximum(strength - 0.6 * texture, 0)
        response = 1 - np.exp(-((self.gain * relief / 14) ** 1.3))
        return lines(255 * response)


def _gradient(lab: NDArray[Any], sigma: float) -> NDArray[np.float32]:
    """(H, W) length of the Lab gradient after smoothing, times sigma: a step edge gives the same at every scale."""
    smooth = cv2.GaussianBlur(lab, (0, 0), sigma)
    horizontal = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    vertical = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    return np.sqrt((horizontal**2 + vertical**2).sum(axis=2)) * (sigma * 2.5)


@dataclass(frozen=True)
class HED(Annotator):
    """Holistically nested edges (Xie and Tu, 2015): a network's idea of what is an outline."""

    id = "hed"
    title = "HED"
    kind = "soft_lines"
    weights = ("hed",)

    detect_resolution: int = param(
        512, "Short side at which edges are looked for.", minimum=128, maximum=1024, step=64, unit="px"
    )
    safe: bool = param(False, "Only three levels of grey, so that the photo's shading cannot leak through.")

    def __call__(self, source_image: Image) -> Image:
        """White on black, soft."""
        edges = hed_edges(source_image, self.detect_resolution)
        return lines(255 * (np.floor(edges * 3) / 2 if self.safe else edges))


def hed_edges(image: Image, detect_resolution: int) -> NDArray[np.float32]:
    """(H, W) in [0, 1]: the mean of the network's five scales."""
    path = weights_file("hed")
    import torch

    network = _load_hed(path)
    with torch.inference_mode():
        scales = network(to_batch(resize_for_network(image, detect_resolution, multiple=8)))
    logits = np.mean([resize_to(scale[0, 0].float().cpu().numpy(), image) for scale in scales], axis=0)
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


@kept
def _load_hed(path: Path) -> torch.nn.Module:
    return load_into(aux_module("hed").ControlNetHED_Apache2(), load_state(path), path)
