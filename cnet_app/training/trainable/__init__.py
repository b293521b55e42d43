"""What a family trains: one file a kind of base. Loads no torch before a network is created."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from cnet_app.request.training import TrainingPlan
from models.errors import InputError
from models.families import FAMILIES
from models.family_facts import Family

if TYPE_CHECKING:
    from cnet_app.training.trainable.base import Trainable
    from models.loader import Base


def _create_unet(base: Base, plan: TrainingPlan) -> Trainable:
    from cnet_app.training.trainable.unet import UNetTrainable

    return UNetTrainable(base, plan)


TRAINABLES: Mapping[str, Callable[[Base, TrainingPlan], Trainable]] = MappingProxyType({"unet": _create_unet})
"""By the backbone of the family."""


def check_family(family: Family) -> None:
    """Raise InputError where ControlNets of a family are not trained here."""
    facts = FAMILIES[family]
    if facts.backbone not in TRAINABLES:
        able = ", ".join(row.title for row in FAMILIES.values() if row.backbone in TRAINABLES)
        raise InputError(
            f"ControlNets of {facts.title} are not trained by this app; choose a base model of another family: {able}."
        )


def create_trainable(base: Base, plan: TrainingPlan) -> Trainable:
    """Return what a plan trains on a loaded base. Raises InputError where the plan does not fit the base."""
    check_family(base.family)
    return TRAINABLES[FAMILIES[base.family].backbone](base, plan)
