"""Checks of plan, family, packages and data, made before a base is loaded or downloaded. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from cnet_app.registry.conditions import CONDITIONS, condition
from cnet_app.request.training import TRAINING_LIMITS, TrainingPlan
from cnet_app.training.data.framing import BUCKET_MULTIPLE
from cnet_app.training.data.pairs import DataSet, Pair
from cnet_app.training.data.readers import read_data, read_facts
from cnet_app.training.data.split import split
from cnet_app.training.trainable import check_family, check_settings
from models.catalogue.resolve import resolve
from models.errors import InputError
from models.families import side_multiple
from models.family_facts import Family

EIGHT_BIT_PACKAGE = "bitsandbytes"
NO_EIGHT_BIT = (
    f"optimizer is adamw_8bit, which needs the package {EIGHT_BIT_PACKAGE}; run pip install {EIGHT_BIT_PACKAGE}, or "
    "choose adamw."
)


class PlanData(NamedTuple):
    """The data of a plan, read."""

    data: DataSet
    validation: DataSet | None
    pairs: tuple[Pair, ...]
    held_out: tuple[Pair, ...]
    """The pairs of the probes."""


def check_plan(plan: TrainingPlan) -> PlanData:
    """Return the plan's data. Raises InputError where the plan cannot work, as far as that is known without loading."""
    if plan.optimizer == "adamw_8bit" and find_spec(EIGHT_BIT_PACKAGE) is None:
        raise InputError(NO_EIGHT_BIT)
    if condition(plan.condition).masked:
        raise InputError(
            f"condition is {plan.condition}, whose maps hold a mask, which no pairs of this app have; choose another condition."
        )
    _check_size(plan, _check_models(plan))
    data = read_data(Path(plan.data))
    validation = read_data(Path(plan.validation)) if plan.validation else None
    for name, one in (("data", data), ("validation", validation)):
        if one is not None:
            _check_condition(plan, name, one.folder)
    return PlanData(data, validation, *split(data, validation, plan))


def _check_models(plan: TrainingPlan) -> Family | None:
    """Return the family of the base, as far as it is known without loading."""
    base = resolve(plan.base, "base")
    if base.family:
        check_family(base.family)
        check_settings(base.family, plan)
    if base.row and base.row.inpaints:
        raise InputError(f"base is {plan.base!r}, which is for inpainting; choose the plain model of its family.")
    if plan.vae:
        resolve(plan.vae, "vae", base.family)
    if plan.start:
        resolve(plan.start, "controlnet", base.family)
    return base.family


def _check_size(plan: TrainingPlan, family: Family | None) -> None:
    """Pictures that keep their aspect are brought to sides of BUCKET_MULTIPLE; squares need what the base needs."""
    multiple = BUCKET_MULTIPLE if plan.buckets else side_multiple(family)
    if plan.size % multiple == 0:
        return
    limit = TRAINING_LIMITS["size"]
    below = plan.size // multiple * multiple
    near = [str(one) for one in (below, below + multiple) if (limit.minimum or 0) <= one <= (limit.maximum or one)]
    why = ", to which pictures are brought that keep their aspect" if plan.buckets else ", which the base needs"
    raise InputError(
        f"size is {plan.size}, but it must be a multiple of {multiple} px{why}; choose {' or '.join(near)}."
    )


def _check_condition(plan: TrainingPlan, name: str, folder: Path) -> None:
    """Data that were built here know what their maps show."""
    built = read_facts(folder).get("condition")
    if built != plan.condition and built in {row.id for row in CONDITIONS}:
        raise InputError(
            f"condition is {plan.condition}, but the maps of {name} in {folder} were built for {built}; choose {built}, "
            f"or give maps of {condition(plan.condition).title}."
        )


def notes_on(plan: TrainingPlan, data: DataSet) -> Iterator[str]:
    """Yield a sentence for each setting that has no effect in this plan, and for pictures that are left out."""
    if plan.network != "light":
        yield from _without_effect(plan, ("rank",), f"network is {plan.network}, and a light one alone has a rank")
    if not plan.unlock_after:
        yield from _without_effect(
            plan, ("unlocked_learning_rate",), "unlock_after is 0, which keeps the decoder locked"
        )
    elif plan.unlock_after > plan.steps:
        yield f"unlock_after is {plan.unlock_after}, which is after the last of {plan.steps} steps: the decoder stays locked."
    if plan.lr_scheduler == "constant":
        yield from _without_effect(plan, ("lr_warmup_steps",), "lr_scheduler is constant; constant_with_warmup rises")
    if not plan.probe_every:
        yield from _without_effect(plan, ("probes", "probe_steps"), "probe_every is 0, which never looks at the probes")
        if plan.validation:
            yield "validation has no effect: probe_every is 0, which never looks at the probes."
    elif plan.probe_every > plan.steps:
        yield f"probe_every is {plan.probe_every}, and the run has {plan.steps} steps: it looks at the probes at its begin and end alone."
    if plan.caption and all(pair.caption for pair in data.pairs):
        yield "caption has no effect: every pair has a prompt of its own."
    if lacking := sum(pair.control is None for pair in data.pairs):
        yield f"{lacking} of {len(data.pairs)} pictures have no map and are left out; `data check` names them."


def _without_effect(plan: TrainingPlan, names: tuple[str, ...], why: str) -> Iterator[str]:
    """Yield a sentence for each setting that differs from its default."""
    for name in names:
        value = getattr(plan, name)
        if value != TRAINING_LIMITS[name].default:
            yield f"{name} {value} has no effect: {why}."
