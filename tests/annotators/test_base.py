"""Parameters: what is declared, what is refused, and in which words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from annotators.base import Filter, Image, NetworkAnnotator, Parameter, create, param, parameters, shown
from annotators.runtime import Runtime
from models.errors import InputError


@dataclass(frozen=True)
class _Sieve(Filter):
    id = "sieve"
    title = "Sieve"
    kind = "picture"
    ordered = (("fine", "coarse"),)

    fine: int = param(3, "Finest.", minimum=1, maximum=9, step=1, unit="px")
    coarse: float = param(5.0, "Coarsest.", minimum=1, maximum=9)
    on: bool = param(True, "Whether.")
    way: str = param("up", "Where to.", choices=("up", "down"))

    def annotate(self, source_image: Image) -> Image:
        return source_image[:: self.fine]

    def unused(self) -> frozenset[str]:
        return frozenset() if self.on else frozenset({"fine", "coarse"})


@dataclass(frozen=True)
class _Witness(NetworkAnnotator):
    id = "witness"
    title = "Witness"
    kind = "picture"

    def annotate(self, source_image: Image, runtime: Runtime) -> Image:
        return np.full_like(source_image, len(runtime.device))


def test_values_take_the_type_of_the_default() -> None:
    made: Any = create(_Sieve, {"fine": 4.0, "coarse": 6, "on": False, "way": "down"})
    values = made.fine, made.coarse, made.on, made.way
    assert values == (4, 6.0, False, "down")
    assert [type(value) for value in values] == [int, float, bool, str]
    assert list(parameters(_Sieve)) == ["fine", "coarse", "on", "way"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("fine", 2.5, "fine is 2.5, but it must be a whole number from 1 to 9 px."),
        ("fine", 0, "fine is 0, but it must be from 1 to 9 px."),
        ("fine", 10, "fine is 10, but it must be from 1 to 9 px."),
        ("fine", True, "fine is True, but it must be a number from 1 to 9 px."),
        ("fine", "4", "fine is '4', but it must be a number from 1 to 9 px."),
        ("fine", None, "fine is None, but it must be a number from 1 to 9 px."),
        ("fine", float("inf"), "fine is inf, but it must be a number from 1 to 9 px."),
        ("coarse", float("nan"), "coarse is nan, but it must be a number from 1 to 9."),
        ("coarse", 10**400, "but it must be from 1 to 9."),
        ("on", 1, "on is 1, but it must be true or false."),
        ("on", "true", "on is 'true', but it must be true or false."),
        ("way", "left", "way is 'left', but it must be one of: up, down."),
        ("way", 3, "way is 3, but it must be one of: up, down."),
    ],
)
def test_wrong_values_are_refused_by_name_and_bounds(name: str, value: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        create(_Sieve, {name: value})
    assert str(caught.value).endswith(message)
    assert len(str(caught.value)) < 150


def test_an_unknown_parameter_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="sieve has no parameter 'thin'; its parameters are: fine, coarse, on, way."):
        create(_Sieve, {"thin": 1})
    with pytest.raises(InputError, match="witness has no parameter 'thin'; its parameters are: none."):
        create(_Witness, {"thin": 1})


def test_parameters_in_order_of_two_types() -> None:
    assert create(_Sieve, {"fine": 5}) == _Sieve(fine=5, coarse=5.0)
    with pytest.raises(InputError, match="The fine is 6, above the coarse, 5; lower the first or raise the second."):
        _Sieve(fine=6)
    assert _Sieve(fine=6, on=False).unused() == {"fine", "coarse"}


@pytest.mark.parametrize(
    ("minimum", "maximum", "unit", "text"),
    [
        (0, 255, "", " from 0 to 255"),
        (0.05, 0.95, "", " from 0.05 to 0.95"),
        (0, 2**32 - 1, "", " from 0 to 4294967295"),
        (1, None, "px", " at least 1 px"),
        (None, 9, "%", " at most 9 %"),
        (None, None, "px", ""),
    ],
)
def test_bounds_in_words(minimum: float | None, maximum: float | None, unit: str, text: str) -> None:
    assert Parameter(default=1, help="", minimum=minimum, maximum=maximum, unit=unit).range_text() == text


def test_long_values_are_cut() -> None:
    assert shown(0.1 + 0.2) == "0.3"
    assert shown("a" * 100) == "'" + "a" * 59 + "…"
    assert len(shown(list(range(10_000)))) == 61


def test_equal_parameters_are_one_key() -> None:
    assert {_Sieve(), _Sieve(fine=3), create(_Sieve, {"fine": 3.0})} == {_Sieve()}
    assert _Sieve() != _Sieve(fine=2)


def test_a_filter_takes_a_runtime_and_does_without(photos: dict[str, Image]) -> None:
    photo = photos["coffee"]
    assert np.array_equal(_Sieve()(photo), _Sieve()(photo, Runtime("cuda:7")))
    assert (_Sieve.needs_network, _Witness.needs_network) == (False, True)


def test_a_network_annotator_gets_the_runtime_or_the_cpu(photos: dict[str, Image]) -> None:
    assert (_Witness()(photos["coffee"]) == len("cpu")).all()
    assert (_Witness()(photos["coffee"], Runtime("cuda:7")) == len("cuda:7")).all()
