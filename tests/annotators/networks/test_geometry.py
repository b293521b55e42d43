"""Depth, normals and classes: against what transformers and the library make of the same weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annotators.base import Image
from annotators.depth import DepthAnnotator, DepthAnythingV2, LeReS, Midas, TransformersDepth, Zoe
from annotators.embedded import DepthEmbedded, SegmentationEmbedded
from annotators.maps.control_map import make_map
from annotators.maps.encoders import ADE20K_CLASSES, ADE20K_PALETTE
from annotators.maps.kinds import KINDS
from annotators.maps.segments import Segments
from annotators.normal import NormalBAE
from annotators.runtime import Runtime
from annotators.segmentation import ADE20K, OneFormerTiny, SegmentationAnnotator
from annotators.sources.images import resize
from benchmarks.hub_peers import detect_classes, detect_depth, detect_with_task, detect_zoe
from benchmarks.peers import leres, normal_bae
from models.errors import InputError, WeightsError
from models.files import HERE
from tests.annotators.conftest import ON_META
from tests.annotators.networks.thin import save_thin, thin

STAGES: dict[str, Any] = {"out_features": ["stage1", "stage2", "stage3", "stage4"]}


def _lively(network: Any) -> Any:
    """As made, so small a network gives one answer everywhere."""
    torch.manual_seed(0)
    with torch.no_grad():
        for value in network.parameters():
            value.normal_(0, 0.3)
    return network


def _talkative(network: Any) -> Any:
    """As made, or with all of it lively, every query of OneFormer says the same."""
    torch.manual_seed(0)
    with torch.no_grad():
        for value in network.parameters():
            if value.ndim > 1:
                value.normal_(0, 0.4)
        network.model.transformer_module.decoder.class_embed.weight.mul_(5)
    return network.eval()


def _midas() -> tuple[Any, Any]:
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor

    config = DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=64, patch_size=16,
        backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, is_hybrid=False,
    )  # fmt: skip
    network: Any = _lively(DPTForDepthEstimation(config))
    network.head.head[-2].weight.data.abs_()  # behind it is a ReLU, which would make everything 0
    return network, DPTImageProcessor(size={"height": 64, "width": 64}, image_mean=[0.5] * 3, image_std=[0.5] * 3)


def _backbone() -> Any:
    from transformers import Dinov2Config

    return Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2, image_size=56, patch_size=14,
        reshape_hidden_states=False, apply_layernorm=True, **STAGES,
    )  # fmt: skip


def _depth_anything() -> tuple[Any, Any]:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, DPTImageProcessor

    config = DepthAnythingConfig(
        backbone_config=_backbone(), reassemble_hidden_size=16, patch_size=14, neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8, head_hidden_size=8,
    )  # fmt: skip
    network: Any = _lively(DepthAnythingForDepthEstimation(config))
    network.head.conv3.weight.data.abs_()
    return network, DPTImageProcessor(size={"height": 126, "width": 126}, keep_aspect_ratio=True, ensure_multiple_of=14)


def _zoe() -> tuple[Any, Any]:
    from transformers import BeitConfig, ZoeDepthConfig, ZoeDepthForDepthEstimation, ZoeDepthImageProcessor

    backbone = BeitConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=64, patch_size=16,
        reshape_hidden_states=False, use_relative_position_bias=True, **STAGES,
    )  # fmt: skip
    config = ZoeDepthConfig(
        backbone_config=backbone, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, bottleneck_features=8,
        num_relative_features=8, reassemble_factors=[4, 2, 1, 0.5],
        bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0, "name": "nyu"}], bin_embedding_dim=8,
        num_attractors=[2, 2, 2, 1],
    )  # fmt: skip
    processor = ZoeDepthImageProcessor(size={"height": 64, "width": 64}, keep_aspect_ratio=False)
    return _lively(ZoeDepthForDepthEstimation(config)), processor


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "create"), [(Midas, _midas), (DepthAnythingV2, _depth_anything), (Zoe, _zoe)])
def test_depth_is_what_transformers_makes_of_the_weights(
    kind: type[TransformersDepth], create: Callable[[], tuple[Any, Any]], models_dir: Path, photos: dict[str, Image],
    meta_runtime: Runtime,
) -> None:  # fmt: skip
    network, processor = create()
    folder = models_dir / kind.weights[0]
    network.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    settings = {"detect_resolution": 126} if kind is DepthAnythingV2 else {}
    ours = kind(**settings)(photos["chelsea"])
    with ON_META:
        kind(**settings)(photos["chelsea"], meta_runtime)
    theirs = (detect_zoe if kind is Zoe else detect_depth)(network, processor, photos["chelsea"])
    assert (ours == ours[..., :1]).all()
    assert (ours.min(), ours.max()) == (0, 255)
    assert np.abs(ours[..., 0] - theirs.astype(float)).max() <= 1


@pytest.mark.slow
def test_leres_is_what_the_library_makes_of_the_weights(
    models_dir: Path, photos: dict[str, Image], runtime: Runtime, meta_runtime: Runtime
) -> None:
    peer = leres()
    network = thin(peer.create())
    save_thin({f"module.{name}": value for name, value in network.state_dict().items()},
              models_dir / "leres" / "res101.pth", "depth_model")  # fmt: skip
    photo = resize(photos["coffee"], 160, 128)
    ours, theirs = LeReS(detect_resolution=128)(photo, runtime), peer.detect(network, photo, 128)
    assert theirs.std() > 10
    assert np.abs(ours - theirs).max() <= 1
    near = LeReS(detect_resolution=128).nearness(photo, runtime)
    assert (near.max(), near.min()) == pytest.approx((1, 0.1))
    assert near.argmax() == theirs[..., 0].argmax()
    cut = LeReS(detect_resolution=128, remove_near=20.0, remove_background=30.0)(photo, runtime)[..., 0]
    assert set(cut[ours[..., 0] > 205]) == {255}
    assert set(cut[ours[..., 0] < 76]) == {0}
    with ON_META:
        LeReS(detect_resolution=128)(photo, meta_runtime)


@pytest.mark.slow
def test_bae_normals_are_what_the_library_makes_of_the_weights(
    models_dir: Path, photos: dict[str, Image], meta_runtime: Runtime
) -> None:
    peer = normal_bae()
    network = thin(peer.create())
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(2, 3, 64, 64))  # else what its layers see fades away before the end
    save_thin(network.eval().state_dict(), models_dir / "normal_bae" / "scannet.pt", "model")
    photo, annotate = resize(photos["coffee"], 192, 128), NormalBAE(detect_resolution=128)
    ours, theirs = annotate(photo), peer.detect(network, photo, 128)
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert np.ptp(ours, axis=(0, 1)).min() > 50
    with ON_META:
        annotate(photo, meta_runtime)


def _upernet(folder: Path) -> tuple[Any, Any]:
    from transformers import ConvNextConfig, SegformerImageProcessor, UperNetConfig, UperNetForSemanticSegmentation

    backbone = ConvNextConfig(depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 8, 8], **STAGES)
    labels: dict[str, Any] = {"num_labels": 150}
    config = UperNetConfig(
        backbone_config=backbone, hidden_size=16, pool_scales=[1, 2], use_auxiliary_head=False, **labels
    )
    network, processor = (
        UperNetForSemanticSegmentation(config),
        SegformerImageProcessor(size={"height": 64, "width": 64}),
    )
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return network.eval(), processor


@pytest.mark.slow
def test_classes_are_what_transformers_makes_of_the_weights(
    models_dir: Path, photos: dict[str, Image], meta_runtime: Runtime
) -> None:
    torch.manual_seed(0)
    network, processor = _upernet(models_dir / "ade20k")
    with torch.no_grad():
        network.decode_head.classifier.weight.mul_(100)  # else one class has everything
        network.decode_head.classifier.bias.zero_()
    network.save_pretrained(models_dir / "ade20k")
    photo = photos["rocket"]
    theirs = detect_classes(network, processor, photo, 128)
    made = make_map(ADE20K(detect_resolution=128), photo)
    assert isinstance(made.data, Segments)
    assert np.array_equal(made.data.classes, theirs)
    assert len(made.data.legend()) > 3
    assert made.warnings == ()
    assert np.array_equal(made.pixels, ADE20K_PALETTE[theirs])
    with ON_META:
        ADE20K(detect_resolution=128)(photo, meta_runtime)


@pytest.mark.slow
def test_oneformer_is_what_transformers_makes_of_the_weights(
    models_dir: Path, photos: dict[str, Image], meta_runtime: Runtime
) -> None:
    """With the folder as it comes from the hub, whose class list transformers would look up there."""
    from transformers import (
        CLIPTokenizer,
        OneFormerConfig,
        OneFormerForUniversalSegmentation,
        OneFormerImageProcessor,
        OneFormerProcessor,
        SwinConfig,
    )

    torch.manual_seed(0)
    backbone = SwinConfig(
        image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=2, **STAGES,
    )  # fmt: skip
    labels: dict[str, Any] = {"num_labels": 150}
    config = OneFormerConfig(
        backbone_config=backbone, num_queries=6, hidden_dim=32, mask_dim=32, conv_dim=32, encoder_feedforward_dim=16,
        encoder_layers=1, decoder_layers=2, dim_feedforward=16, num_attention_heads=2, text_encoder_width=32,
        text_encoder_num_layers=1, text_encoder_vocab_size=700, is_training=False, **labels,
    )  # fmt: skip
    network = _talkative(OneFormerForUniversalSegmentation(config))
    folder = models_dir / "oneformer_ade20k_tiny"
    network.save_pretrained(folder)
    size: dict[str, Any] = {"size": {"shortest_edge": 64, "longest_edge": 128}}
    images = OneFormerImageProcessor(num_labels=150, **size)
    images.save_pretrained(folder)
    settings = folder / "preprocessor_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"class_info_file": "ade20k_panoptic.json"}))
    words = CLIPTokenizer.from_pretrained(HERE / "embedded" / "base" / "tokenizer")
    words.save_pretrained(folder)
    assert len(words) <= 700

    photo = photos["astronaut"]
    theirs = detect_with_task(network, OneFormerProcessor(images, words), photo, 128)
    made = OneFormerTiny(detect_resolution=128)
    found = made.detect(photo, Runtime())
    assert np.array_equal(found.classes, theirs)
    assert len(found.legend()) > 1
    with ON_META:
        made(photo, meta_runtime)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(WeightsError, match="vocabulary in .* cannot be read"):
        made.detect(photo, Runtime())


@pytest.mark.parametrize("kind", [SegmentationEmbedded])
def test_classes_have_names_and_shares(kind: type[SegmentationAnnotator], photos: dict[str, Image]) -> None:
    made = kind().detect(photos["astronaut"], Runtime())
    legend = made.legend()
    assert [entry.share for entry in legend] == sorted((entry.share for entry in legend), reverse=True)
    assert sum(entry.share for entry in legend) <= 1.001
    assert all(entry.name == ADE20K_CLASSES[entry.id] for entry in legend)
    again = Segments.from_json(made.to_json())
    assert np.array_equal(again.classes, made.classes)
    assert np.array_equal(again.draw(), kind()(photos["astronaut"]))


def test_what_is_no_segmentation_is_told() -> None:
    with pytest.raises(InputError, match="The segmentation is .* but it must have height, width and runs"):
        Segments.from_json({"people": []})
    with pytest.raises(InputError, match="do not fill 4x2 pixels"):
        Segments.from_json({"height": 2, "width": 4, "runs": [[3, 7]]})
    with pytest.raises(InputError, match="do not fill 4x2 pixels"):
        Segments.from_json({"height": 2, "width": 4, "runs": [[150, 8]]})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0.0, 1.0, 1e-12, 1e9])
@pytest.mark.parametrize(
    ("kind", "measure"),
    [(Midas, "predicted"), (DepthAnythingV2, "predicted"), (Zoe, "predicted"), (LeReS, "distance"),
     (DepthEmbedded, "nearness")],
)  # fmt: skip
def test_one_depth_everywhere_is_told(
    kind: type[DepthAnnotator], measure: str, value: float, monkeypatch: pytest.MonkeyPatch, photos: dict[str, Image]
) -> None:
    monkeypatch.setattr(kind, measure, lambda self, image, runtime: np.full(image.shape[:2], value, np.float32))
    assert make_map(kind(), photos["rocket"]).warnings == (KINDS["depth"].nothing,)


def test_zoe_sees_a_small_thing_before_a_wall(monkeypatch: pytest.MonkeyPatch, photos: dict[str, Image]) -> None:
    metres = np.full((160, 200), 5.0, np.float32)
    metres[:10, :10] = 1
    monkeypatch.setattr(Zoe, "predicted", lambda self, image, runtime: metres)
    made = make_map(Zoe(), photos["rocket"])
    assert made.warnings == ()
    assert (made.pixels[:10, :10] == 255).all()
    assert not made.pixels[10:].any()


def test_one_class_everywhere_is_told(monkeypatch: pytest.MonkeyPatch, photos: dict[str, Image]) -> None:
    monkeypatch.setattr(ADE20K, "detect", lambda self, image, runtime: Segments(np.full(image.shape[:2], 2, np.int16)))
    assert make_map(ADE20K(), photos["rocket"]).warnings == (KINDS["labels"].nothing,)
