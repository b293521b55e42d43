"""Every kind of work that can be asked for, to and from JSON, written by this version or an earlier one.

A task in JSON is an object with `kind`, `schema` and the fields of the class. To change a class in a way that old JSON
does not fit: raise SCHEMA in cnet_app.request.plain by one, and give MIGRATIONS a function from the schema before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias, cast, get_args

from annotators.base import shown
from cnet_app.request.downloads import DownloadRequest
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.maps import MapRequest
from cnet_app.request.plain import SCHEMA, Json, ReadPicture, WritePicture, from_base64, from_plain, to_base64, to_plain
from cnet_app.request.units import ControlUnit, IpAdapter, Lora
from cnet_app.request.upscale import UpscaleRequest
from models.errors import InputError

Task: TypeAlias = GenerationRequest | MapRequest | UpscaleRequest | DownloadRequest
Fields: TypeAlias = dict[str, object]
KINDS: Mapping[str, type[Task]] = MappingProxyType({cls.kind: cls for cls in get_args(Task)})
PARTS: Mapping[str, tuple[type, str]] = MappingProxyType(
    {
        "units": (ControlUnit, "control unit"),
        "loras": (Lora, "LoRA"),
        "ip_adapter": (IpAdapter, "IP-Adapter"),
    }
)
"""Fields of tasks that hold other dataclasses."""


def task_to_json(task: Task, write: WritePicture = to_base64) -> dict[str, Json]:
    """The task as JSON values; `write` gives the value that stands for a picture."""
    return to_plain(task, write)


def task_from_json(values: object, read: ReadPicture = from_base64) -> Task:
    """The inverse of `task_to_json`, of older schemas too; `read` gives the picture that a value stands for.

    Absent fields take their defaults. InputError for everything unknown, out of range, or written by a newer version.
    """
    if not isinstance(values, dict):
        return from_plain(GenerationRequest, values, "request", PARTS)
    cls, fields = _up_to_date(cast(Fields, values))
    return from_plain(cls, fields, "request", PARTS, read)


def task_from_text(text: str, read: ReadPicture = from_base64) -> Task:
    """A task from JSON text; InputError."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"The request is not JSON ({error}); give the text that task_to_json was written to."
        ) from error
    return task_from_json(values, read)


def _up_to_date(values: Fields) -> tuple[type[Task], Fields]:
    """The class and its fields as this version has them. An object without kind and schema is of schema 1."""
    kind, schema = values.get("kind", GenerationRequest.kind), values.get("schema", 1)
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        raise InputError(f"schema is {shown(schema)}, but it must be a whole number from 1 to {SCHEMA}.")
    if schema > SCHEMA:
        raise InputError(
            f"The request was made by a newer version (schema {schema}; this version reads up to {SCHEMA}); "
            "update ControlNet Studio."
        )
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"kind is {shown(kind)}, but it must be one of: {', '.join(KINDS)}.")
    fields = {name: value for name, value in values.items() if name not in ("kind", "schema")}
    for number in range(schema, SCHEMA):
        fields = MIGRATIONS[number](fields)
    return KINDS[kind], fields


def _from_schema_1(fields: Fields) -> Fields:
    """An empty name stood for the default: of the base the embedded one, of everything else none."""

    def without_empty(part: object, names: tuple[str, ...]) -> object:
        if not isinstance(part, dict):
            return part
        return {name: value for name, value in cast(Fields, part).items() if name not in names or value != ""}

    fields = cast(Fields, without_empty(fields, ("base", "vae")))
    units = fields.get("units")
    if isinstance(units, list):
        fields = fields | {"units": [without_empty(unit, UNIT_NAMES) for unit in cast("list[object]", units)]}
    return fields


UNIT_NAMES = ("annotator", "controlnet", "source_sha256")
MIGRATIONS: Mapping[int, Callable[[Fields], Fields]] = MappingProxyType({1: _from_schema_1})
"""From each older schema to the one after it."""
