"""How well a picture followed a unit of its request, as a record that travels with the picture. A result, never a setting."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from cnet_app.request.plain import FrozenMap, Json, from_plain, to_plain
from models.errors import InputError


@dataclass(frozen=True, kw_only=True)
class UnitScore:
    """The score of a picture by one unit; `value` and `agreement` are None where there is none, and `reason` is why."""

    condition: str
    measure: str | None = None
    """A row of cnet_app.registry.measures; None where the condition has no measure."""
    value: float | None = None
    """In the measure's own scale."""
    unit: str = ""
    """Of the value; empty for a share or a similarity."""
    agreement: float | None = None
    """How well the map was followed, 0 to 1, on the same scale for all conditions."""
    words: str = ""
    """The score for a reader: 'followed the edges: 87 %'; empty without a value."""
    reason: str = ""
    """Sentence why there is no value; empty with one."""
    annotator: str | None = None
    """Id of the one that read the picture; None where none did."""
    more: Mapping[str, float] = field(default_factory=FrozenMap[float])
    """Values of further measures, by id."""

    def __post_init__(self) -> None:
        texts = (self.condition, self.unit, self.words, self.reason)
        optional = (self.measure, self.annotator)
        known = isinstance(self.more, Mapping) and all(isinstance(key, str) for key in self.more)
        if (
            not known
            or not all(isinstance(text, str) for text in texts)
            or not all(text is None or isinstance(text, str) for text in optional)
            or not all(number is None or _is_number(number) for number in (self.value, self.agreement))
            or not all(map(_is_number, self.more.values()))
        ):
            raise InputError("A score has a field of a wrong type; measure the picture again.")
        object.__setattr__(self, "more", FrozenMap(self.more))

    def to_json(self) -> dict[str, Json]:
        """Return the fields as JSON values."""
        return to_plain(self)


def scores_from_json(values: object) -> tuple[UnitScore, ...]:
    """Return the scores that a list of `UnitScore.to_json` holds. Raises InputError."""
    if not isinstance(values, list):
        raise InputError("The scores are not a list; measure the picture again.")
    return tuple(from_plain(UnitScore, entry, "score", {}) for entry in cast("list[object]", values))


def mean_agreement(scores: Sequence[UnitScore]) -> float | None:
    """Return the mean of the agreements that there are, 0 to 1; None where there is none."""
    known = [score.agreement for score in scores if score.agreement is not None]
    return sum(known) / len(known) if known else None


def best_of(pictures: Mapping[str, Sequence[UnitScore]]) -> tuple[str, ...]:
    """Return the names of scored pictures by their mean agreement, the best first; equal ones keep their order.

    Pictures without an agreement come last.
    """
    means = {name: mean_agreement(scores) for name, scores in pictures.items()}

    def rank(name: str) -> float:
        mean = means[name]
        return math.inf if mean is None else -mean

    return tuple(sorted(means, key=rank))


def _is_number(value: Any) -> bool:
    """Return whether a value is a number that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
