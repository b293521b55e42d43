"""Depth: near is white."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Annotator, Image, param, resolution_param
from annotators.maps import encode_depth, unit_range
from annotators.networks import (
    aux_module,
    device,
    kept,
    load_into,
    load_pretrained,
    load_state,
    resize_for_network,
    to_batch,
    weights_file,
)
from models.weights import fetch

# Of ImageNet, with which LeReS was trained; for pixels from 0 to 1.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
NEAREST, FARTHEST = 2, 85
"""Percentiles of Zoe's metres that become white and black: those its ControlNets were trained with."""
FAR_TO_NEAR = 10.0
"""How many times as far as the nearest thing the farthest is taken to be, where a network does not tell."""


@dataclass(frozen=True)
class DepthAnnotator(Annotator):
    """Something that says how near every pixel is."""

    kind = "depth"

    def nearness(self, source_image: Image) -> NDArray[np.float32]:
        """(H, W) of one over the distance, but for a factor and a summand: nearer is larger."""
        raise NotImplementedError

    def __call__(self, source_image: Image) -> Image:
        """Grey over the full range, near is white."""
        return encode_depth(self.nearness(source_image))


@dataclass(frozen=True)
class TransformersDepth(DepthAnnotator):
    """A network of the transformers library, with the picture size that its own files say if nothing else is said."""

    library = "transformers"
    network: ClassVar[str]
    """Its class."""

    def network_size(self) -> dict[str, int] | None:
        """`height` and `width` to which the picture is brought nearly; None leaves it to the network's own files."""
        return None

    def predicted(self, source_image: Image) -> NDArray[np.float32]:
        """(H, W), what the network means by depth."""
        folder = fetch(self.weights[0])
        import torch

        processor, network = _load(folder, self.network)
        looked_at = self.network_size()
        options = {"size": looked_at} if looked_at else {}
        inputs = processor(images=source_image, return_tensors="pt", input_data_format="channels_last", **options)
        size = source_image.shape[:2]
        with torch.inference_mode():
            outputs = network(pixel_values=inputs["pixel_values"].to(device()))
            sizes = {"source_sizes": [size]} if self.network.startswith("Zoe") else {}
            depth = processor.post_process_depth_estimation(outputs, target_sizes=[size], **sizes)[0]
        return depth["predicted_depth"].float().cpu().numpy()

    def nearness(self, source_image: Image) -> NDArray[np.float32]:
        """What it predicts is relative inverse depth already."""
        return self.predicted(source_image)


@dataclass(frozen=True)
class Midas(TransformersDepth):
    """MiDaS 3.0 with the DPT-hybrid network (Ranftl et al., 2021): relative inverse depth.

    As transformers has it, the network looks at the whole picture squeezed to 384 x 384 px and at no other size.
    """

    id = "midas"
    title = "MiDaS (DPT-hybrid)"
    weights = ("midas",)
    network = "DPTForDepthEstimation"


@dataclass(frozen=True)
class DepthAnythingV2(TransformersDepth):
    """Depth Anything V2, the small network (Yang et al., 2024): finer borders than MiDaS, from a fifth of its size."""

    id = "depth_anything_v2"
    title = "Depth Anything V2 (small)"
    weights = ("depth_anything_v2",)
    network = "DepthAnythingForDepthEstimation"

    detect_resolution: int = param(
        518, "Short side, nearly, at which depth is looked for.", minimum=126, maximum=1036, step=14, unit="px"
    )

    def network_size(self) -> dict[str, int]:
        return dict.fromkeys(("height", "width"), self.detect_resolution)


@dataclass(frozen=True)
class Zoe(TransformersDepth):
    """ZoeDepth (Bhat et al., 2023): metres."""

    id = "zoe"
    title = "ZoeDepth"
    weights = ("zoe",)
    network = "ZoeDepthForDepthEstimation"

    def nearness(self, source_image: Image) -> NDArray[np.float32]:
        """Per metre."""
        return np.reciprocal(self.predicted(source_image).clip(1e-3))

    def __call__(self, source_image: Image) -> Image:
        """Grey falls evenly with the metres, white from the nearest 2 % on, black for the farthest 15 %."""
        metres = self.predicted(source_image)
        near, far = np.percentile(metres, (NEAREST, FARTHEST))
        return encode_depth(-(metres.clip(near, far) if near < far else metres))  # else a small thing before a wall


@dataclass(frozen=True)
class LeReS(DepthAnnotator):
    """LeReS (Yin et al., 2021): depth whose flat walls stay flat."""

    id = "leres"
    title = "LeReS"
    weights = ("leres",)
    library = "controlnet_aux"
    note = "The terms of its weights are not known here."

    remove_near: float = param(
        0.0, "Share of the range, from the nearest on, that becomes white.", minimum=0, maximum=100, step=0.5, unit="%"
    )
    remove_background: float = param(
        0.0, "Share of the range, from the farthest on, that becomes black.", minimum=0, maximum=100, step=0.5, unit="%"
    )
    detect_resolution: int = resolution_param("depth is looked for")

    def nearness(self, source_image: Image) -> NDArray[np.float32]:
        """As if the farthest were FAR_TO_NEAR times as far as the nearest, which the network does not say."""
        return np.reciprocal(1 + unit_range(self.distance(source_image)) * np.float32(FAR_TO_NEAR - 1))

    def distance(self, source_image: Image) -> NDArray[np.float32]:
        """(H, W), but for a factor and a summand. The network takes RGB, as its authors' demo gives it."""
        network = _load_leres(weights_file("leres"))
        import torch

        photo = resize_for_network(source_image, self.detect_resolution, multiple=32).astype(np.float32) / 255
        with torch.inference_mode():
            far = network(to_batch((photo - MEAN) / DEVIATION))[0, 0].float().cpu().numpy()
        return np.asarray(cv2.resize(far, source_image.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.float32)

    def __call__(self, source_image: Image) -> Image:
        """Grey falls evenly with the distance, near is white."""
        grey = encode_depth(-self.distance(source_image))
        grey[grey > 255 * (1 - self.remove_near / 100)] = 255
        grey[grey < 255 * self.remove_background / 100] = 0
        return grey


@kept
def _load(folder: Path, network: str) -> tuple[Any, Any]:
    import transformers

    return load_pretrained(getattr(transformers, network), folder)


@kept
def _load_leres(path: Path) -> Any:
    network = aux_module("leres.leres.multi_depth_model_woauxi").RelDepthModel(backbone="resnext101")
    tensors = {name.removeprefix("module."): value for name, value in load_state(path).items()}
    return load_into(network, tensors, path).depth_model
