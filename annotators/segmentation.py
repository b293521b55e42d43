"""Segmentation: every pixel in the colour of its ADE20K class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotators.base import Annotator, Image
from annotators.maps import encode_segmentation
from annotators.networks import device, kept, load_pretrained
from models.weights import fetch


@dataclass(frozen=True)
class ADE20K(Annotator):
    """UPerNet over ConvNeXt (Xiao et al., 2018; Liu et al., 2022), trained on the 150 classes of ADE20K."""

    id = "ade20k"
    title = "ADE20K (UPerNet)"
    kind = "labels"
    weights = ("ade20k",)

    def __call__(self, source_image: Image) -> Image:
        """Palette colours, no mixtures."""
        folder = fetch("ade20k")
        import torch

        processor, network = _load(folder)
        inputs = processor(images=source_image, return_tensors="pt", input_data_format="channels_last")
        with torch.inference_mode():
            outputs = network(pixel_values=inputs["pixel_values"].to(device()))
        size = source_image.shape[:2]
        classes = processor.post_process_semantic_segmentation(outputs, target_sizes=[size])[0]
        return encode_segmentation(classes.cpu().numpy())


@kept
def _load(folder: Path) -> tuple[Any, Any]:
    from transformers import UperNetForSemanticSegmentation

    return load_pretrained(UperNetForSemanticSegmentation, folder)
