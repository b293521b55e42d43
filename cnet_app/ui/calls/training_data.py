"""Data for a training: what a folder holds, building pairs from pictures, and what the check finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from annotators.base import Image
from annotators.sources.images import fit_inside, resize
from cnet_app.jobs.trainings.data_work import DataState
from cnet_app.maps.availability import default_annotator
from cnet_app.registry.conditions import CONDITIONS, condition
from cnet_app.request.pictures import encode_png
from cnet_app.request.training import TRAINING_LIMITS
from cnet_app.training.data.build import check_apart
from cnet_app.training.data.doctor import TITLES
from cnet_app.training.data.pairs import Pair, read_control, read_image
from cnet_app.training.data.readers import READERS, not_read, read_data, read_facts
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.draft.pictures import data_url
from cnet_app.ui.calls.training import check_may_train
from models.errors import USER_ERRORS, InputError

FIRST = 6
"""Pairs that are shown."""
SIDE = 128
"""Of a shown picture, in px."""
SHOWN = 20
"""Problems of a kind that are listed."""


def find_data(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Describe what is in a folder, {path}: {path, form, pictures, pairs, condition, size, first, problems, not_read}.

    `condition` and `size` are known of folders that were built here; `first` has the first pairs as {name, image, control},
    and `not_read` is a sentence about files that are no pictures, or empty.
    """
    check_may_train(context)
    folder = _folder(values.get("path"))
    data = read_data(folder)
    facts = read_facts(folder)
    known = facts.get("condition") if facts.get("condition") in {row.id for row in CONDITIONS} else None
    kind = condition(known or CONDITIONS[0].id)
    return {
        "path": str(folder),
        "form": next(reader.title for reader in READERS if reader.id == data.form),
        "pictures": len(data.pairs),
        "pairs": sum(pair.control is not None for pair in data.pairs),
        "captions": sum(bool(pair.caption) for pair in data.pairs),
        "condition": known,
        "size": facts.get("size") if isinstance(facts.get("size"), int) else None,
        "first": [_shown(pair, kind.id) for pair in data.pairs[:FIRST]],
        "problems": len(data.problems),
        "not_read": not_read(data.skipped),
    }


def build_data(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Begin to build pairs: {images, condition, annotator, caption, size, output or empty} → {output}."""
    check_may_train(context)
    images = _folder(values.get("images"))
    if not read_data(images).pairs:
        raise InputError(f"{images} holds no pictures; choose another folder.")
    row = condition(str(values.get("condition") or ""))
    made_by = str(values.get("annotator") or "") or default_annotator(row.id)
    given = str(values.get("output") or "").strip()
    output = _path(given) if given else _default_output(context, images, row.id)
    check_apart(images, output)
    size = _size(values.get("size"))
    context.trainings.data.build(
        images, row.id, output, annotator=made_by, caption=str(values.get("caption") or ""), size=size
    )
    return {"output": str(output)}


def check_data(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Begin the check of a data set: {data, validation or empty, condition, caption, size}."""
    check_may_train(context)
    folder, row = _folder(values.get("data")), condition(str(values.get("condition") or ""))
    read_data(folder)
    validation = _folder(values["validation"]) if values.get("validation") else None
    if validation is not None:
        read_data(validation)
    caption, size = str(values.get("caption") or ""), _size(values.get("size"))
    context.trainings.data.check(folder, row.id, validation, caption=caption, size=size)
    return {}


def data_state(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Return how the last build or check stands: {work}, null before the first."""
    check_may_train(context)
    state = context.trainings.data.state()
    return {"work": _describe(context, state) if state else None}


def cancel_data(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """End the build or check that runs; what is built already stays."""
    check_may_train(context)
    context.trainings.data.cancel()
    return {}


def _describe(context: Context, state: DataState) -> Object:
    told: Object = {
        "kind": state.kind,
        "status": state.status,
        "data": str(state.data),
        "condition": state.condition,
        "done": state.done,
        "total": state.total,
        "message": state.message,
    }
    if state.status == "done" and state.kind == "check":
        sheet = context.trainings.data.sheet
        told |= {
            "pairs": state.result["pairs"],
            "problems": _problems(cast("Sequence[Mapping[str, Any]]", state.result["problems"])),
            "sheet": context.serve_file(sheet.read_bytes(), "contact-sheet.png") if sheet.is_file() else None,
        }
    if state.status == "done" and state.kind == "build":
        told |= {"pairs": state.result["pairs"], "left_out": list(state.result["left_out"])[:SHOWN]}
    return told


def _problems(problems: Sequence[Mapping[str, Any]]) -> list[Object]:
    """Return the problems by kind, with the first SHOWN messages of each."""
    counts = Counter(str(problem["kind"]) for problem in problems)
    return [
        {
            "kind": kind,
            "title": TITLES.get(kind, kind),
            "count": count,
            "messages": [str(problem["message"]) for problem in problems if problem["kind"] == kind][:SHOWN],
        }
        for kind, count in counts.items()
    ]


def _shown(pair: Pair, condition_id: str) -> Object:
    kind = condition(condition_id).kind
    return {
        "name": pair.name,
        "caption": pair.caption,
        "image": _small(lambda: read_image(pair)),
        "control": _small(lambda: read_control(pair, kind)) if pair.control else None,
    }


def _small(read: Callable[[], Image]) -> str | None:
    """Return a small picture as a URL; None where it cannot be read."""
    try:
        image = read()
    except USER_ERRORS:
        return None
    width, height = fit_inside(image.shape[1], image.shape[0], SIDE, SIDE)
    return data_url(encode_png(np.ascontiguousarray(resize(image, width, height, "stretch"))))


def _default_output(context: Context, images: Path, condition_id: str) -> Path:
    return context.settings.output_dir.resolve() / "training-data" / f"{images.name or 'pictures'}-{condition_id}"


def _folder(value: object) -> Path:
    """Return a folder that the user typed. Raises InputError where there is none."""
    text = str(value or "").strip()
    if not text:
        raise InputError("No folder is given; type the path of a folder on this machine.")
    folder = _path(text)
    try:
        exists = folder.is_dir()
    except (OSError, ValueError):  # a name that no folder can have
        exists = False
    if not exists:
        raise InputError(f"There is no folder {text[:200]!r} on this machine; type the path of one that is there.")
    return folder


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{text[:200]!r} is no path of a folder; type another one.") from error


def _size(value: object) -> int:
    return int(TRAINING_LIMITS["size"].check("size", 512 if value is None else value))
