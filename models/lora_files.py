"""Read LoRA files: low-rank updates by layer, in the layouts of kohya, diffusers (older and newer) and peft."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.checkpoints import open_tensors
from models.errors import InputError

MAX_FILES = 8
"""Files that the cache holds."""
PART = re.compile(r"(.+?)(?:\.lora_|[._]lora\.|\.lora_linear_layer\.)(down|up|A|B)(?:\.\w+)?\.weight")
"""Layer and part in the name of a tensor."""
RELATED = ("lora", "hada_", "lokr_", "oft_")
"""In names of tensors that change a base's layers, whether this app can apply them or not."""
SETTINGS = "lora_adapter_metadata"
"""Metadata in which diffusers writes peft's settings."""
WORDS = re.compile(r"attn2[._].*to_[kv]$")
"""Layers whose input is the prompt's words."""


@dataclass(frozen=True, eq=False)
class Update:
    """The update of one layer's weights: scale x up @ down."""

    down: Tensor
    """(rank, channels in), with the kernel where the layer is a convolution."""
    up: Tensor
    """(channels out, rank), or (channels out, rank, 1, 1)."""
    scale: float

    @property
    def rank(self) -> int:
        return len(self.down)


@dataclass(frozen=True, eq=False)
class LoraFile:
    """The content of a file."""

    name: str
    version: tuple[Any, ...]
    """Path, time of change and size: different after the file is replaced."""
    updates: Mapping[str, Update]
    """By layer, under the file's own names."""

    @property
    def width(self) -> int | None:
        """Numbers per word of the base it was made for; None where no layer shows it."""
        return next((up.down.shape[1] for layer, up in self.updates.items() if WORDS.search(layer)), None)


def read_lora(path: Path) -> LoraFile:
    """Return a file's content, from a cache of MAX_FILES until it changes; raises InputError and DamagedError."""
    state = path.stat()
    return _read(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=MAX_FILES)
def _read(path: Path, time: int, size: int) -> LoraFile:
    with ExitStack() as stack:
        tensors = open_tensors(path, stack)
        _check_kind(path, tensors)
        # Copies, since a mapped file may be replaced while it is in use.
        state = {name: read().clone() for name, read in tensors.items()}
    return LoraFile(path.name, (path, time, size), dict(_updates(path, state)))


def _check_kind(path: Path, names: Mapping[str, Any]) -> None:
    strange = [name for name in names if not PART.fullmatch(name) and not name.endswith(".alpha")]
    if not any(mark in name for name in names for mark in RELATED):
        raise InputError(f"{path.name} is no LoRA: it holds no updates of a model's layers.")
    if strange:
        raise InputError(
            f"{path.name} holds {len(strange)} tensors that this app cannot apply, such as {strange[0]}; it applies LoRA "
            "and LoCon, but no LoHa, LoKr, DoRA or OFT."
        )


def _updates(path: Path, state: Mapping[str, Tensor]) -> Iterator[tuple[str, Update]]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        if match := PART.fullmatch(name):
            part = {"A": "down", "B": "up"}.get(match[2], match[2])
            parts.setdefault(match[1], {})[part] = tensor
        if not torch.isfinite(tensor).all():
            raise InputError(f"{path.name} has numbers in {name} that are none (NaN or infinite); get another version.")
    settings = _settings(path)
    for layer, pair in parts.items():
        alpha = state.get(f"{layer}.alpha")
        if not _belong(**pair, alpha=alpha):
            raise InputError(f"{path.name} is no whole LoRA: the parts of {layer} do not belong together.")
        rank = len(pair["down"])
        scale = float(alpha) / rank if alpha is not None else _peft_scale(settings, layer, rank)
        yield _plain(layer), Update(pair["down"], pair["up"], scale)


def _belong(*, down: Tensor | None = None, up: Tensor | None = None, alpha: Tensor | None = None) -> bool:
    """Return whether both parts are there, of one rank, and the scale is a single number."""
    if down is None or up is None or min(down.ndim, up.ndim) < 2 or (alpha is not None and alpha.numel() != 1):
        return False
    return len(down) == up.shape[1] > 0


def _settings(path: Path) -> dict[str, Any]:
    if path.suffix != ".safetensors":
        return {}
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return json.loads((file.metadata() or {}).get(SETTINGS, "{}"))


def _peft_scale(settings: Mapping[str, Any], layer: str, rank: int) -> float:
    """Return the scale by the training's settings; without any, alpha is the rank, as in peft and diffusers."""
    part, _, name = layer.partition(".")
    alpha = settings.get(f"{part}.lora_alpha", rank)
    for pattern, own in (settings.get(f"{part}.alpha_pattern") or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", name):
            alpha = own
    return float(alpha) / (rank**0.5 if settings.get(f"{part}.use_rslora") else rank)


def _plain(layer: str) -> str:
    """Return a layer's name of today for an older one: attention processors once had layers of their own."""
    layer = layer.removeprefix("base_model.model.")
    layer = re.sub(r"self_attn\.to_(q|k|v|out)$", r"self_attn.\1_proj", layer)
    return layer.replace(".processor.to_out", ".to_out.0").replace(".processor.", ".")
