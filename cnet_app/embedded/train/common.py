"""Parts of every training here: averaged weights, the learning rate, exact resuming, the guard against NaN, and the log."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from cnet_app.embedded.train.checkpoints import load_checkpoint, save_checkpoint
from cnet_app.embedded.train.optimizer import Optimizer
from cnet_app.embedded.train.plan import StagePlan
from models.errors import InputError, TrainingError
from models.machine.speed import cpu_multiplies_bfloat16


class AveragedWeights:
    """Exponential moving average of a module's parameters; these weights are scored and shipped."""

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move towards a module. The first steps count more, so that the initial weights soon have no influence."""
        weight = 1 - min(self.decay, (step + 1) / (step + 10))
        for old, new in zip(self.module.parameters(), module.parameters(), strict=True):
            old.lerp_(new, weight)


def half_where_fast(device_type: str) -> torch.autocast:
    """Run networks in bfloat16, except on a CPU without instructions for it, which is faster in float32."""
    return torch.autocast(device_type, torch.bfloat16, enabled=device_type != "cpu" or cpu_multiplies_bfloat16())


def learning_rate(step: int, steps: int, peak: float, floor: float = 0.05) -> float:
    """Return the rate of a step.

    It rises linearly over 100 steps or a fifth of them, stays, and falls linearly to `floor` of the peak over the last
    half.
    """
    rise = (step + 1) / min(100, max(1, steps // 5))
    fall = min(1.0, max(floor, 2 * (1 - step / steps)))
    return peak * min(1.0, rise) * fall


class Training:
    """A network on a device, its average and its optimiser, resumed from the checkpoint at `path` where there is one.

    Random numbers are drawn on the CPU on every device, so that a checkpoint holds one generator's state. Raises
    InputError where the checkpoint was made by another plan. `part` is the trained part of the network, where that is
    not all of it.
    """

    def __init__(
        self,
        network: nn.Module,
        path: Path,
        plan: StagePlan,
        device: torch.device,
        *,
        decay: float,
        part: nn.Module | None = None,
        weight_decay: float = 1e-3,
    ) -> None:
        nn.Module.to(network, device)
        nn.Module.to(network, memory_format=torch.channels_last)
        self.network = network
        self.averaged = AveragedWeights(network, decay)
        self.done = 0
        self._path, self._plan, self._device = path, plan, device
        self._saved: int | None = None
        self._optimizer = Optimizer(part or network, weight_decay=weight_decay)
        if state := load_checkpoint(path):
            self._check_plan(state.get("plan"))
            network.load_state_dict(state["model"])
            self.averaged.module.load_state_dict(state["averaged"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.done = self._saved = int(state["step"])
            torch.set_rng_state(state["torch_rng"])

    def _check_plan(self, saved: dict[str, str | int | float | bool | None] | None) -> None:
        if saved is None:
            print(f"{self._path} has no plan, for an older version wrote it; it is resumed without comparing plans.")
            return
        if differences := self._plan.differences(saved):
            raise InputError(
                f"{self._path} was trained by another plan ({'; '.join(differences)}); choose another --work folder, "
                "or delete the file to train that stage from its start."
            )

    def steps(self) -> Iterator[int]:
        """Yield step numbers until the plan's last step or its deadline, and save as often as the plan asks.

        The body of the loop calls `learn` once.
        """
        deadline = self._plan.deadline
        while self.done < self._plan.steps and (deadline is None or time.time() <= deadline):
            yield self.done
            if self.done % self._plan.save_every == 0:
                self.save()
        self.save()

    def learn(self, loss: Tensor) -> None:
        """Update the network and its average; raise TrainingError where the loss or the gradient is not finite."""
        self._require_finite("the loss", loss.item())
        self._require_finite("the gradient", self._optimizer.backward(loss))
        self._optimizer.update(learning_rate(self.done, self._plan.steps, self._plan.peak_rate))
        self.averaged.update(self.network, self.done)
        self.done += 1

    def save(self) -> None:
        """Write the checkpoint where there is something new; raise TrainingError where the weights are not finite."""
        if self.done == self._saved:
            return
        for name, value in self.network.state_dict().items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                self._require_finite(f"the weight {name}", math.nan)
        state = {
            "plan": self._plan.values(),
            "model": self.network.state_dict(),
            "averaged": self.averaged.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.done,
            "torch_rng": torch.get_rng_state(),
        }
        save_checkpoint(self._path, state)
        self._saved = self.done

    def _require_finite(self, name: str, value: float) -> None:
        if math.isfinite(value):
            return
        rate = f"the stage's peak rate of {self._plan.peak_rate:g}"
        if self._saved is None:
            advice = f"nothing was saved yet: check the pictures, or lower {rate}"
        else:
            advice = (
                f"{self._path} still holds step {self._saved}: run the command again to go on from there, and if it "
                f"stops again, delete that file and lower {rate}"
            )
        raise TrainingError(
            f"The stage {self._plan.stage} stopped at step {self.done}, for {name} is {value:g}; {advice}."
        )


def logger(path: Path) -> Callable[..., None]:
    """Return a function that appends its arguments to `path` as one JSON line, and prints the line."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def log(**values: float | int | str) -> None:
        line = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()})
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, flush=True)

    return log
