"""Frozen dataclasses to and from JSON values: a picture is base64 or a hash, a tuple is a list, an unknown field is an error."""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar, cast

from annotators.base import shown
from models.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Scalar: TypeAlias = float | int | bool | str
Json: TypeAlias = "float | int | bool | str | Sequence[Json] | Mapping[str, Json] | None"
"""A value that JSON can hold."""
WritePicture: TypeAlias = Callable[[bytes], Json]
ReadPicture: TypeAlias = Callable[[str, object], bytes]
"""From the name of a field and its JSON value; raises InputError."""
SCHEMA = 2
"""Of the JSON that tasks are written to; cnet_app.request.tasks reads it and all earlier ones."""
MAX_DEPTH = 32
"""Levels of nested lists and objects."""

Value = TypeVar("Value", covariant=True)
Thing = TypeVar("Thing")


class Versioned:
    """Base class of a dataclass that is written with its kind and the schema."""

    kind: ClassVar[str]


class FrozenMap(Mapping[str, Value]):
    """A mapping that cannot be changed. Unlike a MappingProxyType it can be pickled and, as its values can be, hashed."""

    def __init__(self, values: Mapping[str, Value] | None = None) -> None:
        self._values: dict[str, Value] = dict(values or {})

    def __getitem__(self, key: str) -> Value:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return repr(self._values)


def frozen(name: str, value: object, depth: int = MAX_DEPTH) -> Json:
    """A copy of a JSON value with tuples for lists and FrozenMaps for objects; InputError for what JSON cannot hold."""
    if isinstance(value, Mapping | list | tuple) and not depth:
        raise InputError(f"{name} is nested more than {MAX_DEPTH} levels deep; make it flatter.")
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value)
        wrong = next((key for key in entries if not isinstance(key, str)), None)
        if wrong is not None:
            raise InputError(f"{name} has the key {shown(wrong)}, but a key must be text.")
        return FrozenMap({str(key): frozen(name, entry, depth - 1) for key, entry in entries.items()})
    if isinstance(value, list | tuple):
        return tuple(frozen(name, entry, depth - 1) for entry in cast("Sequence[object]", value))
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise InputError(
        f"{name} holds {shown(value)}, but it must hold numbers, text, true, false, lists and objects only."
    )


def to_base64(data: bytes) -> Json:
    """The bytes as base64 text."""
    return base64.b64encode(data).decode()


def from_base64(name: str, value: object) -> bytes:
    """The inverse of `to_base64`; InputError."""
    if not isinstance(value, str):
        raise InputError(f"{name} is {shown(value)}, but it must be a PNG in base64; a hash alone holds no picture.")
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise InputError(f"{name} is not base64; give a PNG in base64.") from error


def to_plain(record: DataclassInstance, write: WritePicture = to_base64) -> dict[str, Json]:
    """A dataclass as an object of its fields; a Versioned one begins with its kind and the schema."""
    head: dict[str, Json] = {"kind": record.kind, "schema": SCHEMA} if isinstance(record, Versioned) else {}
    return head | {field.name: _plain(getattr(record, field.name), write) for field in dataclasses.fields(record)}


def plain_json(value: Json) -> Any:
    """A frozen JSON value as the dicts and lists that `json.dumps` and other code take."""
    return _plain(value, to_base64)


def _plain(value: object, write: WritePicture) -> Json:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_plain(value, write)
    if isinstance(value, bytes):
        return write(value)
    if isinstance(value, Mapping):
        return {key: _plain(entry, write) for key, entry in cast("Mapping[str, object]", value).items()}
    if isinstance(value, tuple | list):
        return [_plain(entry, write) for entry in cast("Sequence[object]", value)]
    return cast(Json, value)


def from_plain(
    cls: type[Thing],
    values: object,
    what: str,
    parts: Mapping[str, tuple[type, str]],
    read: ReadPicture = from_base64,
) -> Thing:
    """The inverse of `to_plain`; absent fields take their defaults, anything unknown or out of range is an InputError.

    `parts` names the class of each field that holds other dataclasses, alone or in a list, and what a message calls one.
    """
    fields = {field.name: field for field in dataclasses.fields(cast("type[DataclassInstance]", cls))}
    if not isinstance(values, dict):
        raise InputError(f"The {what} is not a JSON object; give one with the fields: {', '.join(fields)}.")
    given = cast("dict[str, object]", values)
    unknown = sorted(set(given) - set(fields))
    if unknown:
        raise InputError(f"The {what} has an unknown field {shown(unknown[0])}; its fields are: {', '.join(fields)}.")
    missing = [name for name, field in fields.items() if _is_needed(field) and given.get(name) is None]
    if missing:
        raise InputError(f"The {what} has no {missing[0]}, but needs it; give it.")

    def value_of(name: str, value: object) -> object:
        """Anything else in the place of a picture or a part is left to the checks of the class."""
        type_name, part = str(fields[name].type), parts.get(name)
        if part and type_name.startswith("tuple"):
            if not isinstance(value, list):
                raise InputError(f"{name} is {shown(value)}, but it must be a list.")
            return tuple(from_plain(part[0], entry, part[1], parts, read) for entry in cast("list[object]", value))
        if part and value is not None:
            return from_plain(part[0], value, part[1], parts, read)
        if type_name.startswith("bytes") and isinstance(value, str | dict):
            return read(name, cast(object, value))
        return value

    return cls(**{name: value_of(name, value) for name, value in given.items()})


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
