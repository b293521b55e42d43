"""Batches of the diffusion trainings: latents, and a random condition for every picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cnet_app.embedded.train.data.dataset import MAPS, Dataset
from cnet_app.embedded.train.data.derived import DERIVED
from cnet_app.embedded.train.data.latents import Latents
from cnet_app.embedded.train.stages.grounding import shape_masks

SHARES = {
    "canny": 0.2,
    "scribble": 0.2,
    "softedge": 0.2,
    "depth": 0.14,
    "normal": 0.12,
    "segmentation": 0.12,
    "openpose": 0.4,
}
"""Relative frequency of each condition where a picture has several."""

FRAYED_SHARE = 0.3
"""Share of scribbles with gaps, as strokes by hand and from photos have them."""


@dataclass(frozen=True)
class Batch:
    """B pictures on the CPU."""

    latents: Tensor
    """(B, 16, h, w)."""
    hints: Tensor
    """(B, 3, 8 h, 8 w) in [0, 1], and -1 where a part is taken out."""
    masks: Tensor
    """(B, 5, 16, 16): the share of each place that has a thing of each shape."""
    captions: list[str]
    """Some are empty."""


def draw_batch(
    dataset: Dataset,
    latents: Latents,
    indices: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    empty_captions: float,
    condition: str | None = None,
) -> Batch:
    """Return the pictures of these indices, each with one of its conditions (or the given one), some captions emptied."""
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
    """Return an (H, W, 3) scribble without up to a third of its ink, in gaps some pixels long."""
    height, width = strokes.shape[:2]
    coarse = rng.random((height // 4, width // 4)).astype(np.float32)
    level = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(level[..., None] > rng.uniform(0.1, 0.4), strokes, np.uint8(0))


def having(dataset: Dataset, condition: str) -> NDArray[np.int64]:
    """Return the indices of the pictures that have a map of a condition; a map derived from the picture is always there."""
    if condition in DERIVED:
        return np.arange(len(dataset))
    return np.flatnonzero(dataset.present[:, MAPS.index(condition)])


def _draw_condition(present: NDArray[np.bool_], rng: np.random.Generator) -> str:
    names = [name for name, there in zip(MAPS, present, strict=True) if there]
    shares = np.array([SHARES[name] for name in names])
    return str(rng.choice(names, p=shares / shares.sum()))
