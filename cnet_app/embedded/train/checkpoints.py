"""Checkpoints: whole or not at all on disk, and weights identified by content."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from models.downloads.disk import disk_reason
from models.downloads.whole import unfinished
from models.errors import DamagedError, SaveError


def save_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file, then put it in the place of `path` in one step; raise SaveError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(path) as part:
            write(part)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors have errors of their own
        raise SaveError(
            f"{path} could not be written ({disk_reason(error)}); make room or choose another --work folder."
        ) from error


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors and plain values: a reader gets the old file or the whole new one."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # given a path, torch raises an error without the reason
            torch.save(state, file)

    save_whole(path, write)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Return a saved state, on the CPU; None where there is no file. Raises DamagedError."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise DamagedError(
            f"{path} is damaged ({type(error).__name__}); delete it to train that stage from its start."
        ) from error
    return state


def weights_key(*networks: nn.Module) -> str:
    """Return a short hash of the networks' names and values."""
    digest = hashlib.sha256()
    for network in networks:
        for name, value in network.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
