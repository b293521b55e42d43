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
from torch import Tensor, nn

from cnet_app.embedded.train.optimizer import Optimizer
from models.speed import cpu_multiplies_bfloat16


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


def half_where_fast(device_type: str) -> torch.autocast:
    """bfloat16 for the networks that run inside, but on a CPU that has no instructions for it, where float32 is faster."""
    return torch.autocast(device_type, torch.bfloat16, enabled=device_type != "cpu" or cpu_multiplies_bfloat16())


def learning_rate(step: int, steps: int, peak: float, floor: float = 0.05) -> float:
    """Linear warm-up over 100 steps or a fifth of them, flat, then linear to `floor` of the peak over the last half."""
    rise = (step + 1) / min(100, max(1, steps // 5))
    fall = min(1.0, max(floor, 2 * (1 - step / steps)))
    return peak * min(1.0, rise) * fall


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


class Training:
    """A network, its average and its optimiser, going on from the checkpoint at `path` where there is one.

    `part` is what is trained of the network, where that is not all of it.
    """

    def __init__(
        self, network: nn.Module, path: Path, *, decay: float, part: nn.Module | None = None, weight_decay: float = 1e-3
    ) -> None:
        self.network = network
        self.averaged = AveragedWeights(network, decay)
        self.done = 0
        self._path = path
        self._optimizer = Optimizer(part or network, weight_decay=weight_decay)
        if state := load_checkpoint(path):
            network.load_state_dict(state["model"])
            self.averaged.module.load_state_dict(state["averaged"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.done = int(state["step"])

    def steps(self, total: int, deadline: float | None) -> Iterator[int]:
        """Step numbers until `total`, or until the wall clock passes `deadline` (time.time()); `learn` moves it on."""
        while self.done < total and (deadline is None or time.time() <= deadline):
            yield self.done

    def learn(self, loss: Tensor, rate: float) -> None:
        """One update of the network and of its average."""
        self._optimizer.step(loss, rate)
        self.averaged.update(self.network, self.done)
        self.done += 1

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "model": self.network.state_dict(),
            "averaged": self.averaged.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.done,
        }
        save_checkpoint(self._path, state)


def logger(path: Path) -> Callable[..., None]:
    """Appends one JSON line a call to `path` and prints it."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def log(**values: float | int | str) -> None:
        line = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()})
        with path.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)

    return log
