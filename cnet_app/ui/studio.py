"""The studio: one component of our own that is the whole page, and the calls that its scripts make."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from inspect import iscoroutinefunction
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import anyio.to_thread
import gradio as gr

from annotators.base import shown
from cnet_app.ui.calls.context import Call, Context, Object, Visitor, WaitingCall, identity
from cnet_app.ui.calls.describe import tables
from cnet_app.ui.calls.draft.coverage import coverage_of_draft, hint_of_norms
from cnet_app.ui.calls.draft.frame import frame_of
from cnet_app.ui.calls.draft.maps import map_of_layer
from cnet_app.ui.calls.draft.overlays import overlay_of
from cnet_app.ui.calls.draft.pictures import put
from cnet_app.ui.calls.draft.poses import read_pose
from cnet_app.ui.calls.examples import example
from cnet_app.ui.calls.jobs.jobs import cancel, cancel_all, generate, move, resume, unfinished
from cnet_app.ui.calls.jobs.sweeps import (
    batch,
    cancel_sweep,
    grid,
    resume_sweep,
    sweep,
    sweep_fields,
    sweep_plan,
    sweeps,
    wildcards,
)
from cnet_app.ui.calls.jobs.watch import watch
from cnet_app.ui.calls.library.library import (
    board,
    delete,
    details,
    empty_trash,
    favour,
    library,
    pack,
    restore,
    shelves,
    thumbnails,
)
from cnet_app.ui.calls.library.recipes import before, recipe_of, upscale, vary
from cnet_app.ui.calls.memory import memory
from cnet_app.ui.calls.models import catalogue, choices, download, question, start_engine, unload
from cnet_app.ui.calls.shapes import SHAPES
from cnet_app.ui.calls.studies import (
    create_study,
    studies,
    study,
    study_answer,
    study_picture,
    study_question,
    study_results,
)
from cnet_app.ui.calls.training import (
    delete_training,
    follow_training,
    pause_training,
    resume_training,
    start_training,
    stop_training,
    training_form,
    trainings,
    try_training,
)
from cnet_app.ui.calls.training_data import build_data, cancel_data, check_data, data_state, find_data
from cnet_app.ui.labels import in_form_words
from models.downloads.disk import disk_explained
from models.errors import USER_ERRORS

LOG = logging.getLogger(__name__)
WEB = Path(__file__).with_name("web")
"""Scripts and styles, served as they are under ROUTE."""
ROUTE = "/studio"
CALLS: Mapping[str, Call | WaitingCall] = MappingProxyType(
    {
        "tables": tables,
        "choices": choices,
        "memory": memory,
        "catalogue": catalogue,
        "question": question,
        "download": download,
        "unload": unload,
        "start_engine": start_engine,
        "example": example,
        "frame": frame_of,
        "put": put,
        "map": map_of_layer,
        "coverage": coverage_of_draft,
        "fighting": hint_of_norms,
        "pose": read_pose,
        "generate": generate,
        "cancel": cancel,
        "cancel_all": cancel_all,
        "move": move,
        "resume": resume,
        "unfinished": unfinished,
        "before": before,
        "vary": vary,
        "upscale": upscale,
        "read_recipe": recipe_of,
        "overlay": overlay_of,
        "library": library,
        "shelves": shelves,
        "thumbnails": thumbnails,
        "details": details,
        "favour": favour,
        "board": board,
        "delete": delete,
        "restore": restore,
        "empty_trash": empty_trash,
        "zip": pack,
        "sweep_fields": sweep_fields,
        "sweep_plan": sweep_plan,
        "grid": grid,
        "batch": batch,
        "sweeps": sweeps,
        "sweep": sweep,
        "cancel_sweep": cancel_sweep,
        "resume_sweep": resume_sweep,
        "wildcards": wildcards,
        "study": study,
        "study_question": study_question,
        "study_answer": study_answer,
        "study_picture": study_picture,
        "studies": studies,
        "create_study": create_study,
        "study_results": study_results,
        "training_form": training_form,
        "trainings": trainings,
        "start_training": start_training,
        "resume_training": resume_training,
        "pause_training": pause_training,
        "stop_training": stop_training,
        "delete_training": delete_training,
        "try_training": try_training,
        "follow_training": follow_training,
        "find_data": find_data,
        "build_data": build_data,
        "check_data": check_data,
        "data_state": data_state,
        "cancel_data": cancel_data,
        "watch": watch,
    }
)
"""Every call by its name in the scripts (web/core/server.js)."""
START = """
const page = new URL(".", document.baseURI);
import(new URL("studio/main.js", page)).then((studio) => studio.start(element, { page }));
"""
STYLES = (
    "studio",
    "stage/stage",
    "desk/desk",
    "desk/settings",
    "layers/fields",
    "layers/layers",
    "layers/menus",
    "layers/curves",
    "paint/paint",
    "pose/pose",
    "library/pictures",
    "library/library",
    "dialogs/dialogs",
    "sweeps/sweeps",
    "rank/rank",
    "rank/studies",
    "train/train",
    "train/curves",
    "page/phone",
)
"""Style sheets, in their order."""
HEAD = "".join(f'<link rel="stylesheet" href="studio/{name}.css">' for name in STYLES)
"""What the document's head holds besides Gradio's own."""


def build_studio() -> gr.HTML:
    """Build the page inside the open gr.Blocks. Its scripts call the route of cnet_app.ui.calling."""
    return gr.HTML(
        "",
        html_template='<div class="studio" aria-busy="true"></div>',
        js_on_load=START,
        elem_id="studio",
        apply_default_css=False,
    )


async def answer(context: Context, data: Mapping[str, Any], address: str = "") -> Object:
    """Return what a call returns, {name, values, session}; for a fault {error: sentence}."""
    name, session, values = data.get("name"), data.get("session"), data.get("values") or {}
    call = CALLS.get(name) if isinstance(name, str) else None
    if call is None or not isinstance(name, str):
        return {"error": f"There is no call {shown(name)}; reload the page."}
    visitor = Visitor(identity(session), address)
    context = context.of(visitor)
    try:
        SHAPES[name].check("", values)
        with disk_explained():
            if iscoroutinefunction(call):
                return await cast(WaitingCall, call)(context, visitor, values)
            return await anyio.to_thread.run_sync(cast(Call, call), context, visitor, values)
    except USER_ERRORS as error:
        return {"error": in_form_words(str(error))}
    except Exception:
        number = secrets.token_hex(3)
        LOG.exception("Error %s in the app.", number)
        return {"error": f"Something went wrong in the app itself (error {number}); see its log."}
