"""What a family trains: one file a kind of base. Loads no torch before a network is created."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING

from cnet_app.request.training import TrainingPlan
from models.errors import InputError
from models.families import FAMILIES
from models.family_facts import Family

if TYPE_CHECKING:
    from cnet_app.training.trainable.base import Trainable
    from models.loader import Base


@dataclass(frozen=True)
class TrainableKind:
    """A kind of base whose ControlNets are trained here."""

    create: Callable[[Base, TrainingPlan], Trainable]
    fixed: Mapping[str, str] = field(default_factory=dict[str, str])
    """Settings of a plan that have no meaning for it and keep their defaults, each with the reason: the family is its subject."""


def _create_unet(base: Base, plan: TrainingPlan) -> Trainable:
    from cnet_app.training.trainable.unet import UNetTrainable

    return UNetTrainable(base, plan)


def _create_sd3(base: Base, plan: TrainingPlan) -> Trainable:
    from cnet_app.training.trainable.sd3 import SD3Trainable

    return SD3Trainable(base, plan)


FLOW_TRANSFORMER: Mapping[str, str] = MappingProxyType(
    {
        "network": "has no ControlNet besides a copy of its first blocks",
        "rank": "has no light network, which alone has a rank",
        "only_mid_control": "has no middle block",
        "unlock_after": "has no decoder that could be trained apart from its other blocks",
        "unlocked_learning_rate": "has no decoder that could be trained apart from its other blocks",
        "min_snr_gamma": "learns a flow, whose steps are weighed by how often they are drawn",
    }
)
"""`fixed` of transformers that were trained by flow matching."""
TRAINABLES: Mapping[str, TrainableKind] = MappingProxyType(
    {"unet": TrainableKind(_create_unet), "sd3": TrainableKind(_create_sd3, FLOW_TRANSFORMER)}
)
"""By the backbone of the family."""


def check_family(family: Family) -> None:
    """Raise InputError where ControlNets of a family are not trained here."""
    if sentence := family_refusal(family):
        raise InputError(sentence)


def family_refusal(family: Family) -> str:
    """Return the sentence with which a base of the family is refused for a training; empty where it is not."""
    facts = FAMILIES[family]
    if facts.backbone in TRAINABLES:
        return ""
    able = ", ".join(row.title for row in FAMILIES.values() if row.backbone in TRAINABLES)
    return f"ControlNets of {facts.title} are not trained by this app; choose a base model of another family: {able}."


def fixed_settings(family: Family | None) -> Mapping[str, str]:
    """Return the settings that keep their defaults for bases of a family, each with the reason; none where it is not known."""
    kind = TRAINABLES.get(FAMILIES[family].backbone) if family else None
    return kind.fixed if kind else MappingProxyType({})


def check_settings(family: Family, plan: TrainingPlan) -> None:
    """Raise InputError where a setting of the plan has no meaning for bases of a family."""
    facts = FAMILIES[family]
    defaults = {one.name: one.default for one in fields(TrainingPlan)}
    for name, reason in fixed_settings(family).items():
        value, default = getattr(plan, name), defaults[name]
        if value == default:
            continue
        given, change = ("on", "switch it off") if value is True else (str(value), f"leave it at {default}")
        raise InputError(
            f"{name} is {given}, but {facts.title} {reason}; {change}, or choose a base of another family."
        )
    if plan.precision == "float16" and facts.overflows_half:
        raise InputError(
            f"precision is float16, in which the networks of {facts.title} overflow; choose bfloat16, or float32."
        )


def create_trainable(base: Base, plan: TrainingPlan) -> Trainable:
    """Return what a plan trains on a loaded base. Raises InputError where the plan does not fit the base."""
    check_family(base.family)
    check_settings(base.family, plan)
    return TRAINABLES[FAMILIES[base.family].backbone].create(base, plan)
