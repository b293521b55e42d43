"""Memory and time that a run takes: parts that are counted, and the rest measured on two steps that change nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cnet_app.request.training import TrainingPlan
from cnet_app.training.run import Record
from cnet_app.training.trainable.base import Trainable
from models.machine.memory import module_bytes, used_bytes

if TYPE_CHECKING:
    from cnet_app.training.loop import Loop

STEPS = 2
OPTIMIZER_BYTES = {"adamw": 8, "adamw_8bit": 2}
"""Bytes of optimiser state for each trained number."""


@dataclass(frozen=True)
class Memory:
    """Bytes by what takes them."""

    base: int
    """Locked weights: U-Net, autoencoder, text encoders."""
    network: int
    """Trained weights, in float32."""
    gradients: int
    optimizer: int
    average: int
    activations: int = 0
    """What autograd keeps of a pass for its way back: measured."""
    process: int = 0
    """What the process takes besides weights before the first pass, libraries above all: measured."""

    @property
    def total(self) -> int:
        """Return the sum."""
        return sum(vars(self).values())

    def megabytes(self) -> dict[str, int]:
        """Return the parts and their sum, in MB."""
        return {name: round(value / 1e6) for name, value in {**vars(self), "total": self.total}.items()}


def counted(plan: TrainingPlan, trainable: Trainable) -> Memory:
    """Return what follows from the networks' sizes, without the activations."""
    values = [value for group in trainable.groups() for value in group["params"]]
    numbers = sum(value.numel() for value in values)
    own = sum(value.numel() * value.element_size() for value in values)
    return Memory(
        base=module_bytes([nn.ModuleList([*trainable.base.networks, trainable.module])]) - own,  # each network once
        network=own,
        gradients=own,
        optimizer=numbers * OPTIMIZER_BYTES[plan.optimizer],
        average=own if plan.ema_decay else 0,
    )


def measure(loop: Loop, plan: TrainingPlan, trainable: Trainable) -> Record:
    """Return the record of a run's memory and time, measured on two passes that change no weight."""
    memory = counted(plan, trainable)
    loaded = memory.base + memory.network + memory.average
    process = max(0, used_bytes(trainable.base.device) - loaded)
    seconds: list[float] = []
    activations = 0
    for _ in range(STEPS):
        started = time.monotonic()
        activations = saved_bytes(loop.try_step, trainable.module)
        seconds.append(time.monotonic() - started)
    step = plan.gradient_accumulation * min(seconds)
    left = max(0, plan.steps - loop.progress.step)  # a resumed run may be past its last step
    return Record(
        kind="estimate",
        step=loop.progress.step,
        time=time.time(),
        values={
            "memory_mb": replace(memory, activations=activations, process=process).megabytes(),
            "seconds": {"step": round(step, 3), "total": round(step * left)},
        },
    )


def saved_bytes(run: Callable[[], None], module: nn.Module) -> int:
    """Return the bytes of tensors that autograd keeps while `run` goes there and back; weights do not count."""
    weights = {value.untyped_storage().data_ptr() for value in module.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(kept.values())
