"""Small data for the trainings' tests: random pictures and maps, and a model plan of a few steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnet_app.embedded.train.data.dataset import GREY, MAPS, Dataset
from cnet_app.embedded.train.model_plan import ModelPlan, Pictures
from cnet_app.embedded.train.plan import AutoencoderPlan, DiffusionPlan, StagePlan

SIDE = 64
NARROW = (16, 16, 32, 32)
"""Channels of the U-Net and its ControlNet where their size does not matter."""
CAPTIONS = ["a shaded picture of a red ball and a blue cone", "a flat picture of a blue cone"] * 4
BASE = DiffusionPlan(stage="base", steps=2, batch_size=2, peak_rate=1e-3, locked=False)
CONTROLNET = DiffusionPlan(stage="controlnets", steps=1, batch_size=1, peak_rate=1e-3)
TINY_PLAN = ModelPlan(
    small=Pictures(size=64, count=8, first_seed=2_000_000),
    full=Pictures(size=128, count=16, first_seed=1_000_000),
    autoencoder=AutoencoderPlan(stage="autoencoder", steps=3, batch_size=2, peak_rate=4e-3, crop=32),
    decoder=AutoencoderPlan(stage="decoder", steps=2, batch_size=2, peak_rate=2e-3, crop=32, decoder_only=True),
    small_base=BASE,
    full_base=BASE,
    controlnet=CONTROLNET,
    controlnet_steps={},
    from_zero=CONTROLNET,
    annotator=StagePlan(stage="annotator", steps=2, batch_size=2, peak_rate=3e-3),
    colour_steps=2,
)


def random_dataset() -> Dataset:
    """Return eight random pictures with all maps."""
    rng = np.random.default_rng(0)
    maps = {name: rng.integers(0, 256, (8, SIDE, SIDE, 1 if name in GREY else 3), np.uint8) for name in MAPS}
    images = rng.integers(0, 256, (8, SIDE, SIDE, 3), np.uint8)
    return Dataset(images, maps, np.ones((8, len(MAPS)), bool), CAPTIONS)


def random_latents() -> NDArray[np.float16]:
    """Return latents for these pictures."""
    return np.random.default_rng(1).normal(size=(8, 16, SIDE // 8, SIDE // 8)).astype(np.float16)
