"""Sessions take turns."""

from __future__ import annotations

import pytest

from cnet_app.jobs.queue import Line


def fill(*items: str) -> Line[str]:
    line: Line[str] = Line()
    for item in items:
        line.add(item[0], item)
    return line


def test_a_second_user_does_not_wait_for_all_jobs_of_the_first() -> None:
    line = fill("a1", "a2", "a3", "b1", "c1", "c2")
    told = line.order()
    taken = [line.take() for _ in range(len(line))]
    assert taken == told == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_who_was_just_served_and_comes_again_goes_behind_the_others() -> None:
    line = fill("a1", "b1")
    assert line.take() == "a1"
    line.add("a", "a2")
    assert line.order() == ["b1", "a2"]


def test_a_removed_item_is_not_taken() -> None:
    line = fill("a1", "b1")
    assert line.remove("a1")
    assert not line.remove("a1")
    assert (line.take(), len(line)) == ("b1", 0)
    with pytest.raises(IndexError):
        line.take()
