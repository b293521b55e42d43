"""The control-fidelity score in the training log: it shows when control begins to work, which the loss does not."""

from __future__ import annotations

import numpy as np
from diffusers import AutoencoderTiny
from transformers import CLIPTokenizer

from annotators.canny import Canny
from cnet_app.diffusion.pipeline import generate
from cnet_app.embedded.train.export import as_base
from cnet_app.embedded.train.stages.diffusion import Networks
from cnet_app.embedded.world import create_scene
from cnet_app.fidelity.measures import edge_f1
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit

FIRST_SEED = 8_000_000
"""Seed of the first fixed scene; no training and no report uses them."""


class FidelityScore:
    """Canny edge F1 of pictures of a few fixed scenes, by the real pipeline and with the same noise every time."""

    def __init__(self, tokenizer: CLIPTokenizer, vae: AutoencoderTiny, size: int, count: int = 8) -> None:
        self._tokenizer, self._vae = tokenizer, vae
        scenes = [create_scene(FIRST_SEED + i, size) for i in range(count)]
        self._maps = [Canny()(scene.image) for scene in scenes]
        self._requests = [
            GenerationRequest(
                units=(ControlUnit(condition="canny", control_image=encode_png(control)),),
                prompt=scene.caption,
                base="embedded",
                width=size,
                height=size,
                seed=seed,
            )
            for seed, (scene, control) in enumerate(zip(scenes, self._maps, strict=True))
        ]

    def __call__(self, networks: Networks) -> dict[str, float]:
        """Return `edge_f1`, 0 to 1."""
        base = as_base(networks, self._tokenizer, self._vae)
        images = [generate(base, [networks.controlnet], request)[0] for request in self._requests]
        scores = [edge_f1(control, Canny()(image)) for control, image in zip(self._maps, images, strict=True)]
        return {"edge_f1": float(np.mean(scores))}
