"""What every training here shares: seeds, averaged weights, checkpoints that resume exactly, and a log."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn


class AveragedWeights:
    """Exponential moving average of a module's parameters; what is shipped and scored."""

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Follow a module; early steps weigh more, so that the start is soon forgotten."""
        weight = 1 - min(self.decay, (step + 1) / (step + 10))
        for old, new in zip(self.module.parameters(), module.parameters(), strict=True):
            old.lerp_(new, weight)


def learning_rate(step: int, steps: int, peak: float, warmup: int = 100, floor: float = 0.05) -> float:
    """Linear warm-up, flat, then linear to `floor` of the peak over the last half of the steps."""
    rise = min(1.0, (step + 1) / warmup)
    fall = min(1.0, max(floor, 2 * (1 - step / steps)))
    return peak * rise * fall


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Atomic: a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    torch.save(state | {"torch_rng": torch.get_rng_state()}, temporary)
    os.replace(temporary, path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The state that was saved, with the random generator put back; None where there is none."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    torch.set_rng_state(state.pop("torch_rng"))
    return state


def training_steps(start: int, steps: int, deadline: float | None) -> Iterator[int]:
    """Step numbers until `steps`, or until the wall clock passes `deadline` (time.time())."""
    for step in range(start, steps):
        if deadline is not None and time.time() > deadline:
            return
        yield step


def logger(path: Path) -> Callable[..., None]:
    """Appends one JSON line a call to `path` and prints it."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def log(**values: float | int | str) -> None:
        line = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()})
        with path.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)

    return log
