"""Training the embedded base, and ControlNets by the paper's recipe: base locked, copy of the encoder, half of the prompts empty.

The base is trained with one ControlNet of all conditions beside it, so that its decoder learns early to be steered.
Afterwards the base is locked, and every condition's own ControlNet is trained against it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import ControlNetModel, DDIMScheduler, UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel, CLIPTokenizer

from cnet_app.diffusion.control import with_encoded_hint
from cnet_app.embedded.train.batches import Batch, draw_batch, having
from cnet_app.embedded.train.common import Training, half_where_fast, learning_rate, logger
from cnet_app.embedded.train.dataset import Dataset, batches
from cnet_app.embedded.train.grounding import grounding_loss, shape_words
from cnet_app.embedded.train.networks import create_controlnet, create_scheduler, create_unet, open_zero_convolutions
from cnet_app.embedded.train.text import create_text_encoder, token_ids

NOISY, NOISY_SHARE = 800, 0.25
"""From this timestep on nearly nothing but noise is seen: there alone the words decide which thing gets which colour."""
GROUNDING = 0.1
"""Weight of the grounding loss beside the picture's."""
BLOTCHES, BLOTCH_CELL = 0.3, 4
"""Half of the noises carry soft blotches too, up to this strength and a node every so many latents.

White noise hides no large shapes: a model that saw nothing else takes its own early errors, blotches, for the picture.
"""
DRAWS = 2
"""Noises and timesteps for every picture of a batch: its hint, a fifth of the work, is encoded once for all of them."""


class Networks(nn.Module):
    """The base and the ControlNet beside it, as one module to train, average and save."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.unet: UNet2DConditionModel = create_unet()
        self.text_encoder: CLIPTextModel = create_text_encoder(tokenizer)
        self.controlnet: ControlNetModel = create_controlnet(self.unet)

    def predict(self, noisy: Tensor, timesteps: Tensor, ids: Tensor, hints: Tensor, gate: Tensor | float) -> Tensor:
        """v of a batch; `gate` (B, 1, 1, 1) multiplies the control of each picture.

        B may be a multiple of the number of captions and hints: these are then encoded once and used in turn.
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


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one diffusion training goes. Rates, shares and sizes; steps end it, or the deadline does."""

    steps: int
    batch_size: int
    peak_rate: float
    empty_captions: float = 0.5
    """The paper's half, for locked ControlNets; the base itself empties a quarter."""
    no_control: float = 0.0
    """Share of pictures trained without control, so that the base can stand alone."""
    locked: bool = True
    condition: str | None = None
    seed: int = 0
    decay: float = 0.999
    deadline: float | None = None
    score_every: int = 0
    save_every: int = 200


def spread_timesteps(count: int) -> Tensor:
    """(count,) int64 in 0 … 999, spread evenly but for NOISY_SHARE of them, which lie from NOISY on; in random order.

    The little noises need their share: where they are rare, smooth surfaces stay blotchy, however long the training.
    """
    place = (torch.randperm(count) + torch.rand(count)) / count
    even = 1 - NOISY_SHARE
    timesteps = torch.where(place < even, 1000 * place / even, NOISY + (1000 - NOISY) * (place - even) / NOISY_SHARE)
    return timesteps.long().clamp_(max=999)


def blotched_noise(latents: Tensor) -> Tensor:
    """Unit noise for (B, C, h, w) latents, under half of the pictures' blotches of random strength."""
    count, channels, height, width = latents.shape
    strength = BLOTCHES * torch.rand(count, 1, 1, 1) * (torch.rand(count, 1, 1, 1) < 0.5)
    nodes = torch.randn(count, channels, height // BLOTCH_CELL, width // BLOTCH_CELL)
    blotches = F.interpolate(nodes, (height, width), mode="bicubic", align_corners=False)
    return torch.randn_like(latents) + strength * blotches


def diffusion_losses(
    networks: Networks, batch: Batch, tokenizer: CLIPTokenizer, scheduler: DDIMScheduler, no_control: float
) -> tuple[Tensor, Tensor]:
    """Squared error of v, mean over the batch, and the grounding loss of where it looked at the words."""
    ids = token_ids(tokenizer, batch.captions)
    latents = batch.latents.repeat(DRAWS, 1, 1, 1)
    count = len(latents)
    timesteps: Any = spread_timesteps(count)
    noise = blotched_noise(latents)
    noisy = scheduler.add_noise(latents, noise, timesteps)
    target = scheduler.get_velocity(latents, noise, timesteps)
    gate = (torch.rand(count, 1, 1, 1) >= no_control).float()
    with half_where_fast(noisy.device.type):
        output = networks.predict(noisy, timesteps, ids, batch.hints, gate)
    words, masks = shape_words(tokenizer, ids).repeat(DRAWS, 1, 1), batch.masks.repeat(DRAWS, 1, 1, 1)
    return F.mse_loss(output.float(), target), grounding_loss(networks, words, masks * gate)


def train_diffusion(
    networks: Networks,
    tokenizer: CLIPTokenizer,
    dataset: Dataset,
    latents: NDArray[np.float16],
    checkpoint: Path,
    plan: Plan,
    score: Callable[[Networks], dict[str, float]] | None = None,
) -> Networks:
    """Train by a plan, resuming from `checkpoint`; the averaged weights. Logs beside the checkpoint."""
    torch.manual_seed(plan.seed)
    _lock(networks, plan.locked)
    training = Training(networks, checkpoint, decay=plan.decay)
    scheduler = create_scheduler()
    usable = having(dataset, plan.condition) if plan.condition else np.arange(len(dataset))
    order = batches(len(usable), plan.batch_size, plan.seed)
    for _ in range(training.done):
        next(order)
    log = logger(checkpoint.with_suffix(".jsonl"))
    losses: list[tuple[float, float]] = []
    for step in training.steps(plan.steps, plan.deadline):
        rng = np.random.default_rng((plan.seed, step))
        batch = draw_batch(
            dataset,
            latents,
            usable[next(order)],
            rng,
            empty_captions=plan.empty_captions,
            condition=plan.condition,
        )
        loss, astray = diffusion_losses(networks, batch, tokenizer, scheduler, plan.no_control)
        training.learn(loss + GROUNDING * astray, learning_rate(step, plan.steps, plan.peak_rate))
        losses.append((loss.item(), astray.item()))
        if score and plan.score_every and (step + 1) % plan.score_every == 0:
            log(step=step + 1, **score(training.averaged.module))  # type: ignore[arg-type]
        if (step + 1) % 50 == 0:
            samples = (step + 1) * plan.batch_size * DRAWS
            picture, grounding = np.mean(losses[-50:], axis=0)
            log(step=step + 1, samples=samples, loss=float(picture), grounding=float(grounding))
        if (step + 1) % plan.save_every == 0:
            training.save()
    training.save()
    return training.averaged.module  # type: ignore[return-value]


def _lock(networks: Networks, locked: bool) -> None:
    networks.train().requires_grad_(True)
    networks.unet.requires_grad_(not locked)
    networks.text_encoder.requires_grad_(not locked)


def create_networks(tokenizer: CLIPTokenizer, seed: int = 0) -> Networks:
    """Fresh weights for joint training: the ControlNet is joined from the start."""
    torch.manual_seed(seed)
    networks = Networks(tokenizer)
    open_zero_convolutions(networks.controlnet)
    return networks


def fresh_controlnet(networks: Networks, seed: int) -> None:
    """Replace the ControlNet by the paper's start: a copy of the base's encoder, silent through zero convolutions."""
    torch.manual_seed(seed)
    networks.controlnet = create_controlnet(networks.unet)
