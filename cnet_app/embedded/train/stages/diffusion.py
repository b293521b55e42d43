"""Training of the embedded base, and of ControlNets by the paper: base locked, copy of the encoder, half of the prompts empty.

The base is trained together with one ControlNet of all conditions, so that its decoder learns early to use control.
Afterwards the base is locked, and each condition's own ControlNet is trained on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers import ControlNetModel, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from cnet_app.diffusion.backbones.controls.unet import with_encoded_hint
from cnet_app.embedded.train.checkpoints import weights_key
from cnet_app.embedded.train.common import Training, half_where_fast, logger
from cnet_app.embedded.train.data.batches import Batch, draw_batch, having
from cnet_app.embedded.train.data.dataset import Dataset, batches
from cnet_app.embedded.train.data.latents import Latents
from cnet_app.embedded.train.networks import (
    attend_for_training,
    create_controlnet,
    create_scheduler,
    create_unet,
    open_zero_convolutions,
)
from cnet_app.embedded.train.plan import DiffusionPlan
from cnet_app.embedded.train.stages.grounding import grounding_loss, shape_words
from cnet_app.embedded.train.text import create_text_encoder, token_ids

NOISY, NOISY_SHARE = 800, 0.25
"""Timestep from which the input is nearly all noise, and the share of samples from there on.

Only there do the words decide which thing gets which colour.
"""
GROUNDING = 0.1
"""Factor of the grounding loss; the picture's loss has 1."""
BLOTCHES, BLOTCH_CELL = 0.3, 4
"""Largest deviation of the soft blotches that half of the noises carry, and latents between two of their nodes.

White noise hides no large shapes: a model trained on it alone takes its own early errors, blotches, for the picture.
"""
DRAWS = 2
"""Noises and timesteps for every picture of a batch; its hint, a fifth of the work, is encoded once for all of them."""
LOG_EVERY = 50
"""Steps."""


class Networks(nn.Module):
    """The base and a ControlNet, as one module to train, average and save."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.unet: UNet2DConditionModel = create_unet()
        self.text_encoder: CLIPTextModel = create_text_encoder(tokenizer)
        self.controlnet: ControlNetModel = create_controlnet(self.unet)

    @property
    def device(self) -> torch.device:
        """The device of all parts."""
        return self.unet.device

    def predict(self, noisy: Tensor, timesteps: Tensor, ids: Tensor, hints: Tensor, gate: Tensor | float) -> Tensor:
        """Return v of a batch; `gate` (B, 1, 1, 1) multiplies the control of each picture.

        B may be a multiple of the number of captions and hints: these are then encoded once and repeated.
        """
        turns = len(noisy) // len(ids)
        words = self.text_encoder(ids).last_hidden_state.repeat(turns, 1, 1)
        hint = self.controlnet.controlnet_cond_embedding(hints).repeat(turns, 1, 1, 1)
        controlnet = with_encoded_hint(self.controlnet, hint)
        down, middle = controlnet(noisy, timesteps, words, hint, return_dict=False)
        return self.unet(
            noisy,
            timesteps,
            words,
            down_block_additional_residuals=[residual * gate for residual in down],
            mid_block_additional_residual=middle * gate,
            return_dict=False,
        )[0]


def spread_timesteps(count: int) -> Tensor:
    """Return (count,) int64 in 0 … 999 in random order: NOISY_SHARE of them from NOISY on, the others spread evenly.

    Small timesteps need their share: where they are rare, smooth surfaces stay blotchy, however long the training.
    """
    place = (torch.randperm(count) + torch.rand(count)) / count
    even = 1 - NOISY_SHARE
    timesteps = torch.where(place < even, 1000 * place / even, NOISY + (1000 - NOISY) * (place - even) / NOISY_SHARE)
    return timesteps.long().clamp_(max=999)


def blotched_noise(latents: Tensor) -> Tensor:
    """Return unit noise for (B, C, h, w) latents, with blotches of a random deviation for half of the pictures."""
    count, channels, height, width = latents.shape
    deviation = BLOTCHES * torch.rand(count, 1, 1, 1) * (torch.rand(count, 1, 1, 1) < 0.5)
    nodes = torch.randn(count, channels, height // BLOTCH_CELL, width // BLOTCH_CELL)
    blotches = F.interpolate(nodes, (height, width), mode="bicubic", align_corners=False)
    return torch.randn_like(latents) + deviation * blotches


def diffusion_losses(
    networks: Networks, batch: Batch, tokenizer: CLIPTokenizer, scheduler: DDIMScheduler, no_control: float
) -> tuple[Tensor, Tensor]:
    """Return the squared error of v, mean over the batch, and the grounding loss of the attention to the words.

    Noise is drawn on the CPU, and moved to the networks' device with the batch.
    """
    device = networks.device
    ids = token_ids(tokenizer, batch.captions)
    latents = batch.latents.repeat(DRAWS, 1, 1, 1)
    count = len(latents)
    timesteps: Any = spread_timesteps(count)
    noise = blotched_noise(latents)
    noisy = scheduler.add_noise(latents, noise, timesteps).to(device)
    target = scheduler.get_velocity(latents, noise, timesteps).to(device)
    gate = (torch.rand(count, 1, 1, 1) >= no_control).float().to(device)
    with half_where_fast(device.type):
        output = networks.predict(noisy, timesteps.to(device), ids.to(device), batch.hints.to(device), gate)
    words = shape_words(tokenizer, ids).repeat(DRAWS, 1, 1).to(device)
    masks = batch.masks.repeat(DRAWS, 1, 1, 1).to(device)
    return F.mse_loss(output.float(), target), grounding_loss(networks, words, masks * gate)


def train_diffusion(
    networks: Networks,
    tokenizer: CLIPTokenizer,
    dataset: Dataset,
    latents: Latents,
    checkpoint: Path,
    plan: DiffusionPlan,
    device: torch.device,
    score: Callable[[Networks], dict[str, float]] | None = None,
) -> Networks:
    """Train by a plan, resuming from `checkpoint`; return the averaged weights. The log is written to its folder."""
    torch.manual_seed(plan.seed)
    _lock(networks, plan.locked)
    attend_for_training(networks, device)
    locked = weights_key(networks.unet, networks.text_encoder) if plan.locked else ""
    plan = replace(plan, data=dataset.key, device=device.type, base=locked)
    training = Training(networks, checkpoint, plan, device, decay=plan.decay)
    scheduler = create_scheduler()
    usable = having(dataset, plan.condition) if plan.condition else np.arange(len(dataset))
    order = batches(len(usable), plan.batch_size, plan.seed)
    for _ in range(training.done):
        next(order)
    log = logger(checkpoint.with_suffix(".jsonl"))
    losses: list[tuple[float, float]] = []
    for step in training.steps():
        rng = np.random.default_rng((plan.seed, step))
        indices = usable[next(order)]
        batch = draw_batch(dataset, latents, indices, rng, empty_captions=plan.empty_captions, condition=plan.condition)
        loss, grounding = diffusion_losses(networks, batch, tokenizer, scheduler, plan.no_control)
        training.learn(loss + GROUNDING * grounding)
        losses.append((loss.item(), grounding.item()))
        if score and plan.score_every and (step + 1) % plan.score_every == 0:
            log(step=step + 1, **score(cast(Networks, training.averaged.module)))
        if (step + 1) % LOG_EVERY == 0:
            samples = (step + 1) * plan.batch_size * DRAWS
            picture, attention = np.mean(losses[-LOG_EVERY:], axis=0)
            log(step=step + 1, samples=samples, loss=float(picture), grounding=float(attention))
    return cast(Networks, training.averaged.module)


def _lock(networks: Networks, locked: bool) -> None:
    networks.train().requires_grad_(True)
    networks.unet.requires_grad_(not locked)
    networks.text_encoder.requires_grad_(not locked)


def create_networks(tokenizer: CLIPTokenizer, seed: int = 0) -> Networks:
    """Return fresh weights for joint training, with a ControlNet that takes effect from the start."""
    torch.manual_seed(seed)
    networks = Networks(tokenizer)
    open_zero_convolutions(networks.controlnet)
    return networks


def fresh_controlnet(networks: Networks, seed: int) -> None:
    """Replace the ControlNet by the paper's start: a copy of the base's encoder, without effect by zero convolutions."""
    torch.manual_seed(seed)
    networks.controlnet = create_controlnet(networks.unet)
