"""Jobs and the history as JSON values; pictures are paths. Loads no torch."""

from __future__ import annotations

from typing import Any

from cnet_app.api.score import describe_score
from cnet_app.jobs.state import JobState
from cnet_app.jobs.store import Record


def describe_job(state: JobState) -> dict[str, Any]:
    """Return the state of a job: what is done, its pictures so far, and at the end seeds, notes, or the error."""
    result = state.result
    return {
        "id": state.id,
        "status": state.status,
        "place": state.place,
        "doing": state.doing,
        "fraction": round(state.fraction, 4),
        "step": state.step,
        "steps": state.steps,
        "num_images": state.num_images,
        "seconds_left": state.seconds_left,
        "pictures": list(state.paths),
        "scores": [_scores(state, path) for path in state.paths],
        "best_first": [state.paths.index(path) for path in state.best_first],
        "seeds": list(result.seeds) if result else [],
        "seconds": result.seconds if result else None,
        "notes": list(result.notes) if result else [],
        "error": state.error,
    }


def _scores(state: JobState, path: str) -> list[dict[str, Any]] | None:
    """Return the scores of a picture by unit; None where it was not measured yet."""
    found = state.scores.get(path)
    return None if found is None else [describe_score(one) for one in found]


def describe_record(record: Record) -> dict[str, Any]:
    """Return a job of the history."""
    return {
        "id": record.id,
        "kind": record.kind,
        "status": record.status,
        "created": record.created,
        "prompt": record.prompt,
        "base": record.base,
        "conditions": [id for id in record.conditions.split(", ") if id],
        "width": record.width,
        "height": record.height,
        "num_images": record.num_images,
        "seed": record.seed,
        "seconds": record.seconds,
        "scores": dict(record.scores),
        "pictures": list(record.paths),
        "error": record.error,
    }
