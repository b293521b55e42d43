"""Grids and batches of the page: begun from a draft, followed, cancelled and resumed; and the wildcards of a prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any, cast

from annotators.base import shown
from annotators.sources.picture_files import SUFFIXES
from cnet_app.api.endpoints import as_file
from cnet_app.api.sweeps import SweepCalls, describe_sweep
from cnet_app.engine.missing import rows_to_download
from cnet_app.jobs.sweeps.batches import START, first_readable
from cnet_app.jobs.sweeps.manifest import owner_of
from cnet_app.jobs.sweeps.sweeps import SweepState
from cnet_app.maps.availability import missing_weights
from cnet_app.registry.conditions import CONDITIONS
from cnet_app.request.generation import PICTURE_AREA, GenerationRequest
from cnet_app.request.prompts.wildcards import has_wildcards
from cnet_app.request.sweeps.fields import ANNOTATOR, find_field, with_values
from cnet_app.request.sweeps.grids import Axis, axis_from_json
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.draft.drafts import active_layers, layer_sources, read_draft
from cnet_app.ui.calls.draft.frame import read_frame
from cnet_app.ui.calls.draft.maps import missing_for_maps
from cnet_app.ui.calls.jobs.sweep_fields import FieldWords
from cnet_app.ui.calls.models import describe_rows
from models.catalogue.row import Weights
from models.errors import InputError

MAX_KNOWN = 50
"""Ids of sweeps that a browser may ask about at once."""
FILES = ("last", "png", "html")
"""Fields of a described sweep that are files."""
MODELS = ("base", "vae", "controlnet", "name")
"""Fields whose values may have to be downloaded."""


def sweep_fields(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """List what a grid of a draft can vary: {draft} → {fields}, or {missing: rows} to download first."""
    draft = _single(values)
    if missing := missing_for_maps(context, draft):
        return {"missing": describe_rows(missing)}
    request, _ = read_draft(context, draft)
    words = _words(request, draft)
    return {"fields": [words.describe(field) for field in words.fields()]}


def sweep_plan(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Check the axes of a grid: {draft, axes} → {pictures, effort}.

    `effort` is the time of all pictures, as a multiple of the time of one picture of the draft.
    """
    draft = _single(values)
    request, _ = read_draft(context, draft)
    axes = _axes(request, _words(request, draft), values.get("axes"))
    return {"pictures": math.prod(len(axis.values) for axis in axes), "effort": round(_effort(request, axes), 3)}


def grid(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Begin a grid: {draft, axes, name} → {sweep, pictures, warnings}, or {missing: rows} to download first."""
    draft = _single(values)
    if missing := missing_for_maps(context, draft):
        return {"missing": describe_rows(missing)}
    request, warnings = read_draft(context, draft)
    words = _words(request, draft)
    axes = _axes(request, words, values.get("axes"))
    if rows := _to_download(request, axes):
        return {"missing": describe_rows(rows)}
    context.admit_sweep(visitor)
    started = _calls(context).start_grid_of(
        request,
        [axis.to_json() for axis in axes],
        layer_sources(context, draft, request),
        str(values.get("name") or ""),
        visitor.session,
        fit=read_frame(draft.get("frame")).resize,
        titles=[words.title(axis) for axis in axes],
        labels=[words.value_titles(axis) for axis in axes],
    )
    return _begun(started, words) | {"warnings": list(warnings)}


def batch(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Begin a batch: {draft, files, table, into, size, name} → {sweep, pictures}, or {missing: rows} to download first.

    `files` are the paths of uploaded pictures and captions, `table` that of an uploaded table. `into` holds the ids of the
    layers whose photo the pictures replace, and "start". `size` is follow or fixed.
    """
    files = [context.uploaded(path) for path in values.get("files") or ()]
    table = values.get("table")
    draft: Mapping[str, Any] = values.get("draft") or {}
    into = [str(id) for id in values.get("into") or ()]
    places = _places(draft, into)
    if missing := missing_for_maps(context, draft):
        return {"missing": describe_rows(missing)}
    draft = _filled(context, draft, into, [path for path in files if path.suffix.lower() in SUFFIXES])
    request, _ = read_draft(context, draft)
    if request.inpaint_area != PICTURE_AREA:
        raise InputError(
            "“Only masked, full size” repaints a part of one picture and cannot take many; "
            "choose the whole picture under “Start from picture”."
        )
    if rows := rows_to_download(request):
        return {"missing": describe_rows(rows)}
    context.admit_sweep(visitor)
    started = _calls(context).start_batch_of(
        request,
        [as_file(str(path)) for path in files],
        table=as_file(str(context.uploaded(table))) if table else None,
        into=places,
        size=values.get("size") or "follow",
        name=str(values.get("name") or ""),
        session=visitor.session,
    )
    return _begun(started, _words(request, draft))


def sweeps(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Describe the sweeps that a browser knows by their ids, {ids}, and those of its own that run: {sweeps}."""
    ids = [str(id) for id in values.get("ids") or ()][:MAX_KNOWN]
    running = context.sweeps.running(visitor.session) if visitor.session else ()
    described: list[Object] = []
    for id in dict.fromkeys((*ids, *running)):
        with suppress(InputError):  # its folder was removed
            described.append(_describe(context, _own(context, visitor, id)))
    return {"sweeps": described}


def sweep(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Describe a sweep, {sweep}, with all its pictures."""
    return _describe(context, _own(context, visitor, str(values.get("sweep"))), pictures=True)


def cancel_sweep(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Stop a sweep, {sweep}; its finished pictures stay, and it can be resumed."""
    id = _own(context, visitor, str(values.get("sweep"))).manifest.id
    context.sweeps.cancel(id)
    return {}


def resume_sweep(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Make the pictures of a sweep, {sweep}, that are missing."""
    id = _own(context, visitor, str(values.get("sweep"))).manifest.id
    context.admit_sweep(visitor)
    _checked(_calls(context).resume_sweep(id, visitor.session))
    return {}


def wildcards(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Count what the wildcards of a prompt stand for: {prompt} → {factors, count, names, fault}.

    `factors` are the texts of each wildcard; `names` are those that can stand between double underscores, and
    `fault` is why the prompt cannot be read.
    """
    prompt, known = str(values.get("prompt") or ""), context.wildcards()
    names = list(known.names()) if "__" in prompt else []
    factors: tuple[int, ...] = ()
    fault = ""
    try:
        factors = known.factors(prompt) if has_wildcards(prompt) else ()
    except InputError as error:
        fault = str(error)
    return {"factors": list(factors), "count": math.prod(factors), "names": names, "fault": fault}


def _single(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The draft for one picture a cell."""
    return {**(values.get("draft") or {}), "count": 1}


def _words(request: GenerationRequest, draft: Mapping[str, Any]) -> FieldWords:
    return FieldWords.of(request, draft, {row.id: row.title for row in CONDITIONS})


def _axes(request: GenerationRequest, words: FieldWords, given: object) -> list[Axis]:
    axes = cast("Sequence[object]", given) if isinstance(given, list) else ()
    if not axes:
        raise InputError("Nothing varies yet; choose a setting and its values.")
    try:
        return [axis_from_json(axis, request) for axis in axes]
    except InputError as error:
        raise words.refusal(error) from error


def _effort(request: GenerationRequest, axes: Sequence[Axis]) -> float:
    """Time grows with steps and pixels."""
    effort = float(math.prod(len(axis.values) for axis in axes))
    for axis in axes:
        if axis.name in ("num_inference_steps", "width", "height"):
            effort *= fmean(cast("Sequence[int]", axis.values)) / getattr(request, axis.name)
    return effort


def _to_download(request: GenerationRequest, axes: Sequence[Axis]) -> list[Weights]:
    """Rows that any cell needs and that are not on this disk."""
    rows = list(rows_to_download(request))
    for axis in axes:
        field = find_field(request, axis.name)
        for value in axis.values:
            if field.field == ANNOTATOR:
                rows += missing_weights(str(value))
            elif field.field in MODELS:
                rows += rows_to_download(with_values(request, [(field, value)]))
    return list({row.id: row for row in rows}.values())


def _places(draft: Mapping[str, Any], into: Sequence[str]) -> list[str]:
    """The units, counted from 1, of layers by their ids."""
    places = {str(layer.get("id")): f"unit{index + 1}" for index, layer in enumerate(active_layers(draft))}
    if draft.get("start"):
        places[START] = START
    if not into or not set(into) <= set(places):
        raise InputError(
            "The pictures of a batch take the place of a layer's photo or of the picture to start from; choose at least one "
            "that is on."
        )
    return [places[id] for id in into]


def _filled(
    context: Context, draft: Mapping[str, Any], into: Sequence[str], pictures: Sequence[Path]
) -> Mapping[str, Any]:
    """The draft with the first picture where the pictures go and none is yet: it stands for all until their turn."""
    held = {"sha256": context.assets.put(first_readable(pictures).read_bytes())}
    photo, start = draft.get("photo"), draft.get("start")

    def fill(layer: Mapping[str, Any]) -> Mapping[str, Any]:
        if layer.get("id") not in into:
            return layer
        if layer.get("source") in (None, "photo") and not photo:
            return {**layer, "source": "own", "picture": held}
        return {**layer, "picture": layer.get("picture") or held}

    if start and START in into and not photo:
        start = {**start, "picture": start.get("picture") or held}
    return {**draft, "layers": [fill(layer) for layer in draft.get("layers") or ()], "start": start}


def _calls(context: Context) -> SweepCalls:
    return SweepCalls(context.settings, context.runner, context.maps, context.sweeps)


def _begun(started: Object, words: FieldWords) -> Object:
    try:
        return _checked(started)
    except InputError as error:
        raise words.refusal(error) from error


def _checked(answer: Object) -> Object:
    """Raise the refusal of a call of programs."""
    if list(answer) == ["error"]:
        raise InputError(answer["error"])
    return answer


def _own(context: Context, visitor: Visitor, id: str) -> SweepState:
    """The state of a sweep; where others can reach the app not one that another visitor began."""
    state = context.sweeps.state(id)
    if not context.settings.is_local and state.manifest.owner != owner_of(visitor.session):
        raise InputError(f"There is no grid or batch {shown(id)}; choose another one.")
    return state


def _describe(context: Context, state: SweepState, pictures: bool = False) -> Object:
    """Return a sweep as the page shows it: `fault` is why it stopped, for `error` is a refusal of the call itself."""
    described = describe_sweep(state, pictures)
    described["fault"] = described.pop("error")
    files = [described[name] for name in FILES if described[name]] + described.get("pictures", [])
    for file in files:
        file["path"] = context.refer(file["path"])
    return described if context.settings.is_local else described | {"folder": "", "manifest": ""}
