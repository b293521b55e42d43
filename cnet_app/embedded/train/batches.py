"""Batches for the diffusion trainings: latents made once, a random condition for every picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from torch import Tensor

from cnet_app.embedded.train.autoencoder import LATENT_CHANNELS, encode, to_tensor
from cnet_app.embedded.train.common import half_where_fast
from cnet_app.embedded.train.dataset import MAPS, Dataset
from cnet_app.embedded.train.derived import DERIVED
from cnet_app.embedded.train.grounding import shape_masks

SHARES = {
    "canny": 0.2,
    "scribble": 0.2,
    "softedge": 0.2,
    "depth": 0.14,
    "normal": 0.12,
    "segmentation": 0.12,
    "openpose": 0.4,
}
"""How often each condition is drawn where a picture has several."""

FRAYED_SHARE = 0.3
"""Of the scribbles: a hand's strokes, and those of a photo, have gaps that drawings' clean outlines lack."""


@dataclass(frozen=True)
class Batch:
    """B pictures: latents (B, 16, h, w), hints (B, 3, 8h, 8w) in [0, 1], -1 where a part is taken out, shape masks (B, 5, 16, 16), captions, some empty."""

    latents: Tensor
    hints: Tensor
    masks: Tensor
    captions: list[str]


@torch.inference_mode()
def encode_dataset(vae: AutoencoderTiny, dataset: Dataset, path: Path, batch_size: int = 32) -> NDArray[np.float16]:
    """All latents of a data set, (N, 16, h, w), from `path` or computed and kept there."""
    if path.exists():
        return np.load(path, mmap_mode="r")
    side = dataset.images.shape[1] // 8
    latents = np.empty((len(dataset), LATENT_CHANNELS, side, side), np.float16)
    for start in range(0, len(dataset), batch_size):
        images = to_tensor(dataset.images[start : start + batch_size])
        with half_where_fast(images.device.type):
            latents[start : start + batch_size] = encode(vae, images).float().numpy()
    np.save(path, latents)
    return latents


def draw_batch(
    dataset: Dataset,
    latents: NDArray[np.float16],
    indices: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    empty_captions: float,
    condition: str | None = None,
) -> Batch:
    """Pictures by index, each with one of its conditions (or the given one), some captions emptied."""
    hints: list[NDArray[np.float32]] = []
    derive = DERIVED.get(condition or "")
    for index in indices:
        if derive:
            hints.append(derive(dataset.images[index], rng))
            continue
        name = condition or _draw_condition(dataset.present[index], rng)
        pixels = dataset.control_image(name, int(index))
        pixels = frayed(pixels, rng) if name == "scribble" and rng.random() < FRAYED_SHARE else pixels
        hints.append(pixels.astype(np.float32) / np.float32(255))
    hint = torch.from_numpy(np.stack(hints)).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    captions = ["" if rng.random() < empty_captions else dataset.captions[i] for i in indices]
    return Batch(
        torch.from_numpy(latents[indices].astype(np.float32)).contiguous(memory_format=torch.channels_last),
        hint,
        shape_masks(dataset.maps["segmentation"][indices, ::4, ::4]),
        captions,
    )


def frayed(strokes: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """An (H, W, 3) scribble that lost up to a third of its ink in gaps some pixels long."""
    height, width = strokes.shape[:2]
    coarse = rng.random((height // 4, width // 4)).astype(np.float32)
    level = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(level[..., None] > rng.uniform(0.1, 0.4), strokes, np.uint8(0))


def having(dataset: Dataset, condition: str) -> NDArray[np.int64]:
    """Indices of the pictures that have a condition's map; what needs the picture alone has every one."""
    if condition in DERIVED:
        return np.arange(len(dataset))
    return np.flatnonzero(dataset.present[:, MAPS.index(condition)])


def _draw_condition(present: NDArray[np.bool_], rng: np.random.Generator) -> str:
    names = [name for name, there in zip(MAPS, present, strict=True) if there]
    shares = np.array([SHARES[name] for name in names])
    return str(rng.choice(names, p=shares / shares.sum()))
