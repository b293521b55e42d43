"""Memory of networks and devices, and the ladder of ways to run in less of it.

No rung changes the picture's size or seed. They cost time, the tiled autoencoder also a faint difference in tone.
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
"""Numbers in memory at once, over the pixels of the picture. Measured on full-size Stable Diffusion 1.5: the autoencoder's
decoder at 256 to 768 px, the U-Net at 256 and 512 px with both sides of guidance."""
TILE, STEP = 512, 8
"""Side of a tile in px, instead of the config's; pixels to a latent."""
RESERVE = 300_000_000
"""Bytes left to the device itself."""


@dataclass(frozen=True)
class Rung:
    """One step of the ladder."""

    id: str
    message: str
    """A sentence for the user; empty where nothing is given up."""
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
    """Return the rung below; None at the end. On a CPU there is no rung that offloads to the computer's memory."""
    below = LADDER[LADDER.index(rung) + 1 :]
    return next((other for other in below if device.type != "cpu" or not other.rests_on_cpu), None)


def choose_rung(device: torch.device, free: int, weights: dict[str, int], pixels: int, value_bytes: int) -> Rung:
    """Return the first rung that fits into `free` bytes of the device; the last where none does.

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
    """Return the most bytes of the device that are in use at once."""
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
        if hasattr(vae, "tile_sample_min_height"):  # one of films
            vae.tile_sample_min_height = vae.tile_sample_min_width = TILE
            vae.tile_sample_stride_height = vae.tile_sample_stride_width = 3 * TILE // 4
    else:
        vae.disable_tiling()


def module_bytes(modules: Iterable[nn.Module]) -> int:
    """Return the bytes of all parameters and buffers."""
    return sum(tensor.nbytes for module in modules for tensor in (*module.parameters(), *module.buffers()))


def free_bytes(device: torch.device) -> int:
    """Return the free bytes of a device, or of the computer for a CPU."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def total_bytes(device: torch.device) -> int:
    """Return all bytes of a device, or of the computer for a CPU."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return psutil.virtual_memory().total


def used_bytes(device: torch.device) -> int:
    """Return the bytes of a GPU that tensors take now; elsewhere those of this process."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return psutil.Process().memory_info().rss


def release(device: torch.device) -> None:
    """Return unused memory to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def offload_layers(network: nn.Module, device: torch.device) -> None:
    """Move every layer of the network to the device only while it runs, from now on.

    Its children are hooked one by one, not the network: shallow copies of a ControlNet must stay able to run. Tensors of
    its own, outside of any child, are small and stay on the device.
    """
    from accelerate import cpu_offload

    for tensor in network.parameters(recurse=False):
        tensor.data = tensor.data.to(device)
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
