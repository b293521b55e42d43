"""Frozen dataclasses to and from the values JSON knows: pictures are base64, tuples lists, nothing unknown is let in."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from annotators.base import shown
from models.errors import InputError

Thing = TypeVar("Thing")


def to_plain(value: Any) -> Any:
    """A dataclass as an object of its fields, and so on down to numbers and words."""
    if dataclasses.is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    if isinstance(value, tuple | list):
        return [to_plain(one) for one in cast("list[Any]", value)]
    return value


def from_plain(
    cls: type[Thing], values: object, what: str, parts: Mapping[str, tuple[type, str]] | None = None
) -> Thing:
    """The inverse of `to_plain`; absent fields take their defaults, anything unknown or out of range is an InputError.

    `parts` says of a field that holds other dataclasses, alone or in a list, which, and what to call one.
    """
    fields = {field.name: field for field in dataclasses.fields(cast(Any, cls))}
    if not isinstance(values, dict):
        raise InputError(f"The {what} is not a JSON object; give one with the fields: {', '.join(fields)}.")
    given = cast("dict[str, Any]", values)
    unknown = sorted(set(given) - set(fields))
    if unknown:
        raise InputError(f"The {what} has an unknown field {shown(unknown[0])}; its fields are: {', '.join(fields)}.")
    missing = [name for name, field in fields.items() if _is_needed(field) and given.get(name) is None]
    if missing:
        raise InputError(f"The {what} has no {missing[0]}, but needs it; give it.")
    read = {name: _read(name, str(fields[name].type), value, (parts or {}).get(name)) for name, value in given.items()}
    return cls(**read)


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _read(name: str, kind: str, value: Any, part: tuple[type, str] | None) -> Any:
    """One field; whatever else stands where a picture or a part should is left for the checks of its class."""
    if part and kind.startswith("tuple"):
        if not isinstance(value, list):
            raise InputError(f"{name} is {shown(value)}, but it must be a list.")
        return tuple(from_plain(part[0], one, part[1]) for one in cast("list[Any]", value))
    if part and value is not None:
        return from_plain(part[0], value, part[1])
    if kind.startswith("bytes") and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except ValueError as error:
            raise InputError(f"{name} is not base64; give a PNG in base64.") from error
    return value
