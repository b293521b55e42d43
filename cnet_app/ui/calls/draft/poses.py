"""People that the page edits: read from the files of any tool, and drawn by the parameters that fit them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotators.base import parameters
from annotators.people.body_annotator import PoseAnnotator
from annotators.people.pose_json import has_size
from annotators.people.poses import MAX_JSON_BYTES, read_json
from annotators.people.poses import read_pose as read_people
from cnet_app.ui.calls.context import Context, Object, Visitor
from cnet_app.ui.calls.draft.frame import read_frame
from models.errors import InputError

MOST_DRAWN = int(parameters(PoseAnnotator)["most_people"].maximum or 0)
STICKS = ("sticks", "stick_width")
"""Parameters of an annotator of people that say how they are drawn, not which of them."""


def drawing_parameters(of_layer: Mapping[str, object]) -> Mapping[str, object]:
    """Return the parameters that draw all people of a pose as a layer's annotator draws those that it detects."""
    return {name: of_layer[name] for name in STICKS if name in of_layer} | {"most_people": MOST_DRAWN}


def read_pose(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Read people from a JSON file: {path of an upload, or text; name; frame} → {pose, notes}.

    The pose is in pixels of the picture that the file names, or of the frame where it names none, which is a note.
    Raises InputError for what is no pose.
    """
    frame = read_frame(values.get("frame"))
    name = str(values.get("name") or "The file")
    value = read_json(_content(context, values, name), name)
    pose, notes = read_people(value, name, (frame.width, frame.height))
    if len(pose.people) > MOST_DRAWN:
        raise InputError(f"{name} has {len(pose.people)} people; the limit is {MOST_DRAWN}, leave some out.")
    size = f"{frame.width}x{frame.height}"
    missing = (
        f"{name} does not name its picture's size, so that its points are taken as those of this one, {size} pixels."
    )
    return {"pose": pose.to_json(), "notes": [*notes, *([] if has_size(value) else [missing])]}


def _content(context: Context, values: Mapping[str, Any], name: str) -> bytes:
    """Return the bytes of the file. Raises InputError where there are too many."""
    text = values.get("text")
    path = context.uploaded(values.get("path")) if text is None else None
    data = str(text).encode(errors="replace")
    size = path.stat().st_size if path else len(data)
    if size > MAX_JSON_BYTES:
        raise InputError(f"{name} has {size / 1e6:.0f} MB; the limit for a pose is {MAX_JSON_BYTES / 1e6:.0f} MB.")
    return path.read_bytes() if path else data
