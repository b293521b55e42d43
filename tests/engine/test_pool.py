"""Loaded models stay while there is room, and those of one request stay together."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from cnet_app.engine.pool import Pool


@dataclass(eq=False)
class Model:
    """So many bytes; models with the same `shared` hold the same ones."""

    size: int
    shared: str = ""


@dataclass
class Loads:
    """A pool whose loads are counted."""

    pool: Pool[Model]
    keys: list[str] = field(default_factory=list[str])

    def get(self, key: str, size: int, expected: int = 0) -> Model:
        def load() -> Model:
            self.keys.append(key)
            return Model(size)

        return self.pool.get(key, load, expected)


@pytest.fixture
def loads() -> Loads:
    return Loads(Pool(lambda model: {model.shared or id(model): model.size}, 8))


def test_a_model_is_loaded_once(loads: Loads) -> None:
    with loads.pool.pinned():
        assert loads.get("a", 3) is loads.get("a", 3)
    assert loads.get("a", 3).size == 3
    assert loads.keys == ["a"]


def test_the_least_recently_used_goes_first(loads: Loads) -> None:
    for key in ("a", "b", "a", "c"):
        with loads.pool.pinned():
            loads.get(key, 4)
    assert loads.pool.keys == ("a", "c")


def test_room_is_made_before_a_large_model_is_loaded(loads: Loads) -> None:
    with loads.pool.pinned():
        loads.get("a", 4)
    seen: list[int] = []

    def load() -> Model:
        seen.append(len(loads.pool))
        return Model(6)

    loads.pool.get("b", load, expected=6)
    assert seen == [0]


def test_what_one_request_uses_is_never_evicted_and_is_all_counted(loads: Loads) -> None:
    """A budget of 8, a base of 4 and three ControlNets of 3: 13 are in memory, and nothing is loaded again next time."""
    request = {"base": 4, "one": 3, "two": 3, "three": 3}
    for _ in range(2):
        with loads.pool.pinned():
            for key, size in request.items():
                loads.get(key, size)
            assert loads.pool.bytes == 13
    assert loads.keys == list(request)


def test_what_was_above_the_budget_goes_when_another_request_loads_something(loads: Loads) -> None:
    with loads.pool.pinned():
        for key in ("a", "b", "c"):
            loads.get(key, 4)
    with loads.pool.pinned():
        loads.get("d", 4, expected=4)
        assert loads.pool.bytes <= 8


def test_an_evicted_model_that_somebody_holds_is_counted_until_it_is_gone(loads: Loads) -> None:
    with loads.pool.pinned():
        held = loads.get("a", 6)
    with loads.pool.pinned():
        loads.get("b", 6)
    assert loads.pool.keys == ("b",)
    assert loads.pool.bytes == 12
    del held
    assert loads.pool.bytes == 6


def test_what_models_share_counts_once(loads: Loads) -> None:
    """A union ControlNet has a row for each kind of map, and one network."""
    with loads.pool.pinned():
        for key in ("depth", "canny"):
            loads.pool.get(key, lambda: Model(6, shared="union"))
        assert loads.pool.bytes == 6
        loads.get("base", 2)
    assert (loads.pool.keys, loads.pool.bytes) == (("depth", "canny", "base"), 8)


def test_a_load_that_fails_leaves_nothing_behind(loads: Loads) -> None:
    def fail() -> Model:
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        loads.pool.get("a", fail)
    assert len(loads.pool) == 0
    assert loads.get("a", 1).size == 1
