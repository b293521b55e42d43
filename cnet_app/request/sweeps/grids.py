"""Grids: one request with one, two or three fields varied, a cell for every combination. Loads no torch."""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from annotators.base import shown
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.plain import Json, Scalar
from cnet_app.request.prompts.wildcards import Wildcards, resolve_request
from cnet_app.request.sweeps.fields import (
    ANNOTATOR,
    NONE,
    PROMPTS,
    Field,
    RemakeMap,
    Value,
    find_field,
    with_map,
    with_values,
)
from cnet_app.request.units import ControlUnit
from models.errors import InputError

MAX_AXES = 3
MAX_VALUES = 100
"""Of one axis."""
MAX_CELLS = 1_000
AXIS = re.compile(r"\s*([A-Za-z0-9_.]+)\s*[:=](.*)", re.DOTALL)
NUMBER = r"-?(?:\d+(?:\.\d*)?|\.\d+)"
RANGE = re.compile(rf"({NUMBER})\s*-\s*({NUMBER})(?:\s*:\s*({NUMBER}))?")
LONGEST_RANGE = 100
"""Characters."""
RUN_ORDER = ("base", "vae", "controlnet", "lora", "size", ANNOTATOR, "prompt", "guidance_scale", "scheduler", "")
"""Kinds of axes, the one that is dearest to change first: it changes slowest."""


@dataclass(frozen=True)
class Axis:
    """One field and its values. With `search` the values of a prompt take the place of that text in it."""

    name: str
    values: tuple[Value, ...]
    search: str = ""

    @property
    def title(self) -> str:
        """The axis as a heading names it."""
        return f"{self.name}, {self.search} becomes" if self.search else self.name

    def to_json(self) -> dict[str, Json]:
        """The inverse of `axis_from_json`."""
        return {"name": self.name, "search": self.search, "values": list(self.values)}


@dataclass(frozen=True)
class Cell:
    """One picture of a grid."""

    indices: tuple[int, ...]
    """Of its value on each axis, from 0."""
    labels: tuple[str, ...]
    """Its value on each axis as text."""
    request: GenerationRequest


def parse_axis(text: str, request: GenerationRequest) -> Axis:
    """Return the axis of `guidance_scale: 3, 5, 7`, `seed: 1-4`, `num_inference_steps: 10-30:10` or `prompt: red=blue, green`.

    Values are separated by commas; one with a comma stands in double quotes. A range has both ends and a step, which is 1
    for whole numbers where none is given. In a prompt, `old=new` replaces a text; without `=` the values are whole prompts.
    """
    found = AXIS.fullmatch(text)
    if not found:
        raise InputError(f"The axis is {shown(text)}, but it must be NAME: VALUES, such as guidance_scale: 3, 5, 7.")
    field = find_field(request, found[1])
    search, rest = "", found[2].strip()
    if field.field in PROMPTS and field.owner == "request" and not rest.startswith('"'):
        search, equals, replaced = rest.partition("=")
        search, rest = (search.strip(), replaced) if equals else ("", rest)
    values = [value for entry in _entries(rest, field.name) for value in _parse_values(field, entry)]
    return _checked(Axis(field.name, tuple(values), search), request)


def axis_from_json(values: object, request: GenerationRequest) -> Axis:
    """Return the axis of a text as `parse_axis` reads it, or of an object with `name`, `values` and perhaps `search`."""
    if isinstance(values, str):
        return parse_axis(values, request)
    given = cast("Mapping[str, object]", values) if isinstance(values, Mapping) else {}
    if not {"name", "values"} <= set(given) <= {"name", "values", "search"}:
        raise InputError("An axis must be text or an object with name, values and perhaps search; give one.")
    if isinstance(given["values"], str):
        name, search = given["name"], given.get("search")
        return parse_axis(f"{name}: {f'{search}=' if search else ''}{given['values']}", request)
    if not isinstance(given["values"], list | tuple):
        raise InputError(f"values is {shown(given['values'])}, but it must be a list, or text such as '3, 5, 7'.")
    field = find_field(request, str(given["name"]))
    checked = tuple(field.check(value) for value in cast("Sequence[object]", given["values"]))
    return _checked(Axis(field.name, checked, str(given.get("search") or "")), request)


def grid_requests(
    request: GenerationRequest,
    axes: Sequence[Axis],
    remake: RemakeMap | None = None,
    wildcards: Wildcards | None = None,
) -> list[Cell]:
    """Return the cells of a grid in the order to run them: what is dear to change, such as the base, changes slowest.

    `remake` makes maps again for axes of an annotator, once for each combination. With `wildcards` the prompts of a cell
    are resolved by its seed. Raises InputError for values that do not go together, too.
    """
    _check_grid(request, axes)
    fields = [find_field(request, axis.name) for axis in axes]
    remake = _once(remake) if remake else None
    order = sorted(range(len(axes)), key=lambda number: _rank(fields[number]))
    cells: list[Cell] = []
    for turn in itertools.product(*(range(len(axes[number].values)) for number in order)):
        indices = tuple(turn[order.index(number)] for number in range(len(axes)))
        chosen = [axis.values[index] for axis, index in zip(axes, indices, strict=True)]
        made = with_values(request, _values(request, axes, fields, chosen), remake)
        (resolved,) = resolve_request(made, wildcards) if wildcards else (made,)
        cells.append(Cell(indices, tuple(map(label_of, chosen)), resolved))
    return cells


def label_of(value: Value) -> str:
    """Return a value as it is typed."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _values(
    request: GenerationRequest, axes: Sequence[Axis], fields: Sequence[Field], chosen: Sequence[Value]
) -> list[tuple[Field, Value]]:
    """The values of one cell; texts that are replaced in one prompt are replaced one after the other."""
    prompts: dict[str, str] = {}
    values: dict[Field, Value] = {}
    for axis, field, value in zip(axes, fields, chosen, strict=True):
        if axis.search:
            text = prompts.get(field.field, str(getattr(request, field.field)))
            value = prompts[field.field] = text.replace(axis.search, str(value))
        values[field] = value
    return list(values.items())


def _rank(field: Field) -> int:
    if field.owner == "lora":
        kind = "lora"
    elif field.owner == ANNOTATOR or field.field == ANNOTATOR:
        kind = ANNOTATOR
    elif field.field in ("width", "height"):
        kind = "size"
    else:
        kind = "prompt" if field.field in PROMPTS else field.field if field.field in RUN_ORDER else ""
    return RUN_ORDER.index(kind)


def _entries(text: str, name: str) -> list[str]:
    try:
        rows = list(csv.reader([text.strip()], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise InputError(f"The values of {name} cannot be read ({error}); close the quotes.") from error
    entries = [entry.strip() for entry in rows[0]] if rows else []
    if not entries or "" in entries:
        raise InputError(f"The axis {name} has an empty value; give values separated by commas.")
    return entries


def _parse_values(field: Field, text: str) -> list[Value]:
    found = RANGE.fullmatch(text) if field.is_number and len(text) <= LONGEST_RANGE else None
    if not found:
        return [field.parse(text)]
    first, last = Decimal(found[1]), Decimal(found[2])
    whole = field.limit is not None and isinstance(field.limit.default, int)
    step = Decimal(found[3]) if found[3] else Decimal(1) if whole else Decimal(0)
    if step <= 0 or last < first:
        raise InputError(
            f"{field.name} is {shown(text)}, but a range must be FROM-TO:STEP with FROM below TO and a step above 0, such as 0.2-1:0.4."
        )
    count = int((last - first) / step) + 1
    if count > MAX_VALUES:
        raise InputError(f"{field.name} is {shown(text)}, which has {count:,} values, but at most {MAX_VALUES} go.")
    return [field.parse(str(first + number * step)) for number in range(count)]


def _checked(axis: Axis, request: GenerationRequest) -> Axis:
    if not 1 <= len(axis.values) <= MAX_VALUES:
        raise InputError(f"The axis {axis.name} has {len(axis.values)} values, but it must have 1 to {MAX_VALUES}.")
    double = [value for number, value in enumerate(axis.values) if value in axis.values[:number]]
    if double:
        raise InputError(f"The axis {axis.name} has {label_of(double[0])} twice; leave one out.")
    if axis.search and axis.name not in PROMPTS:
        raise InputError(f"The axis {axis.name} has a text to search, which only prompts have; leave it out.")
    if axis.search and axis.search not in str(getattr(request, axis.name)):
        raise InputError(
            f"The axis {axis.name} replaces {shown(axis.search)}, but the {axis.name.replace('_', ' ')} does not hold it; "
            "give a text that is in it."
        )
    return axis


def _check_grid(request: GenerationRequest, axes: Sequence[Axis]) -> None:
    if not 1 <= len(axes) <= MAX_AXES:
        raise InputError(f"The grid has {len(axes)} axes, but it must have 1 to {MAX_AXES}.")
    for axis in axes:
        _checked(axis, request)
    names = [(axis.name, axis.search) for axis in axes]
    whole = {axis.name for axis in axes if axis.name in PROMPTS and not axis.search}
    for number, (name, search) in enumerate(names):
        if (name, search) in names[:number] or (search and name in whole):
            raise InputError(f"Two axes vary {name}; leave one of them out.")
    count = math.prod(len(axis.values) for axis in axes)
    if count > MAX_CELLS:
        raise InputError(f"The grid has {count:,} pictures, but at most {MAX_CELLS:,} go; give fewer values.")
    if request.num_images != 1:
        raise InputError(
            f"num_images is {request.num_images}, but each cell of a grid has one picture; set it to 1, or vary the seed."
        )


def _once(remake: RemakeMap) -> RemakeMap:
    """The same, with each map made once."""
    made: dict[object, ControlUnit] = {}

    def make(request: GenerationRequest, index: int, id: str, values: Mapping[str, Scalar]) -> ControlUnit:
        unit = request.units[index]
        key = (index, id, tuple(sorted(values.items())), request.width, request.height)
        if key not in made:
            made[key] = remake(request, index, id, values)
        return with_map(unit, made[key])

    return make
