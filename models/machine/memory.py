"""Memory of networks and devices, and the moves between them that the rungs of the ladder ask for."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch
from torch import nn

from models.machine.ladder import RESERVE, STEP, TILE, Rung

CPU = torch.device("cpu")


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
    """Return the bytes of all parameters and buffers, each storage once."""
    return sum(storage_bytes(modules).values())


def storage_bytes(modules: Iterable[nn.Module]) -> dict[Hashable, int]:
    """Return the bytes of the storages of all parameters and buffers, by a key that no other storage in memory has."""
    tensors = (tensor for module in modules for tensor in (*module.parameters(), *module.buffers()))
    storages = (held.untyped_storage() for tensor in tensors for held in _held(tensor))
    return {storage._cdata: storage.nbytes() for storage in storages}  # noqa: SLF001 - it has no public identity on "meta"


def _held(tensor: Any) -> Iterator[Any]:
    """Yield what holds the numbers of a tensor; a quantised one presents itself in its wide format, and holds its parts."""
    flatten: Any = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None:
        yield tensor
    else:
        for name in flatten()[0]:
            yield from _held(getattr(tensor, name))


def free_bytes(device: torch.device) -> int:
    """Return the free bytes of a device, or of the computer for a CPU. What torch has reserved and uses no more is free."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
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
    moved = _movable(modules) if rung.rests_on_cpu else []
    try:
        for module in moved:
            move(module, device)
        yield
    finally:
        for module in moved:
            move(module, CPU)


@contextmanager
def on_demand(
    rests: bool, device: torch.device, groups: Iterable[Iterable[Any]], others: Iterable[Any] = ()
) -> Generator[Callable[[Any], None]]:
    """Yield a function that moves a network to the device when it is first needed, and all of its group; none after the block.

    Nothing moves unless they rest in the computer's memory. `others` are on the device, and leave it for the rest of the
    block where a group does not fit beside them.
    """
    waiting = [_movable(group) for group in groups] if rests else []
    moved, gone = list[Any](), list[Any]()

    def bring(network: Any) -> None:
        for group in [group for group in waiting if any(network is module for module in group)]:
            waiting.remove(group)
            if others and module_bytes(group) + RESERVE > free_bytes(device):
                gone.extend(_movable(others))
                for module in gone:
                    move(module, CPU)
                release(device)
            for module in group:
                moved.append(module)
                move(module, device)

    try:
        yield bring
    finally:
        for module in moved:
            move(module, CPU)
        for module in gone:
            move(module, device)


def _movable(modules: Iterable[Any]) -> list[Any]:
    """Each network once, without those that come layer by layer or have no weights."""
    distinct = {id(module): module for module in modules}.values()
    return [one for one in distinct if (first := next(one.children(), None)) and not hasattr(first, "_hf_hook")]


def move(module: nn.Module, device: torch.device) -> None:
    """Move a network to a device, in place."""
    nn.Module.to(module, device)  # diffusers' own `to` warns of what does not apply here
