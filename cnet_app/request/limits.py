"""What a request's fields may hold. Every check raises an InputError that names the field, the value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, cast

from annotators.base import Parameter, shown
from annotators.images import load_image
from models.errors import InputError

MAX_PICTURE_BYTES = 40_000_000
"""Of all maps, masks and initial pictures, as PNG; Pillow reads no more than 64 MiB of text back from a recipe, where they are base64."""
MAX_POINTS = 32
Part = TypeVar("Part")
CURVE_PLACE = Parameter(default=0.0, minimum=0.0, maximum=1.0, help="Fraction of the steps.")
CURVE_FACTOR = Parameter(default=1.0, minimum=0.0, maximum=2.0, help="Factor on the unit's strength there.")


def check_numbers(owner: object, limits: Mapping[str, Parameter]) -> None:
    """Every field of `limits` within its bounds, and in its declared type afterwards."""
    for name, limit in limits.items():
        object.__setattr__(owner, name, limit.check(name, getattr(owner, name)))


def check_picture(name: str, data: object, optional: bool = True) -> None:
    """The bytes of a picture that can be read."""
    if optional and data is None:
        return
    if not isinstance(data, bytes):
        raise InputError(f"{name} is {shown(data)}, but it must be the bytes of a PNG.")
    load_image(data)


def checked_list(name: str, values: object) -> tuple[Any, ...]:
    """A list of at most MAX_POINTS."""
    if not isinstance(values, list | tuple) or len(values) > MAX_POINTS:
        raise InputError(f"{name} is {shown(values)}, but it must be a list of at most {MAX_POINTS}.")
    return tuple(values)


def checked_curve(values: object) -> tuple[tuple[float, float], ...]:
    """Points (fraction of the steps, factor) whose fractions rise."""
    points: list[tuple[float, float]] = []
    for point in checked_list("strength_curve", values):
        if not isinstance(point, list | tuple) or len(point) != 2:
            raise InputError(
                f"strength_curve has {shown(point)}, but a point is a pair: fraction of the steps, factor."
            )
        place, factor = (
            float(limit.check("strength_curve", number))
            for limit, number in zip((CURVE_PLACE, CURVE_FACTOR), point, strict=True)
        )
        if points and place <= points[-1][0]:
            raise InputError(
                f"strength_curve has a point at {place:g} after one at {points[-1][0]:g}, but its fractions must rise."
            )
        points.append((place, factor))
    return tuple(points)


def check_text(owner: object, name: str, longest: int, optional: bool = False) -> None:
    """Text of at most so many characters that every file and page can hold."""
    text = getattr(owner, name)
    if optional and text is None:
        return
    if not isinstance(text, str):
        raise InputError(f"{name} is {shown(text)}, but it must be text.")
    if len(text) > longest:
        raise InputError(
            f"{name} has {len(text):,} characters, but it must be text of at most {longest:,}; shorten it."
        )
    if any(0xD800 <= ord(character) < 0xE000 for character in text) or "\0" in text:
        raise InputError(f"{name} holds a character that is no text (a zero or half of a surrogate pair); remove it.")


def checked_parts(name: str, values: object, kind: type[Part], most: int) -> tuple[Part, ...]:
    """A list of at most so many of one class."""
    parts = cast("list[object]", values) if isinstance(values, list | tuple) else [None]
    if not all(isinstance(part, kind) for part in parts):
        raise InputError(f"{name} must be a list of {kind.__name__}.")
    if len(parts) > most:
        raise InputError(f"{name} has {len(parts)} entries, but at most {most} work together; leave some out.")
    return tuple(cast("list[Part]", parts))


def check_bytes(pictures: Iterable[bytes]) -> None:
    """All pictures together within MAX_PICTURE_BYTES."""
    size = sum(map(len, pictures))
    if size > MAX_PICTURE_BYTES:
        raise InputError(
            f"Maps and pictures have {size / 1e6:.0f} MB, but at most {MAX_PICTURE_BYTES / 1e6:.0f} MB; make them smaller."
        )


def plain_values(values: object) -> Mapping[str, Any]:
    """A frozen copy; its values are what JSON can say: numbers, words, true and false."""
    if not isinstance(values, Mapping):
        raise InputError(f"annotator_parameters is {shown(values)}, but it must be an object of names and values.")
    for name, value in values.items():
        plain = isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))
        if not isinstance(name, str) or not plain:
            raise InputError(
                f"annotator_parameters has {shown(name)}: {shown(value)}, but a value must be a number, a word, true or false."
            )
    return MappingProxyType(dict(cast(Mapping[str, Any], values)))


def parse_numbers(name: str, text: str) -> tuple[float, ...]:
    """'1/0.5/0.25'."""
    try:
        return tuple(float(number) for number in text.split("/"))
    except ValueError:
        raise InputError(
            f"{name} is {shown(text)}, but it must be numbers joined by slashes, such as 1/0.5/0.25."
        ) from None


def parse_points(name: str, text: str) -> tuple[tuple[float, ...], ...]:
    """'0:1/0.5:0.2': fraction of the steps and factor of every point."""
    try:
        return tuple(tuple(float(number) for number in point.split(":")) for point in text.split("/"))
    except ValueError:
        raise InputError(
            f"{name} is {shown(text)}, but it must be fraction:factor points, such as 0:1/0.5:0.2."
        ) from None
