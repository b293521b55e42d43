"""Depth maps, on which near is white."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image, NetworkAnnotator, param, resolution_param
from annotators.maps.encoders import encode_depth, unit_range
from annotators.networks.loading import (
    aux_module,
    load_into,
    load_pretrained,
    load_state,
    resize_for_network,
    to_batch,
    weights_file,
    weights_folder,
)
from annotators.runtime import Runtime

# ImageNet's, with which LeReS was trained; for pixels from 0 to 1.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
NEAREST, FARTHEST = 2, 85
"""Percentiles of Zoe's metres that become white and black, as in the training of its ControlNets."""
FAR_TO_NEAR = 10.0
"""Assumed distance of the farthest point over that of the nearest, where a network gives no scale."""


@dataclass(frozen=True)
class DepthAnnotator(NetworkAnnotator):
    """A network that estimates the nearness of every pixel."""

    kind = "depth"

    def nearness(self, source_image: Image, runtime: Runtime) -> NDArray[np.float32]:
        """Return (H, W) inverse distances up to a factor and a summand; nearer is larger."""
        raise NotImplementedError

    def annotate(self, source_image: Image, runtime: Runtime) -> Image:
        """Return grey over the full range, near is white."""
        return encode_depth(self.nearness(source_image, runtime))


@dataclass(frozen=True)
class TransformersDepth(DepthAnnotator):
    """A network of the transformers library; its own files give the input size unless `network_size` does."""

    library = "transformers"
    network: ClassVar[str]
    """Name of its class in transformers."""

    def network_size(self) -> dict[str, int] | None:
        """Return the approximate `height` and `width` of the network's input; None leaves them to its own files."""
        return None

    def predicted(self, source_image: Image, runtime: Runtime) -> NDArray[np.float32]:
        """Return the network's own (H, W) output."""
        folder = weights_folder(self.weights[0])
        import torch

        processor, network = runtime.load(_load, folder, self.network)
        network_size = self.network_size()
        options = {"size": network_size} if network_size else {}
        inputs = processor(images=source_image, return_tensors="pt", input_data_format="channels_last", **options)
        size = source_image.shape[:2]
        with torch.inference_mode():
            outputs = network(pixel_values=inputs["pixel_values"].to(runtime.device))
            sizes = {"source_sizes": [size]} if self.network.startswith("Zoe") else {}
            depth = processor.post_process_depth_estimation(outputs, target_sizes=[size], **sizes)[0]
        return depth["predicted_depth"].float().cpu().numpy()

    def nearness(self, source_image: Image, runtime: Runtime) -> NDArray[np.float32]:
        """Return the network's output, which is relative inverse depth already."""
        return self.predicted(source_image, runtime)


@dataclass(frozen=True)
class Midas(TransformersDepth):
    """MiDaS 3.0 with the DPT-hybrid network (Ranftl et al., 2021): relative inverse depth.

    As in transformers, the network's input is the whole picture squeezed to 384 x 384 px.
    """

    id = "midas"
    title = "MiDaS (DPT-hybrid)"
    weights = ("midas",)
    network = "DPTForDepthEstimation"


@dataclass(frozen=True)
class DepthAnythingV2(TransformersDepth):
    """Depth Anything V2, the small network (Yang et al., 2024): finer borders than MiDaS at a fifth of its size."""

    id = "depth_anything_v2"
    title = "Depth Anything V2 (small)"
    weights = ("depth_anything_v2",)
    network = "DepthAnythingForDepthEstimation"

    detect_resolution: int = param(
        518, "Approximate short side at which depth is estimated.", minimum=126, maximum=1036, step=14, unit="px"
    )

    def network_size(self) -> dict[str, int]:
        """Return `detect_resolution` for both sides; the processor keeps the picture's proportions."""
        return dict.fromkeys(("height", "width"), self.detect_resolution)


@dataclass(frozen=True)
class Zoe(TransformersDepth):
    """ZoeDepth (Bhat et al., 2023), which estimates metres."""

    id = "zoe"
    title = "ZoeDepth"
    weights = ("zoe",)
    network = "ZoeDepthForDepthEstimation"

    def nearness(self, source_image: Image, runtime: Runtime) -> NDArray[np.float32]:
        """Return one over the metres."""
        return np.reciprocal(self.predicted(source_image, runtime).clip(1e-3))

    def annotate(self, source_image: Image, runtime: Runtime) -> Image:
        """Return grey that falls linearly with the metres: white for the nearest 2 %, black for the farthest 15 %."""
        metres = self.predicted(source_image, runtime)
        near, far = np.percentile(metres, (NEAREST, FARTHEST))
        return encode_depth(
            -(metres.clip(near, far) if near < far else metres)
        )  # equal: one small object before a wall


@dataclass(frozen=True)
class LeReS(DepthAnnotator):
    """LeReS (Yin et al., 2021), whose flat walls stay flat."""

    id = "leres"
    title = "LeReS"
    weights = ("leres",)
    library = "controlnet_aux"
    note = "The licence of its weights is unknown."

    remove_near: float = param(
        0.0,
        "Share of the range, from the nearest point on, that becomes white.",
        minimum=0,
        maximum=100,
        step=0.5,
        unit="%",
    )
    remove_background: float = param(
        0.0,
        "Share of the range, from the farthest point on, that becomes black.",
        minimum=0,
        maximum=100,
        step=0.5,
        unit="%",
    )
    detect_resolution: int = resolution_param("depth is estimated")

    def nearness(self, source_image: Image, runtime: Runtime) -> NDArray[np.float32]:
        """Return inverse distances for a range from 1 to FAR_TO_NEAR, since the network gives no scale."""
        return np.reciprocal(1 + unit_range(self.distance(source_image, runtime)) * np.float32(FAR_TO_NEAR - 1))

    def distance(self, source_image: Image, runtime: Runtime) -> NDArray[np.float32]:
        """Return (H, W) distances up to a factor and a summand. The network takes RGB, as in its authors' demo."""
        network = runtime.load(_load_leres, weights_file("leres"))
        import torch

        photo = resize_for_network(source_image, self.detect_resolution, multiple=32).astype(np.float32) / 255
        with torch.inference_mode():
            far = network(to_batch((photo - MEAN) / DEVIATION, runtime.device))[0, 0].float().cpu().numpy()
        return np.asarray(cv2.resize(far, source_image.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.float32)

    def annotate(self, source_image: Image, runtime: Runtime) -> Image:
        """Return grey that falls linearly with the distance, near is white."""
        grey = encode_depth(-self.distance(source_image, runtime))
        grey[grey > 255 * (1 - self.remove_near / 100)] = 255
        grey[grey < 255 * self.remove_background / 100] = 0
        return grey


def _load(device: str, folder: Path, network: str) -> tuple[Any, Any]:
    import transformers

    return load_pretrained(getattr(transformers, network), folder, device)


def _load_leres(device: str, path: Path) -> Any:
    network = aux_module("leres.leres.multi_depth_model_woauxi").RelDepthModel(backbone="resnext101")
    tensors = {name.removeprefix("module."): value for name, value in load_state(path).items()}
    return load_into(network, tensors, path, device).depth_model
