"""Segmentation: every pixel in the colour of its ADE20K class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from annotators.base import Image, param
from annotators.control_map import DataAnnotator
from annotators.networks import LOADING_ERRORS, device, kept, load_pretrained, size_for_network
from annotators.segments import Segments
from models.errors import WeightsError
from models.weights import fetch

TASK = "the task is semantic"
"""What OneFormer is told in words."""
TASK_TOKENS = 77
RESOLUTION_HELP = "Short side at which things are looked for."


@dataclass(frozen=True)
class SegmentationAnnotator(DataAnnotator):
    """Something that names every pixel."""

    kind = "labels"
    data_type = Segments

    def detect(self, source_image: Image) -> Segments:
        """Classes at the picture's size."""
        raise NotImplementedError


@dataclass(frozen=True)
class ADE20K(SegmentationAnnotator):
    """UPerNet over ConvNeXt (Xiao et al., 2018; Liu et al., 2022), trained on the 150 classes of ADE20K."""

    id = "ade20k"
    title = "UPerNet (ConvNeXt small)"
    weights = ("ade20k",)
    library = "transformers"

    detect_resolution: int = param(512, RESOLUTION_HELP, minimum=128, maximum=1024, step=32, unit="px")

    def detect(self, source_image: Image) -> Segments:
        """The likeliest class of each pixel."""
        folder = fetch("ade20k")
        import torch

        processor, network = _load_upernet(folder)
        height, width = size_for_network(source_image, self.detect_resolution, multiple=32)
        size = {"height": height, "width": width}
        inputs = processor(images=source_image, return_tensors="pt", input_data_format="channels_last", size=size)
        with torch.inference_mode():
            outputs = network(pixel_values=inputs["pixel_values"].to(device()))
        return _segments(processor, outputs, source_image)


@dataclass(frozen=True)
class OneFormerTiny(SegmentationAnnotator):
    """OneFormer (Jain et al., 2023) over the tiny Swin network."""

    id = "oneformer_ade20k_tiny"
    title = "OneFormer (tiny)"
    weights = ("oneformer_ade20k_tiny",)
    library = "transformers"

    detect_resolution: int = param(512, RESOLUTION_HELP, minimum=128, maximum=1280, step=32, unit="px")

    def detect(self, source_image: Image) -> Segments:
        """The likeliest class of each pixel."""
        folder = fetch(self.weights[0])
        import torch

        processor, network, task = _load_oneformer(folder)
        size = {"shortest_edge": self.detect_resolution, "longest_edge": 4 * self.detect_resolution}
        inputs = processor(source_image, return_tensors="pt", input_data_format="channels_last", size=size)
        with torch.inference_mode():
            outputs = network(pixel_values=inputs["pixel_values"].to(device()), task_inputs=task.to(device()))
        return _segments(processor, outputs, source_image)


@dataclass(frozen=True)
class OneFormer(OneFormerTiny):
    """The same over the large Swin network."""

    id = "oneformer_ade20k"
    title = "OneFormer (large)"
    weights = ("oneformer_ade20k",)

    detect_resolution: int = param(640, RESOLUTION_HELP, minimum=128, maximum=1280, step=32, unit="px")


def _segments(processor: Any, outputs: Any, image: Image) -> Segments:
    size = image.shape[:2]
    classes = processor.post_process_semantic_segmentation(outputs, target_sizes=[size])[0]
    return Segments(classes.cpu().numpy().astype(np.int16))


@kept
def _load_upernet(folder: Path) -> tuple[Any, Any]:
    from transformers import UperNetForSemanticSegmentation

    return load_pretrained(UperNetForSemanticSegmentation, folder)


@kept
def _load_oneformer(folder: Path) -> tuple[Any, Any, Any]:
    """Image processor, network, and the task as tokens."""
    import torch
    from transformers import CLIPTokenizer, OneFormerForUniversalSegmentation, OneFormerImageProcessor

    try:
        # The list of classes is for training alone; left in, it would be looked up on the hub.
        processor = OneFormerImageProcessor.from_pretrained(folder, local_files_only=True, class_info_file=None)
        network = OneFormerForUniversalSegmentation.from_pretrained(folder, local_files_only=True)
    except LOADING_ERRORS as error:
        raise WeightsError(
            f"The network in {folder} cannot be loaded ({type(error).__name__}); delete it and fetch it again."
        ) from error
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the library underneath raises just that
        raise WeightsError(
            f"The vocabulary in {folder} cannot be read; delete its files and fetch them again."
        ) from error
    tokens = tokenizer(TASK, padding="max_length", max_length=TASK_TOKENS, truncation=True, return_tensors="pt")
    task = tokens["attention_mask"] * tokens["input_ids"]  # what is padding counts for nothing
    return processor, torch.nn.Module.to(network, device()).eval().requires_grad_(False), task
