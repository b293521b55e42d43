"""Jobs of the page: made from a draft, followed, cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnet_app.engine.missing import rows_to_download
from cnet_app.jobs.state import JobState
from cnet_app.request.wildcards import Wildcards, resolve_request
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.drafts import read_draft
from cnet_app.ui.calls.maps import missing_for_maps
from cnet_app.ui.calls.models import describe_rows
from cnet_app.ui.calls.pictures import data_url

PATIENCE = 10.0
"""Seconds that a call of watch waits for a change."""
LOOK = 0.05
"""Seconds between two looks."""


def generate(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Queue the job of a draft: {draft} → {jobs, seed, width, height, warnings}, or {missing: rows} to download first."""
    draft: Mapping[str, Any] = values.get("draft") or {}
    if missing := missing_for_maps(context, draft):
        return {"missing": describe_rows(missing)}
    request, warnings = read_draft(context, draft)
    if rows := rows_to_download(request):
        return {"missing": describe_rows(rows)}
    # With wildcards each picture has a prompt of its own, and is a job.
    jobs = [context.runner.submit(one, visitor.session) for one in resolve_request(request, Wildcards())]
    size = {"width": request.width, "height": request.height}
    return {"jobs": jobs, "seed": request.seed, "warnings": list(warnings), **size}


def cancel(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Cancel a job, {job}; its finished pictures stay."""
    context.runner.cancel(str(values.get("job")))
    return {}


def describe_job(state: JobState, preview: bool = True) -> Object:
    """Return a job as the page shows it."""
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
        "prompt": getattr(request, "prompt", ""),
        "seed": getattr(request, "seed", None),
        "pictures": list(state.paths),
        "scores": {path: [one.to_json() for one in scores] for path, scores in state.scores.items()},
        "seconds_left": state.seconds_left,
        "notes": list(result.notes) if result else [],
        "norms": [list(norms) for norms in result.residual_norms] if result else [],
        "seconds": result.seconds if result else None,
        "error": state.error,
        "preview": data_url(state.preview, "image/jpeg") if preview and state.preview else "",
    }
