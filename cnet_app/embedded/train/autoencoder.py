"""The embedded model's autoencoder: AutoencoderTiny, 8 times smaller, 16 channels that start as a packed thumbnail."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn
from torch.nn import functional as F

from cnet_app.embedded.train.common import Training, half_where_fast, learning_rate, load_checkpoint, logger
from cnet_app.embedded.train.dataset import Dataset

LATENT_CHANNELS = 16
WIDTH = 32
GAIN = 4.0
"""Thumbnail values in [0, 1] times this have about unit variance."""
NOISE = 0.08
"""Noise on the latents while training: the decoder learns to forgive what denoising leaves over."""
FAINT = 0.1
"""Steps between neighbours up to this, of a range of 2, count fully; of larger ones the logarithm counts."""
DEVIATIONS = (1.0,) * 12 + (0.5,) * 4
"""Of the latent channels: the thumbnail's, and those of the detail, which shall be decided after it."""


def create_autoencoder() -> AutoencoderTiny:
    """Fresh weights. 12 of the latent channels begin as the picture at a quarter of its size, 2 x 2 packed."""
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
    """Encoder channels 0-2 carry colour through: two averaging halvings, then a packing one."""
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
    """(B, 3, H, W) in [-1, 1] to (B, 16, H / 8, W / 8) latents."""
    return vae.encode(images, return_dict=False)[0]


def decode(vae: AutoencoderTiny, latents: Tensor) -> Tensor:
    """Latents to (B, 3, H, W), about [-1, 1]."""
    return vae.decode(latents, return_dict=False)[0]


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """Absolute and squared error, the error of every edge, faint ones too, and of colour without brightness."""
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
    *,
    steps: int,
    deadline: float | None = None,
    batch_size: int = 16,
    crop: int = 128,
    peak_rate: float = 4e-3,
    seed: int = 0,
    decoder_only: bool = False,
) -> AutoencoderTiny:
    """Train on random crops of every data set in turn, resuming from `directory`; the averaged weights."""
    torch.manual_seed(seed)
    vae = create_autoencoder()
    nn.Module.to(vae, memory_format=torch.channels_last)
    if decoder_only and (whole := load_checkpoint(directory / "autoencoder.pt")):
        vae.load_state_dict(whole["averaged"])
    part: Any = vae.decoder if decoder_only else vae
    checkpoint = directory / ("decoder.pt" if decoder_only else "autoencoder.pt")
    training = Training(vae, checkpoint, decay=0.998, part=part, weight_decay=1e-4)
    log = logger(directory / "autoencoder.jsonl")
    for step in training.steps(steps, deadline):
        rng = np.random.default_rng((seed, step))
        images = random_crops(datasets[step % len(datasets)], rng, batch_size, crop)
        with half_where_fast("cpu"):
            latents = encode(vae, images)
            noisy = latents + NOISE * torch.randn_like(latents)
            output = decode(vae, noisy)
        loss = reconstruction_loss(output.float(), images) + _usual_deviation(latents.float())
        training.learn(loss, learning_rate(step, steps, peak_rate))
        if step % 100 == 99:
            psnr = -10 * torch.log10((output.detach().float() - images).square().mean() / 4)
            log(step=step + 1, loss=loss.item(), psnr=psnr.item(), spread=latents.float().std().item())
        if step % 500 == 499:
            training.save()
    training.save()
    return cast(AutoencoderTiny, training.averaged.module)


def _usual_deviation(latents: Tensor) -> Tensor:
    """Pull every channel towards mean 0 and its deviation, where the diffusion's noise is at home."""
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    return 0.02 * (mean.square() + (deviation - torch.tensor(DEVIATIONS)).square()).mean()


def random_crops(dataset: Dataset, rng: np.random.Generator, count: int, side: int) -> Tensor:
    """(count, 3, side, side) in [-1, 1], half of them mirrored."""
    size = dataset.images.shape[1]
    crops = []
    for index in rng.integers(0, len(dataset), count):
        y, x = rng.integers(0, size - side + 1, 2)
        crop = dataset.images[index, y : y + side, x : x + side]
        crops.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return to_tensor(np.stack(crops))


def to_tensor(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) in [-1, 1]."""
    tensor = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2)
    return tensor.contiguous(memory_format=torch.channels_last).float().div_(127.5).sub_(1)


def psnr(output: Tensor, target: Tensor) -> float:
    """Decibels, both in [-1, 1]."""
    return float(-10 * torch.log10(F.mse_loss(output.clamp(-1, 1), target) / 4))
