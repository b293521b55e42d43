"""A finished training as a ControlNet that every tab, diffusers and the readers of the original's files can load."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError

from cnet_app.registry.conditions import condition
from cnet_app.request.training import TrainingPlan, plan_to_json
from cnet_app.training.monitoring.progress import Progress
from cnet_app.training.storage.places import OWNER, base_folder, check_own
from cnet_app.training.trainable.base import Trainable
from models.downloads.disk import disk_reason
from models.errors import SaveError
from models.loader import save_base

METADATA = "controlnet_studio"
"""Prefix of the metadata in a .safetensors file."""
CARD, PLAN = "README.md", "training_plan.json"
UNFINISHED = ".unfinished-"
T = TypeVar("T")


def export(
    trainable: Trainable, plan: TrainingPlan, progress: Progress, data_key: str, folder: Path, run_id: str
) -> list[Path]:
    """Write a network as it is now into `folder`, whole or not at all, and return the files of weights.

    A base whose decoder was trained too is written among the bases, as `NAME-base`. Only what the run of this id wrote
    before is replaced: raises InputError where something else is there, and SaveError.
    """
    unlocked = base_folder(plan) if plan.unlock_after else None
    for place in filter(None, (folder, unlocked)):
        check_own(place, run_id)

    def write(part: Path) -> list[Path]:
        files = trainable.save(part, plan.name, metadata(trainable, plan, progress, data_key))
        (part / PLAN).write_text(json.dumps(plan_to_json(plan), indent=2) + "\n", encoding="utf-8")
        (part / CARD).write_text(card(trainable, plan, progress), encoding="utf-8")
        return files

    files = _written(folder, run_id, write)
    if unlocked:
        _written(unlocked, run_id, lambda part: save_base(trainable.base, part))
    return [folder / path.name for path in files]


def _written(folder: Path, run_id: str, write: Callable[[Path], T]) -> T:
    """Let `write` fill a folder, put it in the place of `folder`, and return what it returned. Raises SaveError."""
    part = folder.with_name(f"{UNFINISHED}{folder.name}")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        made = write(part)
        (part / OWNER).write_text(f"{run_id}\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise SaveError(
            f"The ControlNet could not be written to {folder} ({disk_reason(error)}); make room, and resume the training: "
            "its checkpoint is whole."
        ) from error
    return made


def metadata(trainable: Trainable, plan: TrainingPlan, progress: Progress, data_key: str) -> Mapping[str, str]:
    """Return what a file says about itself."""
    best = progress.best
    values: dict[str, Any] = {
        "family": trainable.facts.id,
        "condition": plan.condition,
        "steps": progress.step,
        "plan": json.dumps(plan_to_json(plan)),
        "data": data_key,
        "scores": json.dumps([list(look) for look in progress.looks]),
        "best_score": best[1] if best else "",
        "converged": progress.converged if progress.converged is not None else "",
    }
    return {"format": "pt", **{f"{METADATA}.{name}": str(value) for name, value in values.items()}}


def card(trainable: Trainable, plan: TrainingPlan, progress: Progress) -> str:
    """Return a model card in Markdown."""
    row = condition(plan.condition)
    last = progress.looks[-1] if progress.looks else None
    best = progress.best
    network = {"controlnet": "ControlNet", "light": "Control-LoRA", "lite": "ControlNet-lite"}[plan.network]
    lines = [
        "---",
        "library_name: diffusers",
        f"base_model: {plan.exported_base}",
        "tags: [controlnet, text-to-image]",
        "---",
        "",
        f"# {plan.name}",
        "",
        f"A {network} for {trainable.facts.title} that follows maps of the condition {row.title}.",
        "",
        f"- Base: {plan.base}" + (f", with its decoder trained too: {plan.exported_base}" if plan.unlock_after else ""),
        f"- Steps: {progress.step} at batch size {plan.batch_size} × {plan.gradient_accumulation}, "
        f"learning rate {plan.learning_rate:g}, {100 * plan.empty_prompts:.0f} % of the prompts emptied",
        f"- Size: {plan.size} px",
    ]
    if last and best:
        first = progress.looks[0][1]
        lines.append(
            f"- Agreement with {plan.probes} held-out maps, 0 to 1: {first:.3f} before the first step, {last[1]:.3f} at the "
            f"last, {best[1]:.3f} at step {best[0]}, the best"
        )
    if progress.converged is not None:
        lines.append(f"- Sudden convergence at step {progress.converged}")
    return "\n".join([*lines, "", f"All settings are in {PLAN}.", ""])
