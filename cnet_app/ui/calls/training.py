"""Trainings: the plan's form, how each run stands, its curves and samples, and what can be done with it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, cast

from cnet_app.jobs.trainings.trainings import TrainingState, with_absolute_folders
from cnet_app.request.plain import Scalar
from cnet_app.request.training import CHANGEABLE, SWITCHES, TRAINING_LIMITS, TrainingPlan, plan_from_json, plan_to_json
from cnet_app.training.checks import check_plan
from cnet_app.training.monitoring.curves import course, estimate_words, thinned
from cnet_app.training.run import Record, RunFolder
from cnet_app.training.trainable import family_refusal, fixed_settings
from cnet_app.ui.bases import EMBEDDED, defaults_of, family_of
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.describe import declared
from cnet_app.ui.labels import in_form_words
from models.catalogue.local import find_local
from models.errors import InputError
from models.family_facts import Family

ONLY_OWNER = (
    "Only the one who runs this app may train models on its server; start the app on your own machine to train."
)
FRONT = ("steps", "batch_size", "learning_rate", "size")
"""Numbers that are shown first; name, condition and base stand before them."""
TEXTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "vae": ("Autoencoder (VAE)", "Another autoencoder for the base: id, file or folder."),
        "start": ("Go on from", "A ControlNet to go on from. Left out, the training begins with a copy of the base's encoder."),
        "caption": ("Caption", "Prompt of pairs without one."),
    }
)  # fmt: skip
"""Label and help of what is typed."""
SWITCH_HELP: Mapping[str, str] = MappingProxyType(
    {
        "only_mid_control": "Join the network to the base's middle block alone.",
        "gradient_checkpointing": "Less memory, longer steps.",
        "flip": "Mirror half of the pairs.",
        "crop": "Crop at random instead of at the centre.",
        "buckets": "Keep each picture's aspect; off makes all square.",
    }
)
TITLES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "network": {"controlnet": "ControlNet", "light": "Light (control-LoRA)", "lite": "ControlNet-lite"},
        "optimizer": {"adamw": "AdamW", "adamw_8bit": "AdamW, 8-bit"},
        "while_pictures": {"wait": "Wait", "free_memory": "Wait and free the memory", "go_on": "Go on"},
    }
)
"""Titles of choices that are not their ids with spaces."""
SUGGESTED: Mapping[Family, Mapping[str, Scalar]] = MappingProxyType(
    {
        "embedded": MappingProxyType(
            {"size": 128, "steps": 600, "batch_size": 8, "learning_rate": 8e-4, "probe_every": 20, "probe_steps": 10, "checkpoint_every": 100}
        )
    }
)  # fmt: skip
"""Of families that are not as large as Stable Diffusion: a first training takes minutes on two cores."""


def training_refusal(context: Context) -> str:
    """Return why a visitor may not train, in one sentence; empty where the visitor may."""
    return "" if context.settings.is_local else ONLY_OWNER


def check_may_train(context: Context) -> None:
    """Raise InputError where the app's visitors may not train."""
    if refusal := training_refusal(context):
        raise InputError(refusal)


def training_form(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Describe the plan's fields for a base, {base}: {refused, fixed, numbers, switches, texts, titles, front, suggested}.

    `refused` is why none of the base's ControlNets is trained here, or ""; `fixed` are settings that have no meaning for it.
    """
    check_may_train(context)
    base = str(values.get("base") or "") or context.base()[0]
    family = family_of(base)
    defaults = {field.name: field.default for field in dataclasses.fields(TrainingPlan)}
    suggested: Mapping[str, Scalar] = {"size": defaults_of(base).size} | dict(
        SUGGESTED.get(family, {}) if family else {}
    )
    fixed = fixed_settings(family)
    return {
        "base": base,
        "refused": family_refusal(family) if family else "",
        "fixed": list(fixed),
        "numbers": declared({name: limit for name, limit in TRAINING_LIMITS.items() if name not in fixed}),
        "front": list(FRONT),
        "titles": {name: dict(titles) for name, titles in TITLES.items()},
        "switches": {
            name: {"default": defaults[name], "help": SWITCH_HELP[name]} for name in SWITCHES if name not in fixed
        },
        "texts": {name: {"label": label, "help": help} for name, (label, help) in TEXTS.items()},
        "suggested": dict(suggested),
        "changeable": [name for name in CHANGEABLE if name not in fixed],
    }


def trainings(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """List all runs, the last changed first: {trainings}."""
    check_may_train(context)
    return {"trainings": [_describe(state) for state in context.trainings.states()]}


def start_training(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Begin a training, {plan} → {name}; what is wrong with the plan is {refused: {field, message}}, field may be null."""
    check_may_train(context)
    given = {name: value for name, value in (values.get("plan") or {}).items() if value not in (None, "")}
    try:
        plan = plan_from_json({"base": EMBEDDED, **given})
        check_plan(with_absolute_folders(plan))
        context.trainings.start(plan)
    except InputError as error:
        return {"refused": {"field": _field_of(str(error)), "message": in_form_words(str(error))}}
    return {"name": plan.name}


def resume_training(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Go on with a run, {name, changes of its plan or null}; what is wrong with them is {refused: {field, message}}."""
    check_may_train(context)
    changes = values.get("changes")
    if not isinstance(changes, dict | None):
        raise InputError("changes is no object of settings; reload the page.")
    try:
        context.trainings.resume(str(values["name"]), cast("Mapping[str, Any] | None", changes))
    except InputError as error:
        if not changes:
            raise
        return {"refused": {"field": _field_of(str(error)), "message": in_form_words(str(error))}}
    return {}


def pause_training(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """End a run after its step, to be resumed, {name}."""
    check_may_train(context)
    context.trainings.pause(str(values["name"]))
    return {}


def stop_training(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """End a run after its step, {name}."""
    check_may_train(context)
    context.trainings.stop(str(values["name"]))
    return {}


def delete_training(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Remove a run that does not run, {name}."""
    check_may_train(context)
    context.trainings.delete(str(values["name"]))
    return {}


def try_training(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Make a checkpoint of a run usable in its tab, the newest or the best: {name, best} → {controlnet, step, condition, base}."""
    check_may_train(context)
    name = str(values["name"])
    step = context.trainings.export(name, best=values.get("best") is True)
    plan = context.trainings.state(name).plan
    is_here = find_local("base", plan.exported_base) is not None
    base = plan.exported_base if plan.unlock_after and is_here else plan.base
    return {"controlnet": plan.name, "step": step, "condition": plan.condition, "base": base}


def follow_training(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Return how a run stands and what happened since a byte of its log: {name, byte} → {training, records, byte, probes}.

    A long log is thinned. A record is {kind, step, time, values}; the pictures of a probe are references of files.
    """
    check_may_train(context)
    name, byte = str(values["name"]), int(values.get("byte") or 0)
    if byte < 0:
        raise InputError(f"byte is {byte}, but it must be at least 0; reload the page.")
    records, after = context.trainings.follow(name, byte)
    state = context.trainings.state(name)
    run = RunFolder(context.trainings.folder / name)
    return {
        "training": _describe(state),
        "records": [_record(context, run, record) for record in thinned(course(records))],
        "byte": after,
        "probes": _pictures(context, run, (f"probes/{number}.png" for number in range(state.plan.probes))),
    }


def _describe(state: TrainingState) -> Object:
    story = state.story
    last = story.looks[-1] if story.looks else None
    return {
        "name": state.name,
        "standing": state.standing,
        "message": state.message,
        "is_busy": state.is_busy,
        "wish": state.wish,
        "step": story.step,
        "steps": state.plan.steps,
        "score": last.score if last else None,
        "converged": dict(story.converged.values) if story.converged else None,
        "estimate": estimate_words(story.estimate.values) if story.estimate else "",
        "checkpoint": story.checkpoint,
        "best_checkpoint": story.best_checkpoint,
        "exported": story.exported.step if story.exported else None,
        "notes": story.notes[-5:],
        "overfits": story.overfits,
        "plan": plan_to_json(state.plan),
    }


def _record(context: Context, run: RunFolder, record: Record) -> Object:
    values = dict(record.values)
    if record.kind == "probe":
        values["pictures"] = _pictures(context, run, cast("list[str]", values["pictures"]))
    return {"kind": record.kind, "step": record.step, "time": record.time, "values": values}


def _pictures(context: Context, run: RunFolder, paths: Iterable[str]) -> list[str | None]:
    """Return a reference for each file of a run; None where it is gone."""
    return [context.refer(str((run.path / path).resolve())) if (run.path / path).is_file() else None for path in paths]


def _field_of(message: str) -> str | None:
    """Return the field of the plan that a refusal begins with; the name for one that is taken."""
    named = re.match(r"[a-z_]+", message)
    fields = {field.name for field in dataclasses.fields(TrainingPlan)}
    if named and named[0] in fields:
        return named[0]
    if message.startswith("There is a training"):
        return "name"
    return "condition" if message.startswith("There is no condition") else None
