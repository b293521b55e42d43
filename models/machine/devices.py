"""The device that networks run on, its number format, and the base model to start with on it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from models.catalogue.catalog import entry
from models.catalogue.weights import find
from models.environment import is_offline
from models.errors import InputError
from models.machine.speed import half_precision
from models.names import DEVICE

SHIPPED_BASE, GPU_BASE = "embedded", "sd15"
"""Catalogue ids of the base for a CPU and for a GPU."""


@dataclass(frozen=True)
class BaseChoice:
    """The base model to start with."""

    id: str
    reason: str
    """A clause: 'there is no GPU that torch can use'."""
    offer: str | None = None
    """A better base that could be downloaded, as a sentence; None where there is none."""


def parse_device(text: str = "auto") -> torch.device:
    """Return the device of a name: auto (the fastest there is), cpu, mps, cuda or cuda:1.

    Raises InputError for another name, and for a device that this machine does not have.
    """
    kinds = _kinds()
    found = DEVICE.fullmatch(kinds[-1] if text == "auto" else text)
    kind, number = (found[1], found[2]) if found else ("", None)
    if kind not in kinds or int(number or 0) >= _count(kind, at_least=0 if number else 1):
        known = (f"{kind}:{n}" if _count(kind) > 1 else kind for kind in kinds for n in range(_count(kind)))
        raise InputError(f"The device is {text[:60]!r}, but this machine has: {', '.join(['auto', *known])}.")
    return torch.device(kind, int(number)) if number and kind == "cuda" else torch.device(kind)


def choose_device(device: str = "auto", speed: str = "near") -> tuple[torch.device, torch.dtype]:
    """Return `parse_device(device)` and the number format that it is fastest in: float32 at speed "exact"."""
    chosen = parse_device(device)
    half = None if speed == "exact" else half_precision(chosen)
    return chosen, half or torch.float32


def default_base(device: torch.device) -> BaseChoice:
    """Return the base model to start with on a device, always one that is on this disk."""
    if device.type == "cpu":
        slow = len(_kinds()) > 1
        return BaseChoice(SHIPPED_BASE, "the device is the CPU" if slow else "there is no GPU that torch can use")
    row = entry(GPU_BASE)
    if find(GPU_BASE):
        return BaseChoice(GPU_BASE, f"there is a GPU and {row.title} is on this disk")
    offer = None if is_offline() else f"{row.title} ({row.size_words}) can be downloaded."
    why = f"there is a GPU, but {row.title} is not on this disk{' and the app is offline' if is_offline() else ''}"
    return BaseChoice(SHIPPED_BASE, why, offer)


def _kinds() -> list[str]:
    """Return the kinds of device on this machine, the fastest last."""
    has_mps, has_cuda = torch.backends.mps.is_available(), torch.cuda.is_available()
    return ["cpu", *(["mps"] if has_mps else []), *(["cuda"] if has_cuda else [])]


def _count(kind: str, at_least: int = 1) -> int:
    """Return how many devices of a kind there are; `at_least` where CUDA does not count them."""
    return max(torch.cuda.device_count(), at_least) if kind == "cuda" else 1
