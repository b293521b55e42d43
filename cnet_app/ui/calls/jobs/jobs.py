"""Jobs of the page: made from a draft, followed, cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnet_app.engine.missing import rows_to_download
from cnet_app.jobs.state import JobState
from cnet_app.jobs.store import Record
from cnet_app.request.checks.refusals import check_refusals
from cnet_app.request.prompts.wildcards import resolve_request
from cnet_app.ui.bases import family_of
from cnet_app.ui.calls.access import seen_job
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.draft.drafts import read_draft
from cnet_app.ui.calls.draft.maps import missing_for_maps
from cnet_app.ui.calls.draft.pictures import data_url
from cnet_app.ui.calls.models import describe_rows
from models.errors import InputError
from models.families import FAMILIES

LOOKED_THROUGH = 30
"""Newest jobs of the history in which unfinished ones are found."""
UNFINISHED = ("interrupted", "failed", "cancelled")


def generate(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Queue the job of a draft: {draft} → {jobs, seed, width, height, warnings}, or {missing: rows} to download first."""
    draft: Mapping[str, Any] = values.get("draft") or {}
    if missing := missing_for_maps(context, draft):
        return {"missing": describe_rows(missing)}
    request, warnings = read_draft(context, draft)
    if family := family_of(request.base):
        check_refusals(request, FAMILIES[family])
    if rows := rows_to_download(request):
        return {"missing": describe_rows(rows)}
    context.admit(visitor)
    # With wildcards each picture has a prompt of its own, and is a job.
    jobs = [context.runner.submit(one, visitor.session) for one in resolve_request(request, context.wildcards())]
    size = {"width": request.width, "height": request.height}
    return {"jobs": jobs, "seed": request.seed, "warnings": list(warnings), **size}


def cancel(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Cancel a job, {job}; its finished pictures stay."""
    context.runner.cancel(seen_job(context, visitor, values.get("job")).id)
    return {}


def cancel_all(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Cancel all waiting and running jobs of the visitor → {cancelled}, their number."""
    return {"cancelled": context.runner.cancel_all(visitor.session) if visitor.session else 0}


def move(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Give a waiting job another place among the visitor's own, {job, place}: 1 is the next."""
    place = values.get("place")
    if isinstance(place, bool) or not isinstance(place, int):
        raise InputError(f"place is {place!r}, but it must be a whole number from 1.")
    context.runner.move(seen_job(context, visitor, values.get("job")).id, place)
    return {}


def resume(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Queue what an ended job did not make: {job} → {job}, the new one."""
    context.admit(visitor)
    return {"job": context.runner.resume(str(values.get("job")), visitor.session)}


def unfinished(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """List the visitor's newest jobs that ended before all their pictures were made: {jobs}."""
    records = context.runner.history(LOOKED_THROUGH, visitor.session) if visitor.session else []
    return {"jobs": [_describe_rest(record) for record in records if record.status in UNFINISHED and _rest(record)]}


def _rest(record: Record) -> int:
    """Return how many pictures of a job are missing."""
    return (record.num_images or 1) - len(record.paths)


def _describe_rest(record: Record) -> Object:
    names = ("id", "kind", "status", "created", "prompt", "error")
    whole = {"left": _rest(record), "num_images": record.num_images or 1}
    return {name: getattr(record, name) for name in names} | whole


def describe_job(context: Context, state: JobState, preview: bool = True) -> Object:
    """Return a job as the page shows it."""
    references = {path: context.refer(path) for path in state.paths}
    request, result = state.request, state.result
    return {
        "id": state.id,
        "kind": request.kind,
        "status": state.status,
        "place": state.place,
        "doing": state.doing,
        "fraction": round(state.fraction, 4),
        "image_index": state.image_index,
        "step": state.step,
        "steps": state.steps,
        "num_images": state.num_images,
        "width": getattr(request, "width", None),
        "height": getattr(request, "height", None),
        "conditions": [unit.condition for unit in getattr(request, "units", ())],
        "prompt": getattr(request, "prompt", ""),
        "seed": getattr(request, "seed", None),
        "pictures": list(references.values()),
        "ids": [state.picture_ids.get(path, "") for path in state.paths],
        "scores": {references[path]: [one.to_json() for one in scores] for path, scores in state.scores.items()},
        "seconds_left": state.seconds_left,
        "notes": list(result.notes) if result else [],
        "norms": [list(norms) for norms in result.residual_norms] if result else [],
        "seconds": result.seconds if result else None,
        "error": state.error,
        "preview": data_url(state.preview, "image/jpeg") if preview and state.preview else "",
    }
