"""What to change where a training does not fit into the memory: ranked, with numbers."""

from __future__ import annotations

import torch

from cnet_app.request.training import CHANGEABLE, TrainingPlan
from cnet_app.training.trainable import fixed_settings
from models.catalogue.resolve import resolve
from models.machine.memory import total_bytes


def out_of_memory(plan: TrainingPlan, device: torch.device) -> str:
    """Return a sentence with the changes that save most, the ones without effect on the result first."""
    size = f"{total_bytes(device) / 1e9:.1f} GB"
    changes = changes_for_memory(plan, device)
    kept = [change for change in changes if change.split()[0] in CHANGEABLE]
    numbers = {
        change: f"{number}. {change}"
        for number, change in enumerate([*kept, *(one for one in changes if one not in kept)], 1)
    }
    text = f"The memory of {device}, {size}, is too small for this training."
    if kept:
        listed = "; ".join(numbers[change] for change in kept)
        text += f" Change one by one, and resume with `train resume {plan.name}` and the changes as flags, or on the page: {listed}."
    if others := [numbers[change] for change in changes if change not in kept]:
        text += f" Or begin a new training with another plan: {'; '.join(others)}."
    return text


def changes_for_memory(plan: TrainingPlan, device: torch.device) -> list[str]:
    """Return the changes that this plan leaves, the best first."""
    found: list[str] = []
    if not plan.gradient_checkpointing:
        found.append(
            "gradient_checkpointing on: activations are made again on the way back instead of kept, so that a step takes longer"
        )
    if plan.batch_size > 1:
        half = plan.batch_size // 2
        turns = -(-plan.batch_size * plan.gradient_accumulation // half)
        found.append(
            f"batch_size {half} with gradient_accumulation {turns}: activations take {half / plan.batch_size:.0%}, the "
            "result is the same"
        )
    if plan.precision == "float32" and device.type == "cuda":
        found.append("precision bfloat16: locked weights and activations take half")
    if plan.optimizer == "adamw" and device.type == "cuda":
        found.append("optimizer adamw_8bit: its state takes a quarter")
    if plan.ema_decay:
        found.append("ema_decay 0: one copy of the trained weights less")
    if plan.network == "controlnet" and "network" not in fixed_settings(resolve(plan.base, "base").family):
        found.append(f"network light with rank {plan.rank}: a few MB are trained instead of the whole copy")
    smaller = plan.size * 3 // 4 // 64 * 64
    if smaller >= 64 and smaller < plan.size:
        found.append(f"size {smaller}: activations take {(smaller / plan.size) ** 2:.0%}")
    return found or ["choose a smaller base, or a device with more memory"]
