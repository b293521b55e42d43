"""Checkpoints of a run: each a folder that is there whole or not at all, with the sums that show it.

network.safetensors   trained tensors     average.safetensors   averaged ones, where the plan has them
state.pt              optimiser, learning rates and scores      manifest.json   step, plan, key of the data, sha256 a file
"""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.downloads.disk import disk_reason
from models.downloads.whole import flush
from models.errors import DamagedError, InputError, SaveError
from models.files import sha256_of

NETWORK, AVERAGE, STATE, MANIFEST = "network.safetensors", "average.safetensors", "state.pt", "manifest.json"
PREFIX, UNFINISHED = "step-", ".unfinished-"


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint, as it is on the disk or goes there."""

    step: int
    network: Mapping[str, Tensor]
    average: Mapping[str, Tensor] | None
    state: Mapping[str, Any]
    """Tensors and plain values."""


def folder_of(folder: Path, step: int) -> Path:
    """Return the folder of the checkpoint at a step."""
    return folder / f"{PREFIX}{step:06d}"


def save(folder: Path, checkpoint: Checkpoint, facts: Mapping[str, Any]) -> Path:
    """Write a checkpoint below `folder`, to the disk itself; `facts` go into its manifest. Raises SaveError.

    No older one is touched.
    """
    target = folder_of(folder, checkpoint.step)
    part = folder / f"{UNFINISHED}{target.name}"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        save_file(_detached(checkpoint.network), part / NETWORK)
        if checkpoint.average is not None:
            save_file(_detached(checkpoint.average), part / AVERAGE)
        with (part / STATE).open("wb") as file:  # given a path, torch raises an error without the reason
            torch.save(dict(checkpoint.state), file)
        sums = {path.name: sha256_of(path) for path in sorted(part.iterdir())}
        manifest = {"step": checkpoint.step, **facts, "sha256": sums}
        (part / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        for path in part.iterdir():
            flush(path)
        if target.exists():
            shutil.rmtree(target)
        part.rename(target)
    except (OSError, SafetensorError, RuntimeError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise SaveError(
            f"The checkpoint of step {checkpoint.step} could not be written to {folder} ({disk_reason(error)}); make room there, "
            "and resume the run: its earlier checkpoints are untouched."
        ) from error
    return target


def _detached(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def steps(folder: Path) -> list[int]:
    """Return the steps of the checkpoints, the newest last; those that are not whole do not count."""
    names = (path.parent.name.removeprefix(PREFIX) for path in folder.glob(f"{PREFIX}*/{MANIFEST}"))
    return sorted(int(name) for name in names if name.isdecimal())


def best(folder: Path) -> int | None:
    """Return the step of the checkpoint with the best score; None where none has one."""
    scores = {step: read_manifest(folder_of(folder, step)).get("score") for step in steps(folder)}
    known = {step: score for step, score in scores.items() if score is not None}
    return max(known, key=lambda step: known[step], default=None)


def chosen(folder: Path, which: str) -> Checkpoint | None:
    """Return the checkpoint `newest`, `best` or of a step; None where there is none at all.

    Raises InputError where that one is not there, DamagedError.
    """
    found = steps(folder)
    if not found or which == "newest":
        return newest(folder)
    step = best(folder) if which == "best" else int(which) if which.isdecimal() else None
    if step in found:
        return load(folder_of(folder, step))
    known = ", ".join(map(str, found))
    if which == "best":
        raise InputError(f"No checkpoint in {folder} has a score; choose newest, or one of the steps {known}.")
    raise InputError(f"checkpoint is {which!r}, but it must be newest, best, or one of the steps {known}.")


def newest(folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint whose files are as they were written; None where there is none.

    Raises DamagedError where there are some, but none is whole.
    """
    found = steps(folder)
    for step in reversed(found):
        try:
            return load(folder_of(folder, step))
        except DamagedError:
            continue
    if found:
        raise DamagedError(f"No checkpoint in {folder} is whole; delete them to train from the start.")
    return None


def load(folder: Path) -> Checkpoint:
    """Return a checkpoint, on the CPU. Raises DamagedError where a file is not as it was written."""
    manifest = read_manifest(folder)
    try:
        for name, sum in manifest["sha256"].items():
            if sha256_of(folder / name) != sum:
                raise DamagedError(f"{folder / name} is not as it was written; use an earlier checkpoint.")
        average = load_file(folder / AVERAGE) if (folder / AVERAGE).is_file() else None
        state: dict[str, Any] = torch.load(folder / STATE, weights_only=True, map_location="cpu")
        return Checkpoint(int(manifest["step"]), load_file(folder / NETWORK), average, state)
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, EOFError, SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile) as error:  # fmt: skip
        raise DamagedError(f"The checkpoint {folder} cannot be read ({error}); use an earlier one.") from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a checkpoint; DamagedError."""
    try:
        return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DamagedError(f"The checkpoint {folder} has no manifest that can be read; use another one.") from error


def remove_old(folder: Path, keep: int, best: int | None) -> None:
    """Delete all checkpoints but the newest `keep` and the best, and what a kill has left half written."""
    kept = {*steps(folder)[-keep:], best}
    for step in steps(folder):
        if step not in kept:
            shutil.rmtree(folder_of(folder, step), ignore_errors=True)
    for part in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(part, ignore_errors=True)


def changes(folder: Path, plan: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the settings in which a plan differs from that of the newest checkpoint: the old value and the new one."""
    found = steps(folder)
    if not found:
        return {}
    old = dict(read_manifest(folder_of(folder, found[-1])).get("plan", {}))
    names = sorted(name for name in {*old, *plan} if old.get(name) != plan.get(name))
    return {name: (old.get(name), plan.get(name)) for name in names}


def check_same(folder: Path, plan: Mapping[str, Any], data: str, pairs: str, may_differ: Sequence[str]) -> None:
    """Raise InputError where the newest checkpoint was made by another plan or on other data; some fields may differ.

    `data` is the key of what was encoded, `pairs` the one of the pairs alone: in another precision only they are the same.
    """
    found = steps(folder)
    if not found:
        return
    manifest = read_manifest(folder_of(folder, found[-1]))
    differing = changes(folder, plan)
    is_same = manifest.get("pairs") == pairs if "precision" in differing else manifest.get("data") == data
    if not is_same:
        raise InputError(
            f"The data of the run in {folder.parent} have changed since its last checkpoint; put them back, or give the "
            "training another name to start over."
        )
    fixed = {name: values for name, values in differing.items() if name not in may_differ}
    if fixed:
        words = "; ".join(f"{name} was {old!r} and is {new!r}" for name, (old, new) in fixed.items())
        raise InputError(
            f"The run in {folder.parent} was begun by another plan ({words}); give it the old values, or give the "
            "training another name."
        )


def check_processes(folder: Path, name: str, batch_size: int, processes: int) -> str:
    """Return a note where a run goes on in another number of processes; empty where it does not.

    Raises InputError where a pass would then have another number of pairs: its order and noise follow from that number. With the
    same number every step has the same pairs and noise, and its mean gradient differs by rounding alone.
    """
    found = steps(folder)
    manifest = read_manifest(folder_of(folder, found[-1])) if found else {}
    before = int(manifest.get("processes", processes))  # not in checkpoints of earlier versions
    if before == processes:
        return ""
    each = int(manifest["plan"]["batch_size"])
    total = before * each
    if processes * batch_size == total:
        return (
            f"The run goes on in {processes} and not {before} processes, with the same {total} pairs in one pass, so that its steps are "
            "the same up to rounding."
        )
    command = f"-m cnet_app train resume {name}"
    launched = (
        f"python -m torch.distributed.run --nproc_per_node {before} {command}" if before > 1 else f"python {command}"
    )
    more = f", or add `--batch-size {total // processes}`" if total % processes == 0 else ""
    raise InputError(
        f"The run in {folder.parent} was trained in {before} processes with {each} pairs each, {total} in one pass, but now there are "
        f"{processes} with {batch_size} each; the pairs in one pass must be as many: start it by `{launched}`{more}."
    )
