"""Miniatures of every family: the real classes with random weights, small enough for tests.

The zero convolutions of a ControlNet are filled with visible values: fresh ones add nothing, and a test that compares two
ways of adding nothing proves nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import diffusers
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

from models.families import FAMILIES, MINIATURES
from models.family_facts import Family
from models.loader import Base, vae_scale_factor
from models.tiny.autoencoders import create_autoencoder
from models.tiny.words import create_text_encoder

SIZE, STEPS = 64, 4
"""Side of the square picture in px, and steps, that a miniature starts with."""


def tiny_base(family: Family, seed: int = 0, is_distilled: bool = True, **config: Any) -> Base:
    """A base of about 100,000 parameters on the CPU in float32; the same seed gives the same weights.

    `config` overrides keys of the network's config. `is_distilled` selects the defaults of a family that has two sets of them.
    """
    facts, miniature = FAMILIES[family], MINIATURES[family]
    # The caller's random state stays as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _filled(getattr(diffusers, facts.network_class)(**dict(miniature.network) | config))
        vae = create_autoencoder(facts)
        kinds = facts.text_encoder_classes[: facts.text_encoders]
        encoders, tokenizers = zip(
            *(create_text_encoder(kind, miniature.text_encoders.get(kind, {})) for kind in kinds), strict=True
        )
    flows = "flow" in facts.predictions
    settings = facts.undistilled if facts.undistilled and not is_distilled else facts.defaults
    guidance_scale = miniature.guidance_scale or settings.guidance_scale
    return Base(
        id=f"tiny_{family}",
        family=family,
        network=network.eval().requires_grad_(False),
        vae=vae,
        text_encoders=encoders,
        tokenizers=tokenizers,
        scheduler=(FlowMatchEulerDiscreteScheduler if flows else DDIMScheduler)(**miniature.scheduler),
        device=torch.device("cpu"),
        dtype=torch.float32,
        vae_scale_factor=vae_scale_factor(vae),
        defaults=replace(settings, size=SIZE, guidance_scale=guidance_scale, num_inference_steps=STEPS),
        is_distilled=is_distilled,
    )


def _filled(network: Any) -> Any:
    """Fill the tokens that stand for padding, which diffusers leaves as zeros."""
    for name, weight in network.named_parameters():
        if name.endswith("pad_token"):
            torch.nn.init.normal_(weight)
    return network
