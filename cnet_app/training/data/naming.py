"""Names of folders, columns and endings in data sets, and what readers share. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from cnet_app.training.data.pairs import Problem

IMAGE_FOLDERS = ("images", "image", "img", "target", "targets")
CONTROL_FOLDERS = ("conditioning_images", "conditioning_image", "conditioning", "conditionings", "control", "controls", "cond", "source", "maps", "hints")  # fmt: skip
CAPTION_FOLDERS = ("captions", "caption", "prompts", "texts")
CAPTION_SUFFIXES = (".txt", ".caption")
METADATA = ("metadata.jsonl", "metadata.csv", "metadata.json")
IMAGE_KEYS, CONTROL_KEYS, TEXT_KEYS = (
    ("image", "file_name", "file_path", "target"),
    ("conditioning_image", "conditioning_image_file_name", "control_file_path", "control_image", "source"),
    ("text", "caption", "prompt"),
)
"""Names that columns have in diffusers' examples, in imagefolders, in VideoX-Fun's and in the original's data."""
CAPTION_NAME_KEYS = ("image", "file_name", "name", "file", "file_path", "target")
"""The same of the column that names the picture of a caption."""
PROMPT_JSON = "prompt.json"
CONTROL_MEMBERS = ("control", "conditioning", "conditioning_image", "cond", "source", "map", "hint")
"""Second ending of a map in a tar shard: 0001.jpg, 0001.control.png, 0001.txt."""


def missing(where: str, pair: str, wanted: str, what: str = "map") -> Problem:
    """Return the problem of a pair of which a half is not there."""
    return Problem("missing", where, f"{where} has no {what}; add {wanted}, or remove it.", pair)


def parse_json(text: str) -> Any:
    """Return the value of a JSON text; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def value_of(row: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """Return the text of the first key that a row has; an object as the hub's viewer writes it counts by its path."""
    for key in keys:
        value = row.get(key)
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get("path")
        if isinstance(value, str):
            return value.strip()
    return ""
