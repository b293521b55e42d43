"""Limits and checks of a request's fields. Every check raises an InputError that names the field, the value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar, cast

from annotators.base import Parameter, shown
from annotators.sources.images import load_image
from cnet_app.request.plain import FrozenMap, Scalar
from models.errors import InputError

MAX_PROMPT = 10_000
MAX_NAME = 1_000
MAX_PIXELS = 2048 * 2048
MAX_TOTAL_BYTES = 40_000_000
"""Of all maps, masks, initial pictures and control data; Pillow reads at most 64 MiB of text back from a PNG, and base64 adds a third."""
MAX_POINTS = 32
Part = TypeVar("Part")
CURVE_PLACE = Parameter(default=0.0, minimum=0.0, maximum=1.0, help="Fraction of the steps, or depth in the network.")
CURVE_FACTOR = Parameter(default=1.0, minimum=0.0, maximum=2.0, help="Factor on the unit's conditioning_scale there.")


def check_numbers(owner: object, limits: Mapping[str, Parameter]) -> None:
    """Bring every field of `limits` to its declared type; InputError where one is out of bounds."""
    for name, limit in limits.items():
        object.__setattr__(owner, name, limit.check(name, getattr(owner, name)))


def check_switches(owner: object, names: Iterable[str]) -> None:
    """Fields that are true or false."""
    for name in names:
        if not isinstance(getattr(owner, name), bool):
            raise InputError(f"{name} is {shown(getattr(owner, name))}, but it must be true or false.")


def check_picture(name: str, data: object, optional: bool = True) -> None:
    """Bytes of a picture that can be read."""
    if optional and data is None:
        return
    if not isinstance(data, bytes):
        raise InputError(f"{name} is {shown(data)}, but it must be the bytes of a PNG.")
    load_image(data)


def checked_list(name: str, values: object) -> tuple[object, ...]:
    """A list of at most MAX_POINTS values."""
    if not isinstance(values, list | tuple) or len(cast("Sequence[object]", values)) > MAX_POINTS:
        raise InputError(f"{name} is {shown(values)}, but it must be a list of at most {MAX_POINTS}.")
    return tuple(cast("Sequence[object]", values))


def checked_curve(name: str, values: object, place: str = "fraction of the steps") -> tuple[tuple[float, float], ...]:
    """Points (place, factor) with rising places; messages call a place `place`."""
    points: list[tuple[float, float]] = []
    for point in checked_list(name, values):
        pair = cast("Sequence[object]", point) if isinstance(point, list | tuple) else ()
        if len(pair) != 2:
            raise InputError(f"{name} has {shown(point)}, but a point is a pair: {place}, factor.")
        where = float(CURVE_PLACE.check(name, pair[0]))
        factor = float(CURVE_FACTOR.check(name, pair[1]))
        if points and where <= points[-1][0]:
            raise InputError(
                f"{name} has a point at {where:g} after one at {points[-1][0]:g}, but its {place.split()[0]}s must rise."
            )
        points.append((where, factor))
    return tuple(points)


def check_text(owner: object, name: str, longest: int, optional: bool = False, empty: bool = False) -> None:
    """Text of at most `longest` characters that every file and page can hold; `empty` allows none at all."""
    text = getattr(owner, name)
    if optional and text is None:
        return
    if not isinstance(text, str):
        raise InputError(f"{name} is {shown(text)}, but it must be text.")
    if not empty and not text.strip():
        raise InputError(f"{name} is empty; give one, or leave {name} out.")
    if len(text) > longest:
        raise InputError(
            f"{name} has {len(text):,} characters, but it must be text of at most {longest:,}; shorten it."
        )
    if any(0xD800 <= ord(character) < 0xE000 for character in text) or "\0" in text:
        raise InputError(f"{name} holds a character that is no text (a zero or half of a surrogate pair); remove it.")


def checked_parts(name: str, values: object, kind: type[Part], most: int) -> tuple[Part, ...]:
    """A list of at most `most` instances of one class."""
    parts = cast("list[object]", values) if isinstance(values, list | tuple) else [None]
    if not all(isinstance(part, kind) for part in parts):
        raise InputError(f"{name} must be a list of {kind.__name__}.")
    if len(parts) > most:
        raise InputError(f"{name} has {len(parts)} entries, but at most {most} work together; leave some out.")
    return tuple(cast("list[Part]", parts))


def check_total(sizes: Iterable[int]) -> None:
    """Sizes in bytes of all pictures and control data, together within MAX_TOTAL_BYTES."""
    size = sum(sizes)
    if size > MAX_TOTAL_BYTES:
        raise InputError(
            f"Maps and pictures have {size / 1e6:.0f} MB, but at most {MAX_TOTAL_BYTES / 1e6:.0f} MB; make them smaller."
        )


def checked_scalars(name: str, values: object) -> FrozenMap[Scalar]:
    """A frozen copy of a mapping from names to numbers, words, true and false."""
    if not isinstance(values, Mapping):
        raise InputError(f"{name} is {shown(values)}, but it must be an object of names and values.")
    entries = cast("Mapping[object, object]", values)
    for key, value in entries.items():
        plain = isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))
        if not isinstance(key, str) or not plain:
            raise InputError(
                f"{name} has {shown(key)}: {shown(value)}, but a value must be a number, a word, true or false."
            )
    return FrozenMap(cast("Mapping[str, Scalar]", entries))


def parse_numbers(name: str, text: str) -> tuple[float, ...]:
    """Numbers out of '1/0.5/0.25'."""
    try:
        return tuple(float(number) for number in text.split("/"))
    except ValueError:
        raise InputError(
            f"{name} is {shown(text)}, but it must be numbers joined by slashes, such as 1/0.5/0.25."
        ) from None


def parse_points(name: str, text: str, place: str = "fraction") -> tuple[tuple[float, ...], ...]:
    """Pairs of place and factor out of '0:1/0.5:0.2'; messages call a place `place`."""
    try:
        return tuple(tuple(float(number) for number in point.split(":")) for point in text.split("/"))
    except ValueError:
        raise InputError(
            f"{name} is {shown(text)}, but it must be {place}:factor points, such as 0:1/0.5:0.2."
        ) from None
