"""Training of the embedded annotators' network on the exact geometry of scenes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from annotators.base import Image
from annotators.maps.encoders import ADE20K_PALETTE
from annotators.networks.scene_net import HEAT_SIGMA, HEAT_STRIDE, SceneMaps, SceneNet, segment_targets
from annotators.people.sticks import POSE_COLOURS
from cnet_app.embedded.train.common import Training, half_where_fast, logger
from cnet_app.embedded.train.data.batches import having
from cnet_app.embedded.train.data.dataset import Dataset, batches
from cnet_app.embedded.train.plan import StagePlan
from cnet_app.embedded.train.stages.autoencoder import to_tensor
from cnet_app.embedded.world import clouded

CLOUDS = 20
"""Grey levels of the blotches on half of the pictures."""


def train_scene_net(
    dataset: Dataset,
    checkpoint: Path,
    plan: StagePlan,
    device: torch.device,
    start_from: SceneNet | None = None,
) -> SceneNet:
    """Train on the pictures that have geometry, resuming from `checkpoint`; return the averaged weights.

    `start_from` gives the first weights, in place of fresh ones.
    """
    torch.manual_seed(plan.seed)
    network = SceneNet()
    if start_from:
        network.load_state_dict(start_from.state_dict())
    plan = replace(plan, data=dataset.key, device=device.type)
    training = Training(network, checkpoint, plan, device, decay=0.998)
    usable = having(dataset, "depth")
    order = batches(len(usable), plan.batch_size, plan.seed)
    for _ in range(training.done):
        next(order)
    log = logger(checkpoint.with_suffix(".jsonl"))
    for step in training.steps():
        images, targets = scene_batch(dataset, usable[next(order)], np.random.default_rng((plan.seed, step)))
        with half_where_fast(device.type):
            maps = network(images.to(device))
        targets = {name: target.to(device) for name, target in targets.items()}
        losses = map_losses(SceneMaps(*(m.float() for m in maps)), targets)
        training.learn(cast(Tensor, sum(losses.values())))
        if step % 50 == 49:
            log(step=step + 1, **{name: loss.item() for name, loss in losses.items()})
    return cast(SceneNet, training.averaged.module)


def map_losses(maps: SceneMaps, targets: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return one term per map, weighted so that none dominates."""
    surface = targets["surface"]
    cosine = (maps.normal * targets["normal"]).sum(1, keepdim=True)
    heat = targets["pose"]
    pose = F.binary_cross_entropy_with_logits(maps.pose, heat, reduction="none")
    return {
        "depth": 4 * F.l1_loss(maps.depth, targets["depth"]),
        "normal": ((1 - cosine) * surface).sum() / surface.sum().clamp(min=1),
        "segmentation": F.cross_entropy(maps.segmentation, targets["segmentation"]),
        "pose": 40 * (pose * (0.1 + 2 * heat)).mean(),
        "softedge": F.binary_cross_entropy_with_logits(maps.softedge, targets["softedge"]),
    }


def scene_batch(
    dataset: Dataset, indices: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return pictures (B, 3, S, S) in [0, 1], brighter or darker and half of them with blotches, and their maps by name."""
    pictures = [clouded(image, rng, CLOUDS) if rng.random() < 0.5 else image for image in dataset.images[indices]]
    images = (to_tensor(np.stack(pictures)) + 1) / 2
    gain = torch.from_numpy(rng.uniform(0.8, 1.2, (len(indices), 3, 1, 1)).astype(np.float32))
    maps = {name: np.asarray(pixels[indices]) for name, pixels in dataset.maps.items()}
    normal = decode_normal(maps["normal"])
    targets = {
        "depth": _channels_first(maps["depth"]) / 255,
        "normal": normal,
        "surface": torch.from_numpy(surface_mask(maps["segmentation"])).unsqueeze(1),
        "segmentation": torch.from_numpy(segment_targets(classes_of(maps["segmentation"]))),
        "pose": torch.from_numpy(np.stack([joint_heat(pixels) for pixels in maps["openpose"]])),
        "softedge": _channels_first(maps["softedge"]) / 255,
    }
    return (images * gain).clamp(0, 1), targets


def _channels_first(pixels: Image) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float()


def decode_normal(pixels: Image) -> Tensor:
    """Convert normal maps (B, H, W, 3) back to unit vectors (B, 3, H, W): x right, y up, z to the viewer."""
    vectors = _channels_first(pixels) / 127.5 - 1
    vectors[:, 0] *= -1
    return F.normalize(vectors, dim=1)


def classes_of(segmentation: Image) -> NDArray[np.uint8]:
    """Convert ADE20K colours (..., 3) back to class indices."""
    codes = segmentation.astype(np.int32) @ np.array([65536, 256, 1])
    palette = ADE20K_PALETTE.astype(np.int32) @ np.array([65536, 256, 1])
    order = np.argsort(palette)
    return order[np.searchsorted(palette, codes, sorter=order).clip(max=149)].astype(np.uint8)


def surface_mask(segmentation: Image) -> NDArray[np.float32]:
    """Return 1 where there is a surface, 0 in the sky."""
    return (classes_of(segmentation) != 2).astype(np.float32)


def joint_heat(pose_map: Image) -> NDArray[np.float32]:
    """Convert a drawn skeleton (H, W, 3) back to heat maps (18, H / 4, W / 4).

    Only joints are drawn in full colour.
    """
    height, width = (side // HEAT_STRIDE for side in pose_map.shape[:2])
    heat = np.zeros((len(POSE_COLOURS), height, width), np.float32)
    if not pose_map.any():
        return heat
    for joint, colour in enumerate(POSE_COLOURS):
        dots = (np.abs(pose_map.astype(np.int16) - np.array(colour)).max(axis=2) < 8).astype(np.float32)
        if dots.any():
            bell = cv2.GaussianBlur(dots, (0, 0), HEAT_SIGMA * HEAT_STRIDE)
            heat[joint] = cv2.resize(bell, (width, height), interpolation=cv2.INTER_AREA) / bell.max()
    return heat.clip(0, 1)
