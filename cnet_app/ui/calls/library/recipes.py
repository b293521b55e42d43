"""Recipes: read out of pictures of any program, and used again."""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Mapping
from typing import Any, cast

from annotators.sources.images import load_image
from cnet_app.engine.missing import rows_to_download
from cnet_app.request.foreign.imported import Imported
from cnet_app.request.foreign.reading import read_picture
from cnet_app.request.generation import MAX_SEED, GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.recipe import Recipe, read_recipe
from cnet_app.request.tasks import task_from_json
from cnet_app.request.upscale import UPSCALE_LIMITS, UpscaleRequest
from cnet_app.ui.bases import EMBEDDED, family_of
from cnet_app.ui.calls.access import seen_picture
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.draft.restored import draft_of
from cnet_app.ui.calls.models import describe_rows
from models.errors import InputError

OURS = "ControlNet Studio"
MAX_TEXT = 60_000_000
"""Characters of a recipe as JSON: a request holds at most 40 MB of pictures, of which base64 makes a third more."""
DEMO_STRENGTH = 0.25
"""Of an upscale with the demo model: more of it paints other shapes."""


def recipe_of(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Read a recipe: {id} of a picture, {path} of an upload, or {text}, JSON; {base} stands in for a base that is not here.

    The answer is {program, draft, partial, notes}: `draft` has the fields of a draft, `partial` is whether its maps are
    missing, `notes` name what could not be taken. For an upload without a recipe it is {program: "", reason}.
    """
    if "id" in values:
        return _describe_ours(context, read_recipe(seen_picture(context, visitor, values).path))
    if "text" in values:
        return _describe_ours(context, Recipe(_request_of(str(values["text"])), {}, {}))
    path = context.uploaded(values.get("path"))
    try:
        found = read_picture(path)
    except InputError as error:
        return {"program": "", "reason": str(error)}
    if isinstance(found, Recipe):
        return _describe_ours(context, found)
    return _describe_foreign(context, found, str(values.get("base") or ""))


def before(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Return the picture that the picture of {id} was begun from: {path}, null for one that was begun from noise alone.

    Raises InputError for a picture without a recipe.
    """
    begun_from = read_recipe(seen_picture(context, visitor, values).path).request.initial_image
    return {"path": context.serve_file(begun_from, "before.png") if begun_from else None}


def vary(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Queue the picture of {id} again with another seed → {jobs, seed, width, height, warnings}, or {missing: rows}."""
    recipe = read_recipe(seen_picture(context, visitor, values).path)
    seed = (recipe.request.seed + 1 + secrets.randbelow(MAX_SEED)) % (MAX_SEED + 1)
    request = dataclasses.replace(recipe.request, seed=seed, num_images=1)
    size = {"width": request.width, "height": request.height}
    return _queue(context, visitor, request) | size | {"seed": seed, "warnings": list(recipe.changed_files)}


def upscale(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Queue the picture of {id} at {factor} times its size → {jobs, seed, width, height, warnings}, or {missing: rows}."""
    picture = seen_picture(context, visitor, values)
    recipe = read_recipe(picture.path)
    is_demo = family_of(recipe.request.base) == EMBEDDED
    strength = DEMO_STRENGTH if is_demo else float(UPSCALE_LIMITS["strength"].default)
    shared: dict[str, Any] = recipe.request.shared
    pixels = encode_png(load_image(picture.path))
    request = UpscaleRequest(picture=pixels, factor=values.get("factor", 2.0), strength=strength, **shared)
    note = f"The demo model repaints {100 * DEMO_STRENGTH:.0f} % of the larger picture only, so that its shapes stay."
    warnings = [*recipe.changed_files, *([note] if is_demo else [])]
    width, height = request.size
    return _queue(context, visitor, request) | {
        "width": width,
        "height": height,
        "seed": request.seed,
        "warnings": warnings,
    }


def _queue(context: Context, visitor: Visitor, request: GenerationRequest | UpscaleRequest) -> Object:
    context.check_known(request)
    if rows := rows_to_download(request):
        return {"missing": describe_rows(rows)}
    context.admit(visitor)
    return {"jobs": [context.runner.submit(request, visitor.session)]}


def _describe_ours(context: Context, recipe: Recipe) -> Object:
    draft = draft_of(context, recipe.request)
    return {"program": OURS, "draft": draft, "partial": False, "notes": list(recipe.changed_files)}


def _describe_foreign(context: Context, found: Imported, base: str) -> Object:
    """What the recipe leaves out takes the base's own values; there are no maps and no start picture in such a file."""
    request = found.request(found.base or base or context.base()[0])
    draft = draft_of(context, request)
    if found.fields.get("seed") is None:
        draft["seed"] = {"locked": False, "value": None}
    notes = list(found.left_out)
    if found.base is None and found.wanted_base:
        notes.insert(0, f"base model {found.wanted_base}: it is not here")
    return {"program": found.program, "draft": draft, "partial": True, "notes": notes}


def _request_of(text: str) -> GenerationRequest:
    """Return the request in JSON text: a request itself, or a file beside a picture of a ZIP. Raises InputError."""
    if len(text) > MAX_TEXT:
        raise InputError(f"The recipe has {len(text) / 1e6:.0f} MB; the limit is {MAX_TEXT / 1e6:.0f} MB.")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("The file is not JSON; choose a recipe or a pose.") from error
    outer = cast("dict[str, object]", content) if isinstance(content, dict) else {}
    task = task_from_json(outer.get("recipe", content))
    if not isinstance(task, GenerationRequest):
        raise InputError(f"The file is of kind {task.kind}, which makes no picture by itself; choose a recipe.")
    return task
