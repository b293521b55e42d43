"""Loaded models: few, and the one used least recently goes."""

from __future__ import annotations

import pytest

from cnet_app.jobs.pool import Pool


def test_a_thing_is_loaded_once_and_the_least_recently_used_goes_first() -> None:
    loads: list[str] = []
    pool: Pool[str] = Pool(2)

    def get(key: str) -> str:
        return pool.get(key, lambda: loads.append(key) or key.upper())

    assert [get(key) for key in "abacab"] == list("ABACAB")
    assert loads == list("abcb")
    assert len(pool) == 2


def test_a_failed_load_leaves_nothing_behind() -> None:
    pool: Pool[str] = Pool(2)
    with pytest.raises(ZeroDivisionError):
        pool.get("a", lambda: str(1 // 0))
    assert len(pool) == 0
    assert pool.get("a", lambda: "fine") == "fine"


def test_there_is_room_before_the_next_one_is_loaded() -> None:
    pool: Pool[int] = Pool(1)
    pool.get("a", lambda: 0)
    assert pool.get("b", lambda: len(pool)) == 0
