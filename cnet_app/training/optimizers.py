"""Optimisers of a run."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from cnet_app.request.training import TrainingPlan
from cnet_app.training.checks import EIGHT_BIT_PACKAGE, NO_EIGHT_BIT
from models.errors import InputError


def create_optimizer(plan: TrainingPlan, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Return AdamW over parameter groups, or its 8-bit form; InputError where that needs a package that is not here."""
    if plan.optimizer == "adamw":
        return torch.optim.AdamW(groups, weight_decay=plan.weight_decay, fused=True)  # one pass over memory, not ten
    try:
        library: Any = importlib.import_module(EIGHT_BIT_PACKAGE)
    except ImportError as error:
        raise InputError(NO_EIGHT_BIT) from error
    return library.optim.AdamW8bit(groups, weight_decay=plan.weight_decay)
