"""Networks of transformers, as large as those the annotators fetch but with random weights, and what the library makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow

from annotators.base import Image
from benchmarks.peers import lively
from models.files import HERE

STAGES: dict[str, Any] = {"out_features": ["stage1", "stage2", "stage3", "stage4"]}
LABELS: dict[str, Any] = {"num_labels": 150}


@dataclass(frozen=True)
class HubPeer:
    """Network and image processor, and their answer to a picture of a short side in px."""

    create: Callable[[], tuple[Any, Any]]
    detect: Callable[[Any, Any, Image, int], NDArray[Any]]


def save(network: Any, processor: Any, folder: Path) -> None:
    """Save a network and its processor as a folder of the hub stores them: a processor of two parts each by itself."""
    parts = (processor.image_processor, processor.tokenizer) if hasattr(processor, "tokenizer") else (processor,)
    for part in (network, *parts):
        part.save_pretrained(folder)


def detect_depth(network: Any, processor: Any, photo: Image, side: int = 0) -> NDArray[Any]:
    """Grey by transformers' own pipeline, which looks at the size that the processor says."""
    from transformers import pipeline

    peer: Any = pipeline("depth-estimation", model=network, image_processor=processor)
    return np.asarray(peer(Pillow.fromarray(photo))["depth"])


def detect_zoe(network: Any, processor: Any, photo: Image, side: int = 0) -> NDArray[Any]:
    """Metres of the same pipeline, which Zoe's ControlNets read turned round and cut."""
    from transformers import pipeline

    peer: Any = pipeline("depth-estimation", model=network, image_processor=processor)
    metres = peer(Pillow.fromarray(photo))["predicted_depth"].numpy()
    near, far = np.percentile(metres, (2, 85))
    return np.clip(255 * (1 - (metres - near) / (far - near)), 0, 255)


def detect_classes(network: Any, processor: Any, photo: Image, side: int) -> NDArray[Any]:
    """Class of every pixel, of a network that looks at the picture alone."""
    height, width = (round(length * side / min(photo.shape[:2]) / 32) * 32 for length in photo.shape[:2])
    inputs = processor(Pillow.fromarray(photo), return_tensors="pt", size={"height": height, "width": width})
    with torch.inference_mode():
        outputs = network(**inputs)
    return processor.post_process_semantic_segmentation(outputs, target_sizes=[photo.shape[:2]])[0].numpy()


def detect_with_task(network: Any, processor: Any, photo: Image, side: int) -> NDArray[Any]:
    """Class of every pixel, of a network that is told its task in words."""
    looked_at: dict[str, Any] = {"shortest_edge": side, "longest_edge": 4 * side}
    inputs = processor(Pillow.fromarray(photo), ["semantic"], return_tensors="pt", size=looked_at)
    with torch.inference_mode():
        outputs = network(pixel_values=inputs["pixel_values"], task_inputs=inputs["task_inputs"])
    images = processor.image_processor
    return images.post_process_semantic_segmentation(outputs, target_sizes=[photo.shape[:2]])[0].numpy()


def _midas() -> tuple[Any, Any]:
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor

    config = DPTConfig(
        is_hybrid=True, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
        image_size=384, backbone_out_indices=[2, 5, 8, 11], neck_hidden_sizes=[256, 512, 768, 768],
        neck_ignore_stages=[0, 1], backbone_featmap_shape=[1, 1024, 24, 24],
    )  # fmt: skip
    processor = DPTImageProcessor(size={"height": 384, "width": 384}, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    network: Any = lively(DPTForDepthEstimation(config))
    network.head.head[-2].weight.data.abs_()  # behind it is a ReLU, which would make everything 0
    return network, processor


def _depth_anything() -> tuple[Any, Any]:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    taken: dict[str, Any] = {"out_indices": [3, 6, 9, 12]}
    backbone = Dinov2Config(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, patch_size=14,
        reshape_hidden_states=False, apply_layernorm=True, **taken,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=384, patch_size=14, neck_hidden_sizes=[48, 96, 192, 384],
        fusion_hidden_size=64, head_hidden_size=32,
    )  # fmt: skip
    network: Any = lively(DepthAnythingForDepthEstimation(config))
    network.head.conv3.weight.data.abs_()
    size = {"height": 518, "width": 518}
    return network, DPTImageProcessor(size=size, keep_aspect_ratio=True, ensure_multiple_of=14)


def _zoe() -> tuple[Any, Any]:
    from transformers import ZoeDepthConfig, ZoeDepthForDepthEstimation, ZoeDepthImageProcessor

    bins = {"n_bins": 64, "min_depth": 0.001, "max_depth": 10.0, "name": "nyu"}
    network = lively(ZoeDepthForDepthEstimation(ZoeDepthConfig(bin_configurations=[bins])))
    return network, ZoeDepthImageProcessor(size={"height": 384, "width": 512})


def _upernet() -> tuple[Any, Any]:
    from transformers import ConvNextConfig, SegformerImageProcessor, UperNetConfig, UperNetForSemanticSegmentation

    backbone = ConvNextConfig(depths=[3, 3, 27, 3], hidden_sizes=[96, 192, 384, 768], **STAGES)
    config = UperNetConfig(backbone_config=backbone, hidden_size=512, use_auxiliary_head=False, **LABELS)
    return lively(UperNetForSemanticSegmentation(config)), SegformerImageProcessor(size={"height": 512, "width": 512})


def _oneformer() -> tuple[Any, Any]:
    from transformers import (
        CLIPTokenizer,
        OneFormerConfig,
        OneFormerForUniversalSegmentation,
        OneFormerImageProcessor,
        OneFormerProcessor,
        SwinConfig,
    )

    backbone = SwinConfig(
        image_size=224, embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], window_size=7, **STAGES
    )
    network: Any = lively(OneFormerForUniversalSegmentation(OneFormerConfig(backbone_config=backbone, **LABELS)))
    with torch.no_grad():  # else every query says the same
        network.model.transformer_module.queries_embedder.weight.normal_(0, 30)
        network.model.transformer_module.decoder.class_embed.weight.mul_(20)
    words = CLIPTokenizer.from_pretrained(HERE / "embedded" / "base" / "tokenizer")
    return network, OneFormerProcessor(OneFormerImageProcessor(num_labels=150), words)


HUB_PEERS: Mapping[str, HubPeer] = MappingProxyType(
    {
        "midas": HubPeer(_midas, detect_depth),
        "depth_anything_v2": HubPeer(_depth_anything, detect_depth),
        "zoe": HubPeer(_zoe, detect_zoe),
        "ade20k": HubPeer(_upernet, detect_classes),
        "oneformer_ade20k_tiny": HubPeer(_oneformer, detect_with_task),
    }
)
"""By annotator."""
