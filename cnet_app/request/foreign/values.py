"""Values of foreign JSON, of which any may be missing or of another type. Nothing here raises but `load_object`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

from cnet_app.request.foreign.recipe import NamedModel
from models.errors import InputError

Fields: TypeAlias = Mapping[str, object]
NUMBER = re.compile(r"\s*[-+]?(\d{1,30}\.?\d{0,30}|\.\d{1,30})([eE][-+]?\d{1,3})?\s*")
HASH = re.compile(r"[0-9a-f]{8,64}")
LARGEST = 2**64


def load_object(text: str, what: str) -> Fields:
    """Return a JSON object; `what` is the subject of the sentence that an InputError holds. NaN and infinities become None."""
    try:
        found = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        raise InputError(f"{what} is damaged: it is not JSON, or nested too deeply.") from None
    if not isinstance(found, dict):
        raise InputError(f"{what} is damaged: it is not a JSON object.")
    return cast(Fields, found)


def fields_of(value: object) -> Fields:
    """An object; empty for anything else."""
    return cast(Fields, value) if isinstance(value, dict) else {}


def list_of(value: object) -> Sequence[object]:
    """A list; empty for anything else."""
    return cast("Sequence[object]", value) if isinstance(value, list) else ()


def text_of(value: object) -> str:
    """Text; empty for anything else."""
    return value if isinstance(value, str) else ""


def number_of(value: object) -> float | int | None:
    """A finite number, also one written as text; a whole one is exact."""
    if isinstance(value, str) and NUMBER.fullmatch(value):
        value = int(value) if value.strip().lstrip("+-").isdecimal() else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        return None
    return value if math.isfinite(value) else None


def whole_of(value: object) -> int | None:
    """A whole number, also one written as text or as 20.0."""
    number = number_of(value)
    return int(number) if number is not None and number == int(number) else None


def fraction_of(value: object, default: float) -> float:
    """A number from 0 to 1; the default for anything else."""
    number = number_of(value)
    return float(number) if number is not None and 0 <= number <= 1 else default


def weight_of(value: object, default: float = 1.0) -> float:
    """A weight; the default for what is no number."""
    number = number_of(value)
    return default if number is None else float(number)


def hash_of(value: object) -> str:
    """Digits of a sha256, with or without "0x" or the algorithm's name before them; empty for other hashes."""
    text = text_of(value).strip().lower().removeprefix("sha256:").removeprefix("0x")
    return text if HASH.fullmatch(text) else ""


def model_of(name: object, hash: object = None) -> NamedModel:
    """A model by name and hash; words for no model of one's own are none."""
    text = text_of(name).strip()
    none = text.lower() in ("none", "(none)", "automatic", "default", "default (model)", "baked vae")
    return NamedModel("" if none else text, hash_of(hash))
