"""Depth: near is white."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotators.base import Annotator, Image
from annotators.maps import encode_depth
from annotators.networks import device, kept, load_pretrained, resize_to
from models.weights import fetch


@dataclass(frozen=True)
class Midas(Annotator):
    """MiDaS 3.0 with the DPT-hybrid network (Ranftl et al., 2021): relative inverse depth."""

    id = "midas"
    title = "MiDaS (DPT-hybrid)"
    kind = "depth"
    weights = ("midas",)

    def __call__(self, source_image: Image) -> Image:
        """Grey over the full range, near is white."""
        folder = fetch("midas")
        import torch

        processor, network = _load(folder)
        inputs = processor(images=source_image, return_tensors="pt", input_data_format="channels_last")
        with torch.inference_mode():
            depth = network(pixel_values=inputs["pixel_values"].to(device())).predicted_depth
        return encode_depth(resize_to(depth[0].float().cpu().numpy(), source_image))


@kept
def _load(folder: Path) -> tuple[Any, Any]:
    from transformers import DPTForDepthEstimation

    return load_pretrained(DPTForDepthEstimation, folder)
