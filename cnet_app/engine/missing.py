"""Downloads that a task needs, listed before it runs: only a DownloadRequest downloads. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
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
from models.catalogue.resolve import NamedKind, missing, resolve
from models.catalogue.row import Weights
from models.catalogue.weights import find


def rows_to_download(task: Task) -> tuple[Weights, ...]:
    """Return the rows of everything that a task names and that is not on this disk, each once.

    Raises InputError for names that mean nothing.
    """
    if isinstance(task, MapRequest):
        needs = create(annotator(task.annotator), task.annotator_parameters).needs()
        return tuple(entry(id) for id in needs if not find(id))
    if isinstance(task, GenerationRequest | UpscaleRequest):
        rows = [row for kind, id in _named(task) for row in missing(resolve(id, kind))]
        return tuple({row.id: row for row in rows}.values())
    if isinstance(task, DownloadRequest):
        return ()
    assert_never(task)


def _named(task: GenerationRequest | UpscaleRequest) -> Iterator[tuple[NamedKind, str]]:
    """Kind and id of every model; a ControlNet that depends on an unknown family is left out."""
    yield "base", task.base
    if task.vae:
        yield "vae", task.vae
    for lora in task.loras:
        yield "lora", lora.name
    if task.ip_adapter:
        yield "ip_adapter", task.ip_adapter.name
    family = resolve(task.base, "base").family
    units = task.units if isinstance(task, GenerationRequest) else ()
    wanted = [(unit.condition, unit.controlnet) for unit in units]
    wanted += [("tile", None)] if isinstance(task, UpscaleRequest) else []
    for condition_id, named in wanted:
        if family and (model := control_model(condition_id, named, family, task.base)):
            yield model
        elif named and not family:
            yield "controlnet", named
