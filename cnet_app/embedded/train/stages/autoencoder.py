"""The embedded model's autoencoder: AutoencoderTiny, factor 8, 16 channels that start as a packed thumbnail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn
from torch.nn import functional as F

from cnet_app.embedded.train.common import Training, half_where_fast, logger
from cnet_app.embedded.train.data.dataset import Dataset
from cnet_app.embedded.train.plan import AutoencoderPlan

LATENT_CHANNELS = 16
WIDTH = 32
GAIN = 4.0
"""Thumbnail values in [0, 1] times this have about unit variance."""
NOISE = 0.08
"""Noise on the latents while training, so that the decoder tolerates what denoising leaves."""
FAINT = 0.1
"""Differences between neighbours, of a range of 2: the loss is linear up to this one, logarithmic above."""
DEVIATIONS = (1.0,) * 12 + (0.5,) * 4
"""Usual deviation of each latent channel: 12 of the thumbnail, 4 of the detail."""


def create_autoencoder() -> AutoencoderTiny:
    """Return fresh weights. 12 of the latent channels start as the picture at a quarter of its size, 2 x 2 packed."""
    vae = AutoencoderTiny(
        encoder_block_out_channels=(WIDTH,) * 4,
        decoder_block_out_channels=(WIDTH,) * 4,
        num_encoder_blocks=(0, 1, 2, 2),
        num_decoder_blocks=(4, 3, 1, 0),
        latent_channels=LATENT_CHANNELS,
    )
    _start_as_thumbnail(vae.encoder.layers)
    return vae


@torch.no_grad()
def _start_as_thumbnail(encoder: nn.Sequential) -> None:
    """Let the encoder's channels 0 to 2 pass colour on: two averaging halvings, then a packing one."""
    convolutions = [layer for layer in encoder if isinstance(layer, nn.Conv2d)]
    first, *halvings, last = convolutions
    for channel in range(3):
        first.weight[channel] = 0
        first.weight[channel, channel, 1, 1] = 1
        cast(Tensor, first.bias)[channel] = 0
        for halving in halvings[:2]:
            halving.weight[channel] = 0
            halving.weight[channel, channel, 1:, 1:] = 0.25
        for corner in range(4):
            target = channel * 4 + corner
            halvings[2].weight[target] = 0
            halvings[2].weight[target, channel, 1 + corner // 2, 1 + corner % 2] = 1
    for block in encoder:
        if not isinstance(block, nn.Conv2d):
            out = cast(Any, block).conv[-1]
            out.weight *= 0.1
            out.weight[:12] = 0
            out.bias[:] = 0
    last.weight *= 0.3
    last.weight[:12] = 0
    cast(Tensor, last.bias)[:] = 0
    for channel in range(12):
        last.weight[channel, channel, 1, 1] = GAIN
        cast(Tensor, last.bias)[channel] = -GAIN / 2


def encode(vae: AutoencoderTiny, images: Tensor) -> Tensor:
    """Encode (B, 3, H, W) in [-1, 1] to latents (B, 16, H / 8, W / 8)."""
    return vae.encode(images, return_dict=False)[0]


def decode(vae: AutoencoderTiny, latents: Tensor) -> Tensor:
    """Decode latents to (B, 3, H, W), about [-1, 1]."""
    return vae.decode(latents, return_dict=False)[0]


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return the loss: absolute and squared error, error of strong and faint edges, error of colour without brightness."""
    error = output - target
    loss = error.abs().mean() + 2 * error.square().mean()
    for axis in (-1, -2):
        got, wanted = output.diff(dim=axis), target.diff(dim=axis)
        loss = loss + (got - wanted).abs().mean()
        loss = loss + 0.3 * (torch.asinh(got / FAINT) - torch.asinh(wanted / FAINT)).abs().mean()
    chroma = error - error.mean(dim=1, keepdim=True)
    return loss + chroma.abs().mean()


def train_autoencoder(
    datasets: list[Dataset],
    directory: Path,
    plan: AutoencoderPlan,
    device: torch.device,
    start_from: AutoencoderTiny | None = None,
) -> AutoencoderTiny:
    """Train on random crops of every data set in turn, resuming from STAGE.pt in `directory`; return the averaged weights.

    `start_from` gives the first weights, in place of fresh ones.
    """
    torch.manual_seed(plan.seed)
    vae = create_autoencoder()
    if start_from:
        vae.load_state_dict(start_from.state_dict())
    plan = replace(plan, data="+".join(dataset.key for dataset in datasets), device=device.type)
    part: Any = vae.decoder if plan.decoder_only else vae
    checkpoint = directory / f"{plan.stage}.pt"
    training = Training(vae, checkpoint, plan, device, decay=0.998, part=part, weight_decay=1e-4)
    log = logger(directory / "autoencoder.jsonl")
    for step in training.steps():
        rng = np.random.default_rng((plan.seed, step))
        images = random_crops(datasets[step % len(datasets)], rng, plan.batch_size, plan.crop).to(device)
        loss, output, latents = autoencoder_loss(vae, images)
        training.learn(loss)
        if step % 100 == 99:
            quality = psnr(output.detach().float(), images)
            log(step=step + 1, loss=loss.item(), psnr=quality, spread=latents.float().std().item())
    return cast(AutoencoderTiny, training.averaged.module)


def autoencoder_loss(vae: AutoencoderTiny, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss of pictures through noisy latents, the reconstruction and the latents. Noise is drawn on the CPU."""
    with half_where_fast(images.device.type):
        latents = encode(vae, images)
        noise = torch.randn_like(latents, device="cpu").to(images.device)
        output = decode(vae, latents + NOISE * noise)
    loss = reconstruction_loss(output.float(), images) + _usual_deviation(latents.float())
    return loss, output, latents


def _usual_deviation(latents: Tensor) -> Tensor:
    """Return the penalty on each channel's distance from mean 0 and its usual deviation."""
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    return 0.02 * (mean.square() + (deviation - latents.new_tensor(DEVIATIONS)).square()).mean()


def random_crops(dataset: Dataset, rng: np.random.Generator, count: int, side: int) -> Tensor:
    """Return random crops (count, 3, side, side) in [-1, 1], half of them mirrored."""
    size = dataset.images.shape[1]
    crops = []
    for index in rng.integers(0, len(dataset), count):
        y, x = rng.integers(0, size - side + 1, 2)
        crop = dataset.images[index, y : y + side, x : x + side]
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return to_tensor(np.stack(crops))


def to_tensor(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    """Convert (B, H, W, 3) uint8 to (B, 3, H, W) in [-1, 1]."""
    tensor = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2)
    return tensor.contiguous(memory_format=torch.channels_last).float().div_(127.5).sub_(1)


def psnr(output: Tensor, target: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB; both are in [-1, 1]."""
    return float(-10 * torch.log10(F.mse_loss(output.clamp(-1, 1), target) / 4))
