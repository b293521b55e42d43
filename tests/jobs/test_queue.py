"""Sessions take turns."""

from __future__ import annotations

import pytest

from cnet_app.jobs.queue import Queue


def fill(*items: str) -> Queue[str]:
    queue: Queue[str] = Queue()
    for item in items:
        queue.add(item[0], item)
    return queue


def test_a_second_user_does_not_wait_for_all_jobs_of_the_first() -> None:
    queue = fill("a1", "a2", "a3", "b1", "c1", "c2")
    told = queue.order()
    taken = [queue.take() for _ in range(len(queue))]
    assert taken == told == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_who_was_just_served_and_comes_again_goes_behind_the_others() -> None:
    queue = fill("a1", "b1")
    assert queue.take() == "a1"
    queue.add("a", "a2")
    assert queue.order() == ["b1", "a2"]


def test_a_removed_item_is_not_taken() -> None:
    queue = fill("a1", "b1")
    assert queue.remove("a1")
    assert not queue.remove("a1")
    assert (queue.take(), len(queue)) == ("b1", 0)
    with pytest.raises(IndexError):
        queue.take()
