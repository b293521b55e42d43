"""What a family trains: one file a kind of base."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from cnet_app.request.training import TrainingPlan
from cnet_app.training.trainable.base import Trainable
from cnet_app.training.trainable.unet import UNetTrainable
from models.errors import InputError
from models.families import FAMILIES
from models.loader import Base

TRAINABLES: Mapping[str, Callable[[Base, TrainingPlan], Trainable]] = MappingProxyType({"unet": UNetTrainable})
"""By the backbone of the family."""


def create_trainable(base: Base, plan: TrainingPlan) -> Trainable:
    """Return what a plan trains on a loaded base. Raises InputError where the plan does not fit the base."""
    facts = FAMILIES[base.family]
    if facts.backbone not in TRAINABLES:
        able = ", ".join(row.title for row in FAMILIES.values() if row.backbone in TRAINABLES)
        raise InputError(
            f"ControlNets of {facts.title} are not trained by this app; choose a base model of another family: {able}."
        )
    return TRAINABLES[facts.backbone](base, plan)
