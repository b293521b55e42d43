"""Requests from the JSON values of a call. Loads no torch."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from annotators.base import Image, shown
from annotators.maps.control_map import ControlMap
from annotators.people.poses import Pose
from cnet_app.maps.annotate import Maps, build_unit
from cnet_app.maps.availability import default_annotator
from cnet_app.maps.own import is_data, load_source, source_role
from cnet_app.registry.conditions import start_scale
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.inpaint import crop_sources
from cnet_app.request.pictures import HOLE, PICTURE_ROLES, START, join_start, read_field
from cnet_app.request.prompts.wildcards import TEMPLATES
from cnet_app.request.sizes import fit_budget, size_of
from cnet_app.request.units import ControlUnit, IpAdapter, Lora
from models.catalogue.resolve import resolve
from models.errors import InputError
from models.families import side_multiple
from models.names import did_you_mean

OWN_MAP = "none"
"""In place of an annotator: the image is a map already."""
SOURCE_FIELDS = ("condition", "image", "annotator", "parameters", "repairs")
UNIT_FIELDS = tuple(
    field.name
    for field in dataclasses.fields(ControlUnit)
    if field.name
    not in ("condition", "control_image", "control_data", "annotator", "annotator_parameters", "source_sha256")
)
REQUEST_FIELDS = tuple(
    field.name
    for field in dataclasses.fields(GenerationRequest)
    if field.name not in ("prompt", "units", *TEMPLATES.values())
)
PICTURES = (START, *PICTURE_ROLES)
"""Fields that hold a file in a call, and PNG bytes in a request."""
MAX_CONTROLS = 16


@dataclasses.dataclass(frozen=True)
class MapCall:
    """One map to be made."""

    condition: str
    annotator: str | None
    source: Image | Pose
    parameters: Mapping[str, object]
    repairs: Sequence[str]
    notes: tuple[str, ...] = ()
    """On what of the file is not used as it is."""


def read_map_call(values: Mapping[str, Any], maps: Maps) -> MapCall:
    """Return the map that `condition`, `image`, `annotator`, `parameters` and `repairs` describe.

    An empty annotator is the condition's best that can run, "none" takes the image as a map.
    """
    condition = str(values.get("condition") or "")
    path = file_path("image", values.get("image"))
    chosen = values.get("annotator") or ""
    if not chosen:
        chosen = OWN_MAP if is_data(path) else default_annotator(condition, maps.faults)
    made_by = None if chosen == OWN_MAP else str(chosen)
    source, notes = load_source(path, source_role(condition, made_by))
    parameters, repairs = values.get("parameters") or {}, values.get("repairs") or ()
    if not isinstance(parameters, Mapping) or not isinstance(repairs, list | tuple):
        raise InputError("parameters must be an object with the annotator's parameters, and repairs a list of names.")
    return MapCall(
        condition,
        made_by,
        source,
        cast("Mapping[str, object]", parameters),
        cast("Sequence[str]", repairs),
        notes,
    )


def make_map(call: MapCall, maps: Maps, width: int, height: int) -> ControlMap:
    """Return the map of a call at a size in pixels."""
    made = maps.annotate(
        call.condition, call.annotator, call.source, call.parameters or None, width, height, repairs=call.repairs
    )
    return dataclasses.replace(made, warnings=(*call.notes, *made.warnings))


def read_generation(
    prompt: str, controls: Sequence[Mapping[str, Any]], options: Mapping[str, Any], base: str, maps: Maps
) -> tuple[GenerationRequest, tuple[str, ...]]:
    """Return the request of a call and the warnings of its maps.

    `controls` hold the fields of `read_map_call` and of a ControlUnit, `options` those of a GenerationRequest. What is
    left out has the defaults of the base, here `base` where the options name none; the size follows the first image.
    Raises InputError, and WeightsError where an annotator's files are missing.
    """
    _check_list("controls", controls)
    if len(controls) > MAX_CONTROLS:
        raise InputError(f"There are {len(controls)} controls, but a picture has at most {MAX_CONTROLS}.")
    for control in controls:
        _check_names("A control", control, (*SOURCE_FIELDS, *UNIT_FIELDS))
    _check_names("options", options, REQUEST_FIELDS)
    calls = [read_map_call(control, maps) for control in controls]
    fields, notes = _request_fields(options, base, calls[0].source if calls else None)
    request = GenerationRequest(prompt=prompt, **fields)
    sources = crop_sources(request, [call.source for call in calls])
    calls = [dataclasses.replace(call, source=source) for call, source in zip(calls, sources, strict=True)]
    made = [make_map(call, maps, request.width, request.height) for call in calls]
    read = [_values(control, UNIT_FIELDS) for control in controls]
    family = resolve(request.base, "base").family
    units: list[ControlUnit] = []
    for call, one, (values, _) in zip(calls, made, read, strict=True):
        scale = start_scale(call.condition, values.get("controlnet"), request.base, family)
        units.append(build_unit(call.condition, one, **{"conditioning_scale": scale} | values))
    warnings = (text for one, (_, told) in zip(made, read, strict=True) for text in (*told, *one.warnings))
    return dataclasses.replace(request, units=tuple(units)), (*notes, *warnings)


def file_path(name: str, value: object) -> Path:
    """Return the path of an uploaded file. Raises InputError for any other value."""
    path = cast("Mapping[str, object]", value).get("path") if isinstance(value, Mapping) else None
    if not isinstance(path, str) or not path:
        raise InputError(f"{name} must be an uploaded file; give one.")
    return Path(path)


def _request_fields(
    options: Mapping[str, Any], base: str, source: Image | Pose | None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    given, notes = _values(options, REQUEST_FIELDS)
    if loras := given.get("loras"):
        _check_list("loras", loras)
        given["loras"] = tuple(Lora(**_fields("A LoRA", one, ("name", "scale"))) for one in loras)
    if adapter := given.get("ip_adapter"):
        given["ip_adapter"] = IpAdapter(**_fields("An IP-Adapter", adapter, ("name", "image", "scale")))
    base = given.setdefault("base", base)
    if not isinstance(base, str):
        raise InputError(f"base is {shown(base)}, but it must be the name of a base model.")
    resolved = resolve(base, "base")
    start = dataclasses.asdict(resolved.defaults)
    side, multiple = start.pop("size"), side_multiple(resolved.family)
    width, height = (side, side) if source is None else fit_budget(*size_of(source), side, multiple)
    return {**start, "width": width, "height": height, "seed": secrets.randbelow(2**31), **given}, notes


def _values(given: Mapping[str, Any], names: Sequence[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The named fields that are given, pictures as PNG and lists as tuples, and notes on the pictures."""
    present = {name: given[name] for name in names if given.get(name) is not None}
    read = {name: read_field(name, file_path(name, value)) for name, value in present.items() if name in PICTURES}
    notes = tuple(note for _, told in read.values() for note in told)
    values = {name: read[name][0][name] if name in read else _tupled(value) for name, value in present.items()}
    start, told = join_start(read[START][0] if START in read else {}, values.get(HOLE))
    return values | start, (*notes, *told)


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, cast("list[Any]", value))) if isinstance(value, list) else value


def _fields(what: str, given: object, names: Sequence[str]) -> dict[str, Any]:
    """Return the named fields of an object, which needs all of them but `scale`."""
    _check_names(what, given, names)
    fields = _values(cast("Mapping[str, Any]", given), names)[0]
    missing = next((name for name in names if name != "scale" and name not in fields), None)
    if missing:
        raise InputError(f"{what} has no {missing}, but needs it; give it.")
    return fields


def _check_list(name: str, given: object) -> None:
    """Raise InputError for JSON that is no list."""
    if not isinstance(given, list | tuple):
        raise InputError(f"{name} is {shown(given)}, but it must be a list of objects.")


def _check_names(what: str, given: object, known: Sequence[str]) -> None:
    """Raise InputError for JSON that is no object, or has a field of another name."""
    if not isinstance(given, Mapping):
        raise InputError(f"{what} is {shown(given)}, but it must be an object; its fields are: {', '.join(known)}.")
    names = map(str, cast("Mapping[object, object]", given))
    strange = next((name for name in names if name not in known), None)
    if strange is not None:
        hint = did_you_mean(strange, known)
        raise InputError(f"{what} has no field {shown(strange)}{hint}; its fields are: {', '.join(known)}.")
