"""Where a trained ControlNet goes, and whose the folder there is. Loads no torch."""

from __future__ import annotations

import os
from pathlib import Path

from cnet_app.request.training import TrainingPlan
from models.catalogue.catalog import CATALOG
from models.catalogue.local import FOLDERS
from models.environment import models_folder
from models.errors import InputError
from models.files import HERE

OWNER = ".training"
"""In a folder that a training wrote: the id of that training."""


def export_folder(name: str) -> Path:
    """Return the folder of a trained ControlNet: below $CNET_MODELS_DIR, else below models/."""
    return (models_folder() or HERE) / FOLDERS["controlnet"] / name


def base_folder(plan: TrainingPlan) -> Path:
    """Return the folder of the base whose decoder was trained: where bases of the user's own are found by their names."""
    return (models_folder() or HERE) / FOLDERS["base"] / plan.exported_base


def check_name(plan: TrainingPlan, run_id: str = "") -> None:
    """Raise InputError where the plan's ControlNet could not be written or not be found by its name.

    `run_id` is that of a run which may have written there before; a new run has none.
    """
    if plan.network == "lite":  # stays in the run's folder
        return
    if any(plan.name in (row.id, row.repo) for row in CATALOG):
        raise InputError(f"name is {plan.name!r}, which is an id of the catalogue; choose another name.")
    check_own(export_folder(plan.name), run_id)
    if plan.unlock_after:
        check_own(base_folder(plan), run_id)


def check_own(folder: Path, run_id: str) -> None:
    """Raise InputError where something is at this place that another than the run of this id has put there."""
    if os.path.lexists(folder) and not (run_id and _owner(folder) == run_id):
        raise InputError(
            f"{folder} is there already, and this training did not make it; give a new training another name, or move "
            "the folder away."
        )


def _owner(folder: Path) -> str | None:
    try:
        return (folder / OWNER).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
