"""What a family trains: one file a kind of base."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from cnet_app.request.training import TrainingPlan
from cnet_app.training.trainable.base import Trainable
from cnet_app.training.trainable.unet import UNetTrainable
from models.families import FAMILIES, Backbone
from models.loader import Base

TRAINABLES: Mapping[Backbone, Callable[[Base, TrainingPlan], Trainable]] = MappingProxyType({"unet": UNetTrainable})


def create_trainable(base: Base, plan: TrainingPlan) -> Trainable:
    """Return what a plan trains on a loaded base. Raises InputError where the plan does not fit the base."""
    return TRAINABLES[FAMILIES[base.family].backbone](base, plan)
