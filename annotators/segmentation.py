"""Segmentation maps, on which every pixel has the colour of its ADE20K class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from annotators.base import Image, param
from annotators.maps.control_map import DataAnnotator
from annotators.maps.segments import Segments
from annotators.networks.loading import (
    LOADING_ERRORS,
    check_finite,
    check_memory,
    damaged_folder,
    load_pretrained,
    size_for_network,
    weights_folder,
)
from annotators.runtime import Runtime
from models.errors import DamagedError

TASK = "the task is semantic"
"""The text input of OneFormer."""
TASK_TOKENS = 77
RESOLUTION_HELP = "Short side at which objects are found."


@dataclass(frozen=True)
class SegmentationAnnotator(DataAnnotator):
    """A network that assigns a class to every pixel."""

    kind = "labels"
    data_type = Segments

    def detect(self, source_image: Image, runtime: Runtime) -> Segments:
        """Return the classes at the picture's size."""
        raise NotImplementedError


@dataclass(frozen=True)
class ADE20K(SegmentationAnnotator):
    """UPerNet with a ConvNeXt backbone (Xiao et al., 2018; Liu et al., 2022), trained on ADE20K."""

    id = "ade20k"
    title = "UPerNet (ConvNeXt small)"
    weights = ("ade20k",)
    library = "transformers"

    detect_resolution: int = param(512, RESOLUTION_HELP, minimum=128, maximum=1024, step=32, unit="px")

    def detect(self, source_image: Image, runtime: Runtime) -> Segments:
        """Return the most probable class of each pixel."""
        folder = weights_folder("ade20k")
        import torch

        processor, network = runtime.load(_load_upernet, folder)
        height, width = size_for_network(source_image, self.detect_resolution, multiple=32)
        size = {"height": height, "width": width}
        inputs = processor(images=source_image, return_tensors="pt", input_data_format="channels_last", size=size)
        with torch.inference_mode():
            outputs = network(pixel_values=inputs["pixel_values"].to(runtime.device))
        return _segments(processor, outputs, source_image)


@dataclass(frozen=True)
class OneFormerTiny(SegmentationAnnotator):
    """OneFormer (Jain et al., 2023) with the tiny Swin backbone, trained on ADE20K."""

    id = "oneformer_ade20k_tiny"
    title = "OneFormer (tiny)"
    weights = ("oneformer_ade20k_tiny",)
    library = "transformers"

    detect_resolution: int = param(512, RESOLUTION_HELP, minimum=128, maximum=1280, step=32, unit="px")

    def detect(self, source_image: Image, runtime: Runtime) -> Segments:
        """Return the most probable class of each pixel."""
        folder = weights_folder(self.weights[0])
        import torch

        processor, network, task = runtime.load(_load_oneformer, folder)
        size = {"shortest_edge": self.detect_resolution, "longest_edge": 4 * self.detect_resolution}
        inputs = processor(source_image, return_tensors="pt", input_data_format="channels_last", size=size)
        with torch.inference_mode():
            pixels = inputs["pixel_values"].to(runtime.device)
            outputs = network(pixel_values=pixels, task_inputs=task.to(runtime.device))
        return _segments(processor, outputs, source_image)


@dataclass(frozen=True)
class OneFormer(OneFormerTiny):
    """OneFormer with the large Swin backbone."""

    id = "oneformer_ade20k"
    title = "OneFormer (large)"
    weights = ("oneformer_ade20k",)

    detect_resolution: int = param(640, RESOLUTION_HELP, minimum=128, maximum=1280, step=32, unit="px")


def _segments(processor: Any, outputs: Any, image: Image) -> Segments:
    size = image.shape[:2]
    classes = processor.post_process_semantic_segmentation(outputs, target_sizes=[size])[0]
    return Segments(classes.cpu().numpy().astype(np.int16))


def _load_upernet(device: str, folder: Path) -> tuple[Any, Any]:
    from transformers import UperNetForSemanticSegmentation

    return load_pretrained(UperNetForSemanticSegmentation, folder, device)


def _load_oneformer(device: str, folder: Path) -> tuple[Any, Any, Any]:
    """Return image processor, network, and the task as tokens."""
    import torch
    from transformers import CLIPTokenizer, OneFormerForUniversalSegmentation, OneFormerImageProcessor

    try:
        # The list of classes is for training only, and transformers would read it from the hub.
        processor = OneFormerImageProcessor.from_pretrained(folder, local_files_only=True, class_info_file=None)
        network = OneFormerForUniversalSegmentation.from_pretrained(folder, local_files_only=True)
    except LOADING_ERRORS as error:
        raise damaged_folder(folder, error) from error
    check_finite(network, folder)
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare Exception
        check_memory(folder, error)
        raise DamagedError(
            f"The vocabulary in {folder} cannot be read; delete its files and download them again."
        ) from error
    tokens = tokenizer(TASK, padding="max_length", max_length=TASK_TOKENS, truncation=True, return_tensors="pt")
    task = tokens["attention_mask"] * tokens["input_ids"]  # padding becomes 0
    return processor, torch.nn.Module.to(network, device).eval().requires_grad_(False), task
