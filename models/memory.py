"""What fits: bytes of networks, free memory of a device, and the ladder of what may be given up to fit into it.

No rung changes the picture's size or seed: they cost time, the tiled autoencoder also a faint difference in tone.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import nn

VALUES_PER_PIXEL_DECODED, VALUES_PER_PIXEL_DENOISED = 1000, 400
"""Numbers alive at once, over the pixels of the picture. Measured on full-size Stable Diffusion 1.5: the autoencoder's
decoder at 256 to 768 px, the U-Net at 256 and 512 px with both sides of guidance."""
TILE, STEP = 512, 8
"""Pixels of a tile's side, whatever a config says; pixels to a latent."""
RESERVE = 300_000_000
"""Bytes that are never planned for: the device's own needs."""


@dataclass(frozen=True)
class Rung:
    """One step of the ladder."""

    id: str
    told: str
    """One sentence for the user; empty where nothing is given up."""
    tiles_vae: bool = True
    rests_on_cpu: bool = False
    """Networks wait in the computer's memory and come to the device one stage at a time: text, U-Net with ControlNets, autoencoder."""
    layer_by_layer: bool = False
    """U-Net and ControlNets come to the device a layer at a time."""


LADDER = (
    Rung("full", "", tiles_vae=False),
    Rung("tiled_vae", "Memory is short: the autoencoder works in tiles."),
    Rung("model_offload", "Memory is short: networks wait in the computer's memory, which takes longer.", rests_on_cpu=True),
    Rung(
        "sequential_offload",
        "Memory is very short: layers come to the device one by one, which takes much longer.",
        rests_on_cpu=True,
        layer_by_layer=True,
    ),
)  # fmt: skip


def next_rung(rung: Rung, device: torch.device) -> Rung | None:
    """The one below; None at the end. In the computer's own memory there is nowhere to offload to."""
    below = LADDER[LADDER.index(rung) + 1 :]
    return next((other for other in below if device.type != "cpu" or not other.rests_on_cpu), None)


def choose_rung(device: torch.device, free: int, weights: dict[str, int], pixels: int, value_bytes: int) -> Rung:
    """The first rung that fits into `free` bytes of the device; the last where none does.

    `weights` are bytes of "text", "denoiser" (U-Net and ControlNets) and "vae"; `pixels` those of the picture.
    """
    rung = LADDER[0]
    while needed_bytes(rung, weights, pixels, value_bytes) + RESERVE > free:
        below = next_rung(rung, device)
        if below is None:
            break
        rung = below
    return rung


def needed_bytes(rung: Rung, weights: dict[str, int], pixels: int, value_bytes: int) -> int:
    """Of the device, at the worst moment."""
    decoded = min(pixels, TILE**2) if rung.tiles_vae else pixels
    decoding = decoded * VALUES_PER_PIXEL_DECODED * value_bytes
    denoising = pixels * VALUES_PER_PIXEL_DENOISED * value_bytes
    if not rung.rests_on_cpu:
        return sum(weights.values()) + max(decoding, denoising)
    denoiser = 0 if rung.layer_by_layer else weights["denoiser"]
    return max(weights["text"], denoiser + denoising, weights["vae"] + decoding)


def set_tiling(vae: Any, on: bool) -> None:
    """Let the autoencoder work through tiles of TILE px from now on, or on whole pictures; a picture within TILE is never cut."""
    if on:
        vae.enable_tiling()
        vae.tile_sample_min_size, vae.tile_latent_min_size = TILE, TILE // STEP
    else:
        vae.disable_tiling()


def module_bytes(modules: Iterable[nn.Module]) -> int:
    """Of all tensors that the networks keep."""
    return sum(tensor.nbytes for module in modules for tensor in (*module.parameters(), *module.buffers()))


def free_bytes(device: torch.device) -> int:
    """What a device, or the computer, could still give."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def total_bytes(device: torch.device) -> int:
    """All that a device, or the computer, has."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return psutil.virtual_memory().total


def release(device: torch.device) -> None:
    """Gives back to the device what nothing holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def offload_layers(network: nn.Module, device: torch.device) -> None:
    """From now on every layer of the network comes to the device when it runs, and leaves it again.

    Its children are hooked one by one, not the network: shallow copies of a ControlNet must stay able to run.
    """
    from accelerate import cpu_offload

    for child in network.children():
        if any(True for _ in child.parameters()):
            cpu_offload(child, device)


@contextmanager
def on_device(rung: Rung, device: torch.device, modules: Iterable[Any]) -> Generator[None]:
    """Move the networks of one stage to the device while the block runs, on rungs where they rest in the computer's memory.

    Networks that come to the device layer by layer stay where they are.
    """
    moved = [module for module in modules if rung.rests_on_cpu and not hasattr(next(module.children()), "_hf_hook")]
    try:
        for module in moved:
            move(module, device)
        yield
    finally:
        for module in moved:
            move(module, torch.device("cpu"))


def move(module: nn.Module, device: torch.device) -> None:
    """Move a network to a device, in place."""
    nn.Module.to(module, device)  # diffusers' own `to` warns of what does not apply here
