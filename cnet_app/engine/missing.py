"""Downloads that a task needs, listed before it runs: only a DownloadRequest downloads. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from annotators.base import create
from annotators.registry import annotator
from cnet_app.registry.conditions import control_model
from cnet_app.request.downloads import DownloadRequest
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.maps import MapRequest
from cnet_app.request.tasks import Task
from cnet_app.request.upscale import UpscaleRequest
from models.catalogue.catalog import entry
from models.catalogue.resolve import NamedKind, Resolved, missing, resolve
from models.catalogue.row import Weights
from models.catalogue.weights import find
from models.family_facts import Family

Wanted = tuple[str, str | None]
"""Id of a condition, and the ControlNet that is named for it; None for the condition's own."""


def rows_to_download(task: Task) -> tuple[Weights, ...]:
    """Return the rows of everything that a task names and that is not on this disk, each once.

    Raises InputError for names that mean nothing, and for what does not fit the base.
    """
    if isinstance(task, MapRequest):
        needs = create(annotator(task.annotator), task.annotator_parameters).needs()
        return tuple(entry(id) for id in needs if not find(id))
    if isinstance(task, GenerationRequest | UpscaleRequest):
        rows = [row for found in _resolved(task, _wanted(task)) for row in missing(found)]
        return tuple({row.id: row for row in rows}.values())
    if isinstance(task, DownloadRequest):
        return ()
    assert_never(task)


def check_models(task: GenerationRequest | UpscaleRequest, wanted: Iterable[Wanted] = ()) -> None:
    """Raise InputError where a model that a task names does not fit its base, WeightsError where its file is damaged.

    Call it before the base is downloaded. `wanted` are units whose maps are not made yet.
    """
    for _ in _resolved(task, (*_wanted(task), *wanted)):
        pass


def _wanted(task: GenerationRequest | UpscaleRequest) -> tuple[Wanted, ...]:
    if isinstance(task, UpscaleRequest):
        return (("tile", None),)
    return tuple((unit.condition, unit.controlnet) for unit in task.units)


def _resolved(task: GenerationRequest | UpscaleRequest, wanted: Iterable[Wanted]) -> Iterator[Resolved]:
    """The base, then every other model for the base's family; nothing is checked against a family that is not known yet."""
    base = resolve(task.base, "base")
    yield base
    for kind, id in _named(task, wanted, base.family):
        yield resolve(id, kind, base.family)


def _named(
    task: GenerationRequest | UpscaleRequest, wanted: Iterable[Wanted], family: Family | None
) -> Iterator[tuple[NamedKind, str]]:
    """Kind and id of every model besides the base; a ControlNet that depends on an unknown family is left out."""
    if task.vae:
        yield "vae", task.vae
    for lora in task.loras:
        yield "lora", lora.name
    if task.ip_adapter:
        yield "ip_adapter", task.ip_adapter.name
    for condition_id, named in wanted:
        if family and (model := control_model(condition_id, named, family, task.base)):
            yield model
        elif named and not family:
            yield "controlnet", named
