"""Loaded models: within a budget, and the one used least recently goes."""

from __future__ import annotations

import pytest

from cnet_app.engine.pool import Pool


def sized(budget: int) -> Pool[str]:
    """A pool of words as large as they are long."""
    return Pool(len, budget)


def test_a_thing_is_loaded_once_and_the_least_recently_used_goes_first() -> None:
    loads: list[str] = []
    pool = sized(2)

    def get(key: str) -> str:
        return pool.get(key, lambda: loads.append(key) or key.upper())

    assert [get(key) for key in "abacab"] == list("ABACAB")
    assert loads == list("abcb")
    assert len(pool) == 2


def test_a_failed_load_leaves_nothing_behind() -> None:
    pool = sized(2)
    with pytest.raises(ZeroDivisionError):
        pool.get("a", lambda: str(1 // 0))
    assert len(pool) == 0
    assert pool.get("a", lambda: "fine") == "fine"


def test_there_is_room_before_the_next_one_is_loaded() -> None:
    pool = sized(5)
    pool.get("a", lambda: "aaa")
    assert pool.get("b", lambda: "b" * (5 - pool.bytes), expected=4) == "bbbbb"


def test_what_is_too_large_for_the_budget_stays_until_the_next_one_comes() -> None:
    pool = sized(2)
    assert pool.get("a", lambda: "aaaa") == "aaaa"
    assert pool.get("a", lambda: "again") == "aaaa"
    pool.get("b", lambda: "bb")
    assert pool.bytes == 2
    pool.clear()
    assert len(pool) == 0
