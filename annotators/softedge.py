"""Soft edges: outlines as grey lines, strong where the shape changes, faint in texture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Filter, Image, NetworkAnnotator, param, resolution_param
from annotators.maps.encoders import lines
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

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SoftEdgeGradient(Filter):
    """Colour gradient over three scales, minus the mean of its surroundings, which is texture."""

    id = "softedge_gradient"
    title = "Soft edge (no weights)"
    kind = "soft_lines"
    note = "Needs no network and no download; HED separates outlines from texture better."

    smoothing: float = param(1.0, "Larger removes more fine texture.", minimum=0.5, maximum=4.0, step=0.1)
    gain: float = param(1.0, "Larger shows fainter outlines.", minimum=0.2, maximum=4.0, step=0.1)

    def annotate(self, source_image: Image) -> Image:
        """Return soft white lines on black."""
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
    """Return the (H, W) length of the Lab gradient after smoothing, times sigma: a step gives the same at every scale."""
    smooth = cv2.GaussianBlur(lab, (0, 0), sigma)
    horizontal = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    vertical = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    return np.sqrt((horizontal**2 + vertical**2).sum(axis=2)) * (sigma * 2.5)


@dataclass(frozen=True)
class EdgeNetwork(NetworkAnnotator):
    """A network whose output is the probability of an outline at every pixel."""

    kind = "soft_lines"
    library = "controlnet_aux"
    safe: ClassVar[bool] = False
    """Whether the map has three levels of grey only, which carry nothing of the photo's shading."""

    detect_resolution: int = resolution_param("edges are found")

    def edges(self, source_image: Image, runtime: Runtime) -> NDArray[np.float32]:
        """Return (H, W) values in [0, 1]."""
        raise NotImplementedError

    def annotate(self, source_image: Image, runtime: Runtime) -> Image:
        """Return soft white lines on black."""
        edges = self.edges(source_image, runtime)
        return lines(255 * (in_levels(edges, 2) if self.safe else edges))


def in_levels(edges: NDArray[Any], steps: int) -> NDArray[Any]:
    """Return edges in [0, 1] rounded to 0 and `steps` levels above it."""
    return np.floor(edges * (steps + 1)) / steps


@dataclass(frozen=True)
class HED(EdgeNetwork):
    """Holistically nested edge detection (Xie and Tu, 2015)."""

    id = "hed"
    title = "HED"
    weights = ("hed",)

    def edges(self, source_image: Image, runtime: Runtime) -> NDArray[np.float32]:
        """Return the mean of the network's five scales."""
        network = runtime.load(_load_hed, weights_file("hed"))
        return _mean_of_scales(network, source_image, self.detect_resolution, runtime.device)


@dataclass(frozen=True)
class HEDSafe(HED):
    """HED in three levels of grey."""

    id = "hed_safe"
    title = "HED (three levels)"
    note = "Three levels of grey, without the photo's shading."
    safe = True


@dataclass(frozen=True)
class PiDiNet(EdgeNetwork):
    """Pixel difference networks (Su et al., 2021): thinner lines than HED's, with a tenth of its parameters."""

    id = "pidinet"
    title = "PiDiNet"
    weights = ("pidinet",)
    note = "Its weights are for research only."

    def edges(self, source_image: Image, runtime: Runtime) -> NDArray[np.float32]:
        """Return the last of the network's maps; it was trained on BGR."""
        network = runtime.load(_load_pidinet, weights_file("pidinet"))
        import torch

        photo = resize_for_network(source_image, self.detect_resolution, multiple=8)
        with torch.inference_mode():
            edges = network(to_batch(photo[..., ::-1], runtime.device) / 255)[-1]
        return resize_to(edges[0, 0].float().cpu().numpy(), source_image).clip(0, 1)


@dataclass(frozen=True)
class PiDiNetSafe(PiDiNet):
    """PiDiNet in three levels of grey."""

    id = "pidinet_safe"
    title = "PiDiNet (three levels)"
    note = "Three levels of grey, without the photo's shading. Its weights are for research only."
    safe = True


@dataclass(frozen=True)
class TEED(EdgeNetwork):
    """Tiny and efficient edge detector (Soria et al., 2023): crisp lines from 58,000 parameters."""

    id = "teed"
    title = "TEED"
    weights = ("teed",)

    levels: int = param(2, "Levels of grey above black; 0 keeps all.", minimum=0, maximum=10, step=1)

    def edges(self, source_image: Image, runtime: Runtime) -> NDArray[np.float32]:
        """Return the mean of the network's four maps."""
        network = runtime.load(_load_teed, weights_file("teed"))
        edges = _mean_of_scales(network, source_image, self.detect_resolution, runtime.device)
        return in_levels(edges, self.levels) if self.levels else edges


def _mean_of_scales(network: torch.nn.Module, image: Image, detect_resolution: int, device: str) -> NDArray[np.float32]:
    """Return (H, W) values in [0, 1] of a network that takes RGB from 0 to 255 and returns logits at several scales."""
    import torch
    from torch.nn.functional import interpolate

    height, width = image.shape[:2]
    photo = resize_for_network(image, detect_resolution, multiple=8)
    with torch.inference_mode():
        scales = network(to_batch(photo, device))
        sized = [interpolate(scale.float(), photo.shape[:2], mode="bilinear") for scale in scales]
        edges = torch.stack(sized).mean(dim=0).sigmoid()[0, 0].cpu().numpy()
    return edges if edges.shape == (height, width) else resize_to(edges, image)


def _load_hed(device: str, path: Path) -> torch.nn.Module:
    return load_into(aux_module("hed").ControlNetHED_Apache2(), load_state(path), path, device)


def _load_pidinet(device: str, path: Path) -> torch.nn.Module:
    state = {name.removeprefix("module."): value for name, value in load_state(path).items()}
    return load_into(aux_module("pidi.model").pidinet(), state, path, device)


def _load_teed(device: str, path: Path) -> torch.nn.Module:
    return load_into(aux_module("teed.ted").TED(), load_state(path), path, device)
