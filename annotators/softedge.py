"""Soft edges: outlines as grey lines, strong where the shape changes, faint in texture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Annotator, Image, param, resolution_param
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
class EdgeNetwork(Annotator):
    """A network that says of every pixel how sure it is of an outline."""

    kind = "soft_lines"
    library = "controlnet_aux"
    safe: ClassVar[bool] = False
    """Whether only three levels of grey are left, so that the photo's shading cannot leak through."""

    detect_resolution: int = resolution_param("edges are looked for")

    def edges(self, source_image: Image) -> NDArray[np.float32]:
        """(H, W) in [0, 1]."""
        raise NotImplementedError

    def __call__(self, source_image: Image) -> Image:
        """White on black, soft."""
        edges = self.edges(source_image)
        return lines(255 * (in_levels(edges, 2) if self.safe else edges))


def in_levels(edges: NDArray[Any], steps: int) -> NDArray[Any]:
    """Edges in [0, 1] in so many steps above nothing."""
    return np.floor(edges * (steps + 1)) / steps


@dataclass(frozen=True)
class HED(EdgeNetwork):
    """Holistically nested edges (Xie and Tu, 2015): a network's idea of what is an outline."""

    id = "hed"
    title = "HED"
    weights = ("hed",)

    def edges(self, source_image: Image) -> NDArray[np.float32]:
        """The mean of the network's five scales."""
        return _mean_of_scales(_load_hed(weights_file("hed")), source_image, self.detect_resolution)


@dataclass(frozen=True)
class HEDSafe(HED):
    """HED in three levels of grey."""

    id = "hed_safe"
    title = "HED (three levels)"
    note = "Three levels of grey: no shading of the photo leaks through."
    safe = True


@dataclass(frozen=True)
class PiDiNet(EdgeNetwork):
    """Pixel difference networks (Su et al., 2021): thinner lines than HED's, from a network a tenth of its size."""

    id = "pidinet"
    title = "PiDiNet"
    weights = ("pidinet",)
    note = "Its weights are for research only."

    def edges(self, source_image: Image) -> NDArray[np.float32]:
        """The last of the network's maps; it was trained on BGR."""
        network = _load_pidinet(weights_file("pidinet"))
        import torch

        photo = resize_for_network(source_image, self.detect_resolution, multiple=8)
        with torch.inference_mode():
            edges = network(to_batch(photo[..., ::-1]) / 255)[-1]
        return resize_to(edges[0, 0].float().cpu().numpy(), source_image).clip(0, 1)


@dataclass(frozen=True)
class PiDiNetSafe(PiDiNet):
    """PiDiNet in three levels of grey."""

    id = "pidinet_safe"
    title = "PiDiNet (three levels)"
    note = "Three levels of grey: no shading of the photo leaks through. Its weights are for research only."
    safe = True


@dataclass(frozen=True)
class TEED(EdgeNetwork):
    """Tiny and efficient edges (Soria et al., 2023): crisp lines from 58,000 numbers."""

    id = "teed"
    title = "TEED"
    weights = ("teed",)

    levels: int = param(2, "Steps of grey above black; 0 keeps all of them.", minimum=0, maximum=10, step=1)

    def edges(self, source_image: Image) -> NDArray[np.float32]:
        """The mean of the network's four maps."""
        edges = _mean_of_scales(_load_teed(weights_file("teed")), source_image, self.detect_resolution)
        return in_levels(edges, self.levels) if self.levels else edges


def _mean_of_scales(network: torch.nn.Module, image: Image, detect_resolution: int) -> NDArray[np.float32]:
    """(H, W) in [0, 1] from a network whose scales are logits; it takes RGB from 0 to 255."""
    import torch
    from torch.nn.functional import interpolate

    height, width = image.shape[:2]
    photo = resize_for_network(image, detect_resolution, multiple=8)
    with torch.inference_mode():
        scales = network(to_batch(photo))
        sized = [interpolate(scale.float(), photo.shape[:2], mode="bilinear") for scale in scales]
        edges = torch.stack(sized).mean(dim=0).sigmoid()[0, 0].cpu().numpy()
    return edges if edges.shape == (height, width) else resize_to(edges, image)


@kept
def _load_hed(path: Path) -> torch.nn.Module:
    return load_into(aux_module("hed").ControlNetHED_Apache2(), load_state(path), path)


@kept
def _load_pidinet(path: Path) -> torch.nn.Module:
    state = {name.removeprefix("module."): value for name, value in load_state(path).items()}
    return load_into(aux_module("pidi.model").pidinet(), state, path)


@kept
def _load_teed(path: Path) -> torch.nn.Module:
    return load_into(aux_module("teed.ted").TED(), load_state(path), path)
